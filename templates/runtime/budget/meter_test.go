package budget_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// everySecond admits a call each second.
type everySecond struct{ next time.Time }

var errRationed = errors.New("one call each second")

func (m *everySecond) Admit(context.Context) error {
	if wait := time.Until(m.next); wait > 0 {
		return budget.TransientAfter(errRationed, wait)
	}
	m.next = time.Now().Add(time.Second)
	return nil
}

// rationed returns a context under which one call may begin now, and one each second.
func rationed(t *testing.T) context.Context {
	return context.WithValue(t.Context(), budget.MeterKey{}, &everySecond{})
}

func TestAttemptsAreRationed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		err := bank.Do(rationed(t), func(context.Context) error {
			if at = append(at, time.Since(begin)); len(at) < 3 {
				return budget.Transient(errors.New("busy"))
			}
			return nil
		})
		if err != nil || len(at) != 3 || at[0] != 0 || at[1] != time.Second || at[2] != 2*time.Second {
			t.Errorf("attempts after %v: %v", at, err)
		}
	})
}

// A turn is waited for out of the operation's time, and takes none of an attempt's.
func TestATurnIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := budget.Operation{Name: "once", Timeout: 10 * time.Second, Attempt: 500 * time.Millisecond}
		ctx := rationed(t)
		for i := range 3 {
			if err := once.Do(ctx, func(ctx context.Context) error {
				if deadline, _ := ctx.Deadline(); time.Until(deadline) != once.Attempt {
					t.Errorf("call %d has %s", i, time.Until(deadline))
				}
				return nil
			}); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

func TestATurnThatComesTooLateIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, release := context.WithTimeoutCause(rationed(t), time.Second/2, cause.ReconcileDeadline)
		defer release()
		begin := time.Now()
		if err := budget.Admit(ctx); err != nil {
			t.Fatal(err)
		}
		err := budget.Admit(ctx)
		if !errors.Is(err, errRationed) || !budget.Retryable(err) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %s to tell", took)
		}
	})
}

func TestTheWaitForATurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancelCause(rationed(t))
		defer end(nil)
		if err := budget.Admit(ctx); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second/2, func() { end(cause.TenantGone) })
		err := bank.Do(ctx, func(context.Context) error { t.Error("called"); return nil })
		if !errors.Is(err, cause.TenantGone) {
			t.Errorf("error %v", err)
		}
	})
}
