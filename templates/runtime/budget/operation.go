package budget

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Operation is a named budget for something done within a reconcile or a
// request. The zero value is one attempt in whatever time there is. An
// Operation is a value: declare it once, use it from many goroutines.
type Operation struct {
	// Name says what is done, in a few words; it becomes part of causes.
	Name string
	// Timeout is the time for all attempts together, 0 for no limit but the
	// parent's.
	Timeout time.Duration
	// Attempt is the time for each attempt, 0 for no limit but Timeout.
	Attempt time.Duration
	// Backoff says how often and how fast Do tries again.
	Backoff Backoff
}

// Begin returns the context for the operation. It ends with
// cause.OperationDeadline after Timeout, or earlier together with ctx and with
// ctx's cause. The returned function releases it.
func (o Operation) Begin(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.Timeout, cause.OperationDeadline.With(o.Name+", "+o.Timeout.String()))
}

// Do runs f under the operation's budget, again and again while its error is
// [Retryable], attempts are left and the next wait ends before the budget does.
// f must be safe to repeat: a read, a write with a precondition, a call with an
// idempotency key. Where calls are rationed (see [Meter]) each attempt waits for its
// turn.
//
// An operation with a name is observed (see package observe). The returned error
// wraps f's last error and, if the budget or ctx ended, the
// cause of that.
func (o Operation) Do(ctx context.Context, f func(context.Context) error) error {
	ctx, release := o.Begin(ctx)
	defer release()
	if o.Name == "" {
		return o.repeat(ctx, f)
	}
	ctx, call := observe.For(observe.External, o.Name).Begin(ctx)
	outcome := observe.Panicked
	defer func() { call.End(outcome) }()
	err := o.repeat(ctx, f)
	outcome = cause.Judged(err)
	return err
}

func (o Operation) repeat(ctx context.Context, f func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := o.try(ctx, f)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || attempt >= o.Backoff.attempts() || !Retryable(err) {
			return o.failed(attempt, err)
		}
		if waitErr := Wait(ctx, o.Backoff.After(attempt, err)); waitErr != nil {
			return o.failed(attempt, fmt.Errorf("%w; last error: %w", waitErr, err))
		}
	}
}

// try runs one attempt, when it may begin. The error wraps the cause if a context ended.
func (o Operation) try(ctx context.Context, f func(context.Context) error) error {
	if err := Admit(ctx); err != nil {
		return cause.Classify(ctx, err).Err
	}
	if o.Attempt > 0 {
		var release context.CancelFunc
		ctx, release = context.WithTimeoutCause(ctx, o.Attempt, cause.AttemptDeadline.With(o.Name+", "+o.Attempt.String()))
		defer release()
	}
	return cause.Classify(ctx, f(ctx)).Err
}

func (o Operation) failed(attempt int, err error) error {
	if attempt > 1 {
		err = fmt.Errorf("attempt %d: %w", attempt, err)
	}
	if o.Name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", o.Name, err)
}

// errNoTime says that waiting for the next attempt would outlast the budget.
var errNoTime = errors.New("no time left for another attempt")

// Wait waits for d. It fails at once if ctx would end before that, and with
// ctx's cause as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return errNoTime
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
