package budget

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// Backoff says how often and how fast to try again. Delays double from Base up
// to Max, each shortened by a random share of up to a half so that many clients
// do not come back at once. The zero value means one attempt.
type Backoff struct {
	// Attempts is the greatest number of attempts, the first included.
	Attempts int
	// Base is the delay before the second attempt. 0 means 100 ms.
	Base time.Duration
	// Max bounds every delay. 0 means 10 s.
	Max time.Duration
}

func (b Backoff) attempts() int { return max(b.Attempts, 1) }

// Delay returns the delay after the given attempt, counted from 1.
func (b Backoff) Delay(attempt int) time.Duration {
	base, limit := b.Base, b.Max
	if base <= 0 {
		base = 100 * time.Millisecond
	}
	if limit <= 0 {
		limit = 10 * time.Second
	}
	full := time.Duration(min(float64(base)*math.Pow(2, float64(attempt-1)), float64(limit)))
	return full - rand.N(full/2+1)
}

// After is Delay, but at least as long as the server asked for in err.
func (b Backoff) After(attempt int, err error) time.Duration {
	d := b.Delay(attempt)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		d = max(d, time.Duration(seconds)*time.Second)
	}
	if t, ok := errors.AsType[*transient](err); ok {
		d = max(d, t.after)
	}
	return d
}

// Transient marks err as worth repeating. Transient(nil) is nil.
func Transient(err error) error { return TransientAfter(err, 0) }

// TransientAfter is Transient for the error of a server that asks to be left
// alone for d.
func TransientAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &transient{err, d}
}

type transient struct {
	err   error
	after time.Duration
}

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

// tooLarge reports whether err is that the API server's store cannot take a request for
// its size, which the API server has no code for: etcd's word, or that of its client.
func tooLarge(err error) bool {
	return strings.Contains(err.Error(), "request is too large") || strings.Contains(err.Error(), "message larger than max")
}

// Retryable reports whether trying again soon can help: after an attempt that
// took too long, a broken or refused connection, an overloaded or restarting
// server, and whatever is marked [Transient]. It cannot help where a person
// must act (requeue.Terminal), where the object must be read again first (a
// conflict), where a decision ended the work, where what is written is too large, and where the error is not
// known; the work queue repeats the whole reconcile then, if need be.
func Retryable(err error) bool {
	if err == nil || requeue.IsTerminal(err) {
		return false
	}
	if _, ok := errors.AsType[*transient](err); ok {
		return true
	}
	if _, ok := errors.AsType[*cause.Cause](err); ok {
		return errors.Is(err, cause.AttemptDeadline)
	}
	if _, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
			apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) && !tooLarge(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsTimeout(err) ||
		utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err)
}
