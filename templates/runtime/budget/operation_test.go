package budget_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

var bank = budget.Operation{
	Name: "bank", Timeout: 10 * time.Second, Attempt: 2 * time.Second,
	Backoff: budget.Backoff{Attempts: 4, Base: 100 * time.Millisecond, Max: time.Second},
}

// hang waits for the end of its context, like a call to a server that does not
// answer.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestDoRepeatsWhatIsRetryable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := bank.Do(t.Context(), func(ctx context.Context) error {
			if calls++; calls < 3 {
				return hang(ctx)
			}
			return nil
		})
		if err != nil || calls != 3 {
			t.Errorf("error %v after %d calls", err, calls)
		}
	})
}

func TestDoRepeatsAnAttemptThatSwallowsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := bank.Do(t.Context(), func(ctx context.Context) error {
			if calls++; calls < 2 {
				<-ctx.Done()
			}
			return nil
		})
		if err != nil || calls != 2 {
			t.Errorf("error %v after %d calls", err, calls)
		}
	})
}

func TestDoGivesUp(t *testing.T) {
	refused := errors.New("card refused")
	tests := map[string]struct {
		err   error
		calls int
	}{
		"at once, unknown error":     {refused, 1},
		"at once, terminal":          {requeue.Terminal(budget.Transient(refused)), 1},
		"after the last attempt":     {budget.Transient(refused), 4},
		"at once, budget of another": {cause.OperationDeadline.With("ledger"), 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := bank.Do(t.Context(), func(context.Context) error { calls++; return test.err })
				if calls != test.calls {
					t.Errorf("%d calls, want %d", calls, test.calls)
				}
				if !errors.Is(err, test.err) {
					t.Errorf("error %v does not wrap %v", err, test.err)
				}
			})
		})
	}
}

func TestDoStaysWithinItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := bank
		op.Backoff.Attempts = 1000
		start := time.Now()
		err := op.Do(t.Context(), hang)
		if took := time.Since(start); took > op.Timeout {
			t.Errorf("took %s of %s", took, op.Timeout)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// Waiting for an attempt that cannot be made would only waste the parent's time.
func TestDoDoesNotWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		op := budget.Operation{Name: "bank", Timeout: time.Second, Backoff: budget.Backoff{Attempts: 2, Base: 4 * time.Second}}
		failure := budget.Transient(errors.New("boom"))
		err := op.Do(t.Context(), func(context.Context) error { return failure })
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %s", took)
		}
		if !errors.Is(err, failure) {
			t.Errorf("error %v does not wrap the last one", err)
		}
		if got, want := err.Error(), "bank: no time left for another attempt; last error: boom"; got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	})
}

func TestDoEndsWithItsParent(t *testing.T) {
	for name, f := range map[string]func(context.Context) error{
		"in an attempt": hang,
		"in a wait":     func(context.Context) error { return budget.Transient(errors.New("boom")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause.Shutdown) })
				op := budget.Operation{Name: "bank", Timeout: time.Hour, Backoff: budget.Backoff{Attempts: 9, Base: time.Minute, Max: time.Minute}}
				start := time.Now()
				if err := op.Do(ctx, f); !errors.Is(err, cause.Shutdown) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func TestOperationNamesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, release := bank.Begin(t.Context())
		defer release()
		<-ctx.Done()
		if got, want := cause.Of(ctx).Error(), "operation budget used up: bank, 10s"; got != want {
			t.Errorf("cause %q, want %q", got, want)
		}
		if o := cause.Classify(ctx, nil); o.Name != "operation_deadline" {
			t.Errorf("outcome %q", o.Name)
		}
	})
}

func TestTheZeroOperationHasItsParentsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, cause.ReconcileDeadline)
		defer cancel()
		calls, start := 0, time.Now()
		err := budget.Operation{}.Do(ctx, func(ctx context.Context) error { calls++; return hang(ctx) })
		if took := time.Since(start); !errors.Is(err, cause.ReconcileDeadline) || took != time.Hour || calls != 1 {
			t.Errorf("error %v after %s and %d calls", err, took, calls)
		}
	})
}

