package cause

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Names of outcomes that are no [Cause] of this runtime.
const (
	NameOK            = "ok"
	NameError         = "error"
	NameConflict      = "conflict"          // the object changed under an optimistic write
	NameDeadline      = "deadline_exceeded" // a deadline without a Cause
	NameCanceled      = "canceled"          // a cancellation without a Cause
	NameClientLimiter = "client_limiter"    // client-go's rate limiter would not wait until the deadline
	NameAPITimeout    = "api_timeout"       // the API server says it timed out
	NameAPIThrottled  = "api_throttled"     // the API server says there are too many requests
	NameTimeout       = "timeout"           // a network timeout that is no deadline of a context
)

// Outcome is how an operation ended.
type Outcome struct {
	// Name is the cause's name or one of the Name constants, or what the error
	// says itself (see [Namer]): a metric label.
	Name string
	// Err is nil if and only if the operation succeeded. If the context ended, Err
	// unwraps to what ended it and only quotes the operation's own error: what
	// that may have asked for, such as not to be repeated, no longer counts.
	Err error
	// Ended tells that the context had ended, as opposed to an error that comes
	// from the end of another one.
	Ended bool
	// Cause is what ended the operation, nil if nothing did or if it carried no
	// Cause.
	Cause *Cause
}

// Namer is implemented by errors that are an outcome of their own rather than
// a failure, such as a request to come again later.
type Namer interface {
	error
	OutcomeName() string
}

// OK reports whether the operation succeeded.
func (o Outcome) OK() bool { return o.Err == nil }

// Expired reports whether time ran out, here or at the other end.
func (o Outcome) Expired() bool {
	switch o.Name {
	case NameClientLimiter, NameAPITimeout, NameTimeout:
		return true
	}
	return errors.Is(o.Err, context.DeadlineExceeded)
}

// Interrupted reports whether the operation was cancelled before it was done.
func (o Outcome) Interrupted() bool { return errors.Is(o.Err, context.Canceled) }

// Failed reports whether the operation is at fault or its time ran out: it neither
// succeeded, nor ended with a [Namer]'s outcome, nor was stopped by a decision.
func (o Outcome) Failed() bool {
	if o.OK() || o.Interrupted() {
		return false
	}
	_, named := errors.AsType[Namer](o.Err)
	return !named
}

// settle bounds the wait for the timer of a context whose deadline has passed.
const settle = 50 * time.Millisecond

// Classify judges an operation that ran under ctx and returned err. Call it
// when the operation returns, before its context is released.
//
// The context comes first: an operation that returns after its context ended
// did not succeed, whatever it says, because nothing distinguishes "done just
// in time" from "gave up and swallowed the error". A deadline that has passed
// counts even while ctx.Err() is still nil, which lasts until the runtime gets
// to run the timer.
//
// Only if the context is alive does the error decide, or if the context ended
// without a cause and the error has one of the same sort.
func Classify(ctx context.Context, err error) Outcome {
	if why := ended(ctx); why != nil {
		return fromContext(why, err)
	}
	return Judged(err)
}

// Judged is the outcome of an operation whose end has been judged already, as
// its error says. What became of its context since does not count.
func Judged(err error) Outcome {
	if err == nil {
		return Outcome{Name: NameOK}
	}
	return fromError(err)
}

// ended returns why ctx ended, nil if it is alive and its deadline has not
// passed. The error matches the sentinel even if the cause is a stranger.
func ended(ctx context.Context) error {
	if ctx.Err() == nil && !passed(ctx) {
		return nil
	}
	err, why := ctx.Err(), context.Cause(ctx)
	switch {
	case err == nil: // a context that does not keep its deadline
		return context.DeadlineExceeded
	case errors.Is(why, err):
		return why
	}
	return fmt.Errorf("%w: %w", err, why)
}

// passed reports whether the deadline of a live context has passed. It then waits
// for the timer that is to end it, which is due, and alone knows the cause.
func passed(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	if !ok || time.Until(deadline) > 0 {
		return false
	}
	patience := time.NewTimer(settle)
	defer patience.Stop()
	select {
	case <-ctx.Done():
	case <-patience.C:
	}
	return true
}

func fromContext(why, err error) Outcome {
	// A context that ended without a cause says less than an error with one.
	if c, ok := errors.AsType[*Cause](err); ok && (why == context.Canceled || why == context.DeadlineExceeded) && errors.Is(c, why) {
		return Outcome{Name: c.name, Err: c, Ended: true, Cause: c}
	}
	o := Outcome{Name: NameCanceled, Err: why, Ended: true}
	switch c, ok := errors.AsType[*Cause](why); {
	case ok:
		o.Name, o.Cause = c.name, c
	case errors.Is(why, context.DeadlineExceeded):
		o.Name = NameDeadline
	}
	// A bare sentinel says nothing beside why.
	if err != nil && err != context.DeadlineExceeded && err != context.Canceled && !errors.Is(err, why) {
		o.Err = &interrupted{why: why, err: err}
	}
	return o
}

func fromError(err error) Outcome {
	o := Outcome{Name: NameError, Err: err}
	if c, ok := errors.AsType[*Cause](err); ok {
		o.Name, o.Cause = c.name, c
		return o
	}
	if n, ok := errors.AsType[Namer](err); ok {
		o.Name = n.OutcomeName()
		return o
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		o.Name = NameDeadline
	case errors.Is(err, context.Canceled):
		o.Name = NameCanceled
	case apierrors.IsConflict(err):
		o.Name = NameConflict
	case apierrors.IsTooManyRequests(err):
		o.Name = NameAPIThrottled
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		o.Name = NameAPITimeout
	case strings.Contains(err.Error(), "would exceed context deadline"):
		// golang.org/x/time/rate has no error value for this.
		o.Name = NameClientLimiter
	default:
		if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
			o.Name = NameTimeout
		}
	}
	return o
}

// interrupted is what ended an operation's context, with the operation's error
// as a remark.
type interrupted struct{ why, err error }

func (e *interrupted) Error() string { return e.why.Error() + ": " + e.err.Error() }
func (e *interrupted) Unwrap() error { return e.why }
