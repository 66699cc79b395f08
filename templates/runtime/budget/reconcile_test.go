package budget_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

var split = budget.Reconcile{Total: 20 * time.Second, Reserve: 5 * time.Second}

func TestWorkEndsBeforeTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, release := split.Begin(t.Context())
		defer release()
		<-ctx.Done()
		if worked := time.Since(start); worked != 15*time.Second {
			t.Errorf("work ended after %s", worked)
		}
		if got := cause.Of(ctx); got != cause.ReconcileDeadline {
			t.Errorf("cause %v", got)
		}
	})
}

func TestWorkEndsWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := begin(t.Context())
		cancel(cause.Superseded)
		if got := cause.Of(ctx); got != cause.Superseded || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("cause %v, error %v", got, ctx.Err())
		}
	})
}

// begin is Begin with a function that ends the work early.
func begin(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	work, release := split.Begin(ctx)
	return work, func(reason error) { cancel(reason); release() }
}

// A parent with less time left keeps its own cause: WithTimeoutCause under it
// is a plain child whose cause never fires.
func TestAShorterParentWins(t *testing.T) {
	parent := cause.Deadline("webhook_deadline", "webhook out of time")
	for name, start := range map[string]func(context.Context) context.Context{
		"reconcile": func(ctx context.Context) context.Context {
			ctx, release := split.Begin(ctx)
			t.Cleanup(release)
			return ctx
		},
		"operation": func(ctx context.Context) context.Context {
			ctx, cancel := budget.Operation{Name: "bank", Timeout: time.Minute}.Begin(ctx)
			t.Cleanup(cancel)
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, parent)
				defer cancel()
				child := start(ctx)
				started := time.Now()
				<-child.Done()
				if took := time.Since(started); took != time.Second {
					t.Errorf("lasted %s, longer than its parent", took)
				}
				if o := cause.Classify(child, nil); o.Cause != parent {
					t.Errorf("outcome %+v, want the parent's cause", o)
				}
			})
		})
	}
}

func TestStatusOutlivesTheWork(t *testing.T) {
	for name, reason := range map[string]error{"timeout": nil, "shutdown": cause.Shutdown, "superseded": cause.Superseded} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type key struct{}
				work, cancel := begin(context.WithValue(t.Context(), key{}, "kept"))
				defer cancel(nil)
				if reason == nil {
					<-work.Done()
				} else {
					cancel(reason)
				}
				ctx, release, err := split.BeginStatus(work)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				if ctx.Err() != nil || ctx.Value(key{}) != "kept" {
					t.Fatalf("error %v, value %v", ctx.Err(), ctx.Value(key{}))
				}
				start := time.Now()
				<-ctx.Done()
				if lasted := time.Since(start); lasted != split.Reserve {
					t.Errorf("status context lasted %s", lasted)
				}
				if got := cause.Of(ctx); got != cause.StatusDeadline {
					t.Errorf("cause %v", got)
				}
			})
		})
	}
}

func TestNoStatusAfterAFencingCause(t *testing.T) {
	for _, reason := range []*cause.Cause{cause.LeadershipLost, cause.TenantGone, cause.ShutdownEnded} {
		work, cancel := begin(t.Context())
		cancel(reason.With("detail"))
		if _, _, err := split.BeginStatus(work); !errors.Is(err, reason) {
			t.Errorf("%s: BeginStatus = %v", reason.Name(), err)
		}
	}
}

func TestAFenceForbidsTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, lose := context.WithCancelCause(t.Context())
		tenant, leave := context.WithCancelCause(t.Context())
		ctx := budget.WithFence(budget.WithFence(t.Context(), term), tenant)
		work, cancel := begin(ctx)
		cancel(cause.Shutdown) // the work has ended for another, earlier reason

		status, release, err := split.BeginStatus(work)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		lose(cause.LeadershipLost)
		synctest.Wait()
		if got := cause.Of(status); got != cause.LeadershipLost {
			t.Errorf("a fence that fell meanwhile: cause %v", got)
		}
		if _, _, err := split.BeginStatus(work); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("a fence that has fallen: %v", err)
		}
		leave(cause.TenantGone)
		if _, _, err := split.BeginStatus(budget.WithFence(t.Context(), tenant)); !errors.Is(err, cause.TenantGone) {
			t.Errorf("another fence: %v", err)
		}
	})
}

func TestFencesDoNotReachSiblings(t *testing.T) {
	fallen, fall := context.WithCancelCause(t.Context())
	fall(cause.TenantGone)
	base := budget.WithFence(budget.WithFence(budget.WithFence(t.Context(), t.Context()), t.Context()), t.Context())
	first := budget.WithFence(base, t.Context())
	_ = budget.WithFence(base, fallen)
	if _, release, err := split.BeginStatus(first); err != nil {
		t.Errorf("got a sibling's fence: %v", err)
	} else {
		release()
	}
}

func TestReleasedStatusLeavesNothingOnItsFences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, lose := context.WithCancelCause(t.Context())
		status, release, err := split.BeginStatus(budget.WithFence(t.Context(), term))
		if err != nil {
			t.Fatal(err)
		}
		release()
		lose(cause.LeadershipLost)
		synctest.Wait()
		if got := cause.Of(status); got == cause.LeadershipLost {
			t.Error("a released status context still hangs on its fence")
		}
	})
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		budget budget.Reconcile
		want   string // part of the error, empty for none
	}{
		"good":            {split, ""},
		"zero":            {budget.Reconcile{}, "total 0s must be positive"},
		"no reserve":      {budget.Reconcile{Total: time.Second}, "reserve 0s must be positive"},
		"nothing to work": {budget.Reconcile{Total: time.Second, Reserve: time.Second}, "leaves nothing of the total 1s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.budget.Validate()
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one about %q", err, test.want)
			}
		})
	}
}