func TestBackoffDelays(t *testing.T) {
	b := budget.Backoff{Base: 100 * time.Millisecond, Max: time.Second}
	for attempt, full := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 3: 400 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 1000: time.Second,
	} {
		var least, most time.Duration = time.Hour, 0
		for range 2000 {
			d := b.Delay(attempt)
			least, most = min(least, d), max(most, d)
		}
		if least < full/2 || most > full {
			t.Errorf("attempt %d: %s to %s, want within %s to %s", attempt, least, most, full/2, full)
		}
		if spread := most - least; spread < full/4 {
			t.Errorf("attempt %d: spread %s of %s is no jitter", attempt, spread, full)
		}
	}
	zero := budget.Backoff{}
	if d := zero.Delay(1); d < 50*time.Millisecond || d > 100*time.Millisecond {
		t.Errorf("zero value: first delay %s", d)
	}
	if d := zero.Delay(100); d < 5*time.Second || d > 10*time.Second {
		t.Errorf("zero value: last delay %s", d)
	}
}

func TestBackoffHonoursTheServersWish(t *testing.T) {
	b := budget.Backoff{Base: time.Millisecond}
	if d := b.After(1, apierrors.NewTooManyRequests("slow down", 3)); d != 3*time.Second {
		t.Errorf("delay %s, want 3s", d)
	}
	if d := b.After(1, fmt.Errorf("bank: %w", budget.TransientAfter(errors.New("busy"), 2*time.Second))); d != 2*time.Second {
		t.Errorf("delay %s, want 2s", d)
	}
	if d := b.After(1, errors.New("boom")); d > time.Millisecond {
		t.Errorf("delay %s, want the backoff's own", d)
	}
}

func TestRetryable(t *testing.T) {
	resource := schema.GroupResource{Group: "example.com", Resource: "widgets"}
	failure := errors.New("boom")
	dial := func(errno syscall.Errno) error {
		return &url.Error{Op: "Get", URL: "http://bank", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errno)}}
	}
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil":                 {nil, false},
		"unknown":             {failure, false},
		"transient":           {fmt.Errorf("a: %w", budget.Transient(failure)), true},
		"terminal":            {requeue.Terminal(failure), false},
		"terminal transient":  {requeue.Terminal(budget.Transient(failure)), false},
		"later":               {requeue.After(time.Second), false},
		"attempt deadline":    {fmt.Errorf("a: %w", cause.AttemptDeadline.With("bank")), true},
		"operation deadline":  {cause.OperationDeadline.With("bank"), false},
		"reconcile deadline":  {cause.ReconcileDeadline, false},
		"shutdown":            {cause.Shutdown, false},
		"deadline":            {context.DeadlineExceeded, false},
		"cancel":              {context.Canceled, false},
		"refused":             {dial(syscall.ECONNREFUSED), true},
		"reset":               {dial(syscall.ECONNRESET), true},
		"no such host":        {dial(syscall.EHOSTUNREACH), false},
		"cut":                 {&url.Error{Op: "Get", URL: "http://bank", Err: io.ErrUnexpectedEOF}, true},
		"network timeout":     {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, true},
		"API: too large":      {apierrors.NewInternalError(errors.New("etcdserver: request is too large")), false},
		"API: conflict":       {apierrors.NewConflict(resource, "w", failure), false},
		"API: not found":      {apierrors.NewNotFound(resource, "w"), false},
		"API: invalid":        {apierrors.NewBadRequest("bad"), false},
		"API: throttled":      {apierrors.NewTooManyRequests("slow down", 1), true},
		"API: timeout":        {apierrors.NewTimeoutError("timed out", 1), true},
		"API: server timeout": {apierrors.NewServerTimeout(resource, "get", 1), true},
		"API: unavailable":    {apierrors.NewServiceUnavailable("restarting"), true},
		"API: internal":       {apierrors.NewInternalError(failure), true},
		"API: bad gateway":    {apierrors.NewGenericServerResponse(http.StatusBadGateway, "get", resource, "w", "", 0, true), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := budget.Retryable(test.err); got != test.want {
				t.Errorf("Retryable(%v) = %t", test.err, got)
			}
		})
	}
	if budget.Transient(nil) != nil {
		t.Error("success became an error")
	}
}
