package requeue

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Soonest is the shortest delay. A delay of zero or less would mean "never
// again" to the work queue, without a word.
const Soonest = time.Millisecond

// Later asks for another look after a while. It is an error only in type:
// nothing failed. Make one with [After] or [Pending].
type Later struct {
	delay   time.Duration
	reason  string
	message string
}

// After says that the pass is complete and another look is wanted after d. A d
// below [Soonest] counts as Soonest.
func After(d time.Duration) error {
	return &Later{delay: max(d, Soonest)}
}

// Pending says that the pass cannot be completed yet, and another look is
// wanted after d: the object waits for something outside. The reason is
// CamelCase and stable, the message is for people; both appear in the object's
// Ready condition. A reason the API server would refuse becomes "Pending", a d
// below [Soonest] counts as Soonest.
func Pending(d time.Duration, reason, message string) error {
	if !validReason.MatchString(reason) {
		reason = "Pending"
	}
	return &Later{delay: max(d, Soonest), reason: reason, message: message}
}

// validReason is what the API server accepts as the reason of a condition.
var validReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]{0,126}[A-Za-z0-9_])?$`)

// AsLater returns the request that err is or wraps. An error joined from
// several is a failure, not a request, whatever is among them.
func AsLater(err error) (*Later, bool) {
	for err != nil {
		if later, ok := err.(*Later); ok {
			return later, true
		}
		err = errors.Unwrap(err)
	}
	return nil, false
}

// AtMost returns the same request with a delay of no more than d.
func (l *Later) AtMost(d time.Duration) *Later {
	sooner := *l
	sooner.delay = max(min(l.delay, d), Soonest)
	return &sooner
}

// Delay is how long to wait, always positive.
func (l *Later) Delay() time.Duration { return l.delay }

// Pending reports whether the object is not done yet.
func (l *Later) Pending() bool { return l.reason != "" }

// Reason is the reason given to [Pending], else empty.
func (l *Later) Reason() string { return l.reason }

// Message is the message given to [Pending], else empty.
func (l *Later) Message() string { return l.message }

// Error says what is asked for.
func (l *Later) Error() string {
	if l.Pending() {
		return fmt.Sprintf("%s: %s; again after %s", l.reason, l.message, l.delay)
	}
	return fmt.Sprintf("again after %s", l.delay)
}

// OutcomeName names the outcome for metrics.
func (l *Later) OutcomeName() string {
	if l.Pending() {
		return "pending"
	}
	return "requeue"
}

// Terminal marks err as one that trying again cannot mend: a refused payment,
// a spec that contradicts itself. The object is not reconciled again until it
// changes. It is controller-runtime's terminal error. Terminal(nil) is nil.
func Terminal(err error) error {
	if err == nil {
		return nil
	}
	return reconcile.TerminalError(err)
}

// IsTerminal reports whether err is, or wraps, a terminal error.
func IsTerminal(err error) bool {
	return errors.Is(err, reconcile.TerminalError(nil))
}

// Because gives err a reason: a stable CamelCase word that appears in the
// object's Ready condition and events instead of a general one. Because with a
// nil err is nil.
func Because(reason string, err error) error {
	if err == nil {
		return nil
	}
	return &because{reason: reason, err: err}
}

type because struct {
	reason string
	err    error
}

func (b *because) Error() string  { return b.err.Error() }
func (b *because) Unwrap() error  { return b.err }
func (b *because) Reason() string { return b.reason }

// Reason returns the reason that err, or an error it wraps, carries: the
// outermost one, if the API server accepts it for a condition. Any error with a method
// Reason() string takes part.
func Reason(err error) (string, bool) {
	r, ok := errors.AsType[interface {
		error
		Reason() string
	}](err)
	if !ok || !validReason.MatchString(r.Reason()) {
		return "", false
	}
	return r.Reason(), true
}
