package tenant

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

var split = budget.Reconcile{Total: 10 * time.Second, Reserve: 2 * time.Second}

type valueKey struct{}

func TestWorkIsAChildOfTheReconcile(t *testing.T) {
	f := build(t, 4, "a")
	parent, end := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, "value"))
	ctx, leave, err := f.Enter(parent, key("a", "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if ctx.Value(valueKey{}) != "value" {
		t.Error("values are lost")
	}
	if namespace, ok := Of(ctx); namespace != "a" || !ok {
		t.Errorf("of tenant %q", namespace)
	}
	end(cause.Shutdown)
	if got := cause.Of(ctx); got != cause.Shutdown {
		t.Errorf("cause %v", got)
	}
	if _, ok := Of(t.Context()); ok {
		t.Error("work outside has a tenant")
	}
}

func TestTheEndOfWorkIsToldAlsoWhereItDoesNotReach(t *testing.T) {
	f := build(t, 8, "a", "b", "c")
	if err := Over(t.Context()); err != nil {
		t.Errorf("outside: %v", err)
	}
	left, leave := f.work(t, "a", "x")
	running, leaveRunning := f.work(t, "b", "x")
	defer leaveRunning()
	other, leaveOther := f.work(t, "c", "x")
	defer leaveOther()
	for _, ctx := range []context.Context{left, running, other} {
		if err := errors.Join(Over(context.WithoutCancel(ctx)), budget.Admit(context.WithoutCancel(ctx))); err != nil {
			t.Errorf("under way: %v", err)
		}
	}
	if ctx := t.Context(); Within(ctx) != ctx {
		t.Error("outside, the context is another one")
	}
	within := Within(context.WithoutCancel(left))
	if within.Err() != nil {
		t.Errorf("under way: %v", within.Err())
	}
	leave()
	<-within.Done()
	f.Restrict("b", Quota{Suspended: true})
	suspended := Within(context.WithoutCancel(running))
	<-suspended.Done()
	if got := context.Cause(suspended); got != error(cause.TenantSuspended) {
		t.Errorf("cause %v", got)
	}
	f.Forget("a")
	for name, test := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"left": {left, ErrOver}, "suspended": {running, cause.TenantSuspended}, "of another tenant": {other, nil},
	} {
		if err := Over(context.WithoutCancel(test.ctx)); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err := budget.Admit(context.WithoutCancel(test.ctx)); err != test.want {
			t.Errorf("%s, a call: %v, want %v", name, err, test.want)
		}
	}
}

func TestWorkEndsWithItsCause(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(*Set)
		want    *cause.Cause
	}{
		"gone":        {func(s *Set) { s.Forget("a") }, cause.TenantGone},
		"not kept":    {func(s *Set) { s.Keep(map[string]bool{"b": true}) }, cause.TenantGone},
		"terminating": {func(s *Set) { s.Put(Namespace{Name: "a", UID: "uid-of-a", Terminating: true}) }, cause.TenantGone},
		"replaced":    {func(s *Set) { s.Put(Namespace{Name: "a", UID: "another"}) }, cause.TenantGone},
		"suspended":   {func(s *Set) { s.Restrict("a", Quota{Suspended: true}) }, cause.TenantSuspended},
		"excluded":    {func(s *Set) { s.Restrict("a", Quota{Excluded: true}) }, cause.TenantGone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, 8, "a", "b")
				running, leave := f.work(t, "a", "x")
				second, leaveSecond := f.work(t, "a", "y")
				other, leaveOther := f.work(t, "b", "x")
				status, release, err := split.BeginStatus(second)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				test.happens(f.Set)
				for _, ctx := range []context.Context{running, second} {
					if got := cause.Of(ctx); !errors.Is(got, test.want) {
						t.Errorf("cause %v, want %v", got, test.want)
					}
				}
				if _, _, err := split.BeginStatus(running); !errors.Is(err, test.want) {
					t.Errorf("a status can be written: %v", err)
				}
				synctest.Wait()
				if got := cause.Of(status); !errors.Is(got, test.want) {
					t.Errorf("a status goes on being written: cause %v", got)
				}
				if other.Err() != nil {
					t.Errorf("another tenant's work ended: %v", context.Cause(other))
				}
				leave()
				leaveSecond()
				leaveOther()
				if f.busy != 0 {
					t.Errorf("%d places are held", f.busy)
				}
			})
		})
	}
}

// Its context was detached, as that of a status is, and its work ended for another
// reason before.
func TestTheFenceHoldsForWorkThatHasEnded(t *testing.T) {
	f := build(t, 4, "a")
	parent, end := context.WithCancelCause(t.Context())
	ctx, leave, err := f.Enter(parent, key("a", "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	end(cause.Shutdown)
	_, release, err := split.BeginStatus(ctx)
	if err != nil {
		t.Fatal(err)
	}
	release()
	f.Forget("a")
	if _, _, err := split.BeginStatus(ctx); !errors.Is(err, cause.TenantGone) {
		t.Errorf("a status can be written: %v", err)
	}
}

func TestNothingBeginsForWhatMayNotWork(t *testing.T) {
	f := build(t, 4, "gone", "suspended")
	f.Forget("gone")
	f.Restrict("suspended", Quota{Suspended: true})
	for namespace, want := range map[string]error{
		"gone": cause.TenantGone, "never": cause.TenantGone, "": cause.TenantGone, "suspended": cause.TenantSuspended,
	} {
		ran := false
		err := f.Gate(func(context.Context, reconcile.Request) error { ran = true; return nil })(t.Context(), reconcile.Request{NamespacedName: key(namespace, "x")})
		if ran || !errors.Is(err, want) || !chain.IsCutShort(err) {
			t.Errorf("%q: ran %t, error %v", namespace, ran, err)
		}
	}
	if f.busy != 0 {
		t.Errorf("%d places are held", f.busy)
	}
}

func TestTheGateLeaves(t *testing.T) {
	f := build(t, 4, "a")
	failure := errors.New("failure")
	var done <-chan struct{}
	gate := f.Gate(func(ctx context.Context, _ reconcile.Request) error { done = ctx.Done(); return failure })
	if err := gate(t.Context(), reconcile.Request{NamespacedName: key("a", "x")}); err != failure {
		t.Errorf("error %v", err)
	}
	select {
	case <-done:
	default:
		t.Error("its context goes on")
	}
	if f.busy != 0 {
		t.Error("it has not left")
	}
	func() {
		defer func() { _ = recover() }()
		_ = f.Gate(func(context.Context, reconcile.Request) error { panic("x") })(t.Context(), reconcile.Request{NamespacedName: key("a", "x")})
	}()
	if f.busy != 0 {
		t.Error("it has not left after a panic")
	}
}

func TestWithoutTenancyAllPasses(t *testing.T) {
	var none *Set
	k := none.Sandboxes(kind(t, 4, nil))
	ran := false
	if err := k.Gate(func(context.Context, reconcile.Request) error { ran = true; return nil })(t.Context(), reconcile.Request{}); err != nil || !ran {
		t.Errorf("ran %t, error %v", ran, err)
	}
	if err := k.Wakes().Start(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestLeavingTwiceIsLeaving(t *testing.T) {
	f := build(t, 8, "a")
	_, first := f.work(t, "a", "x")
	_, second := f.work(t, "a", "y")
	_, third := f.work(t, "a", "z")
	for range 3 {
		second()
	}
	if f.busy != 2 {
		t.Errorf("%d places are held, want 2", f.busy)
	}
	first()
	third()
	first()
	if f.busy != 0 || f.tenants["a"].boxes.newest != nil {
		t.Error("something is left")
	}
}

// A context that somebody keeps must not keep all that came after it.
func TestWorkThatHasEndedIsNotFoundFromOther(t *testing.T) {
	f := build(t, 8, "a")
	first, leave := f.work(t, "a", "x")
	_, leaveSecond := f.work(t, "a", "y")
	leave()
	leaveSecond()
	if e := first.(*entry); e.older != nil || e.newer != nil {
		t.Error("it is")
	}
}

func TestATenantsBudgetEndsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 4, "a")
		f.Restrict("a", Quota{Limits: Limits{Budget: time.Second}})
		ctx, leave := f.work(t, "a", "x")
		defer leave()
		begin := time.Now()
		<-ctx.Done()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("after %s", took)
		}
		if got := cause.Of(ctx); !errors.Is(got, cause.ReconcileDeadline) || got.Error() != "reconcile budget used up: 1s for the tenant" {
			t.Errorf("cause %v", got)
		}
		if _, release, err := split.BeginStatus(ctx); err != nil {
			t.Errorf("no status can be written: %v", err)
		} else {
			release()
		}
	})
}

func TestCallsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 8, "a", "b")
		f.Restrict("a", Quota{Limits: Limits{Calls: 2}})
		ctx, leave := f.work(t, "a", "x")
		defer leave()
		sibling, leaveSibling := f.work(t, "a", "y")
		defer leaveSibling()
		other, leaveOther := f.work(t, "b", "x")
		defer leaveOther()
		begin := time.Now()
		call := func(ctx context.Context) time.Duration {
			t.Helper()
			if err := budget.Admit(ctx); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin)
		}
		for i, c := range []context.Context{ctx, sibling, other, t.Context()} {
			if at := call(c); at != 0 {
				t.Errorf("call %d after %s", i, at)
			}
		}
		if at := call(ctx); at != 500*time.Millisecond {
			t.Errorf("a third call of two per second after %s", at)
		}
		if at := call(other); at != 500*time.Millisecond {
			t.Errorf("another's call after %s", at)
		}
		hasty, release := context.WithTimeout(ctx, 400*time.Millisecond)
		defer release()
		if err := budget.Admit(hasty); !budget.Retryable(err) || !strings.Contains(err.Error(), "tenant a may make 2 calls per second") {
			t.Errorf("no time for a turn: %v", err)
		}
		time.Sleep(time.Second) // after which there are turns
		ended, end := context.WithCancelCause(other)
		end(cause.Shutdown)
		if err := budget.Admit(ended); err != error(cause.Shutdown) {
			t.Errorf("a call under a context that has ended: %v", err)
		}
		f.Forget("a")
		if err := budget.Admit(ctx); !errors.Is(err, cause.TenantGone) {
			t.Errorf("a call of a tenant that is gone: %v", err)
		}
	})
}

// objects reads widgets, of which those named "deleted" are being deleted.
type objects struct{ client.Reader }

func (objects) Get(_ context.Context, k client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	switch k.Name {
	case "deleted":
		now := metav1.Now()
		o.SetDeletionTimestamp(&now)
	case "absent":
		return errors.New("not found")
	}
	return nil
}

func TestANamespaceThatIsDeletedWaitsForFinalizers(t *testing.T) {
	for name, quota := range map[string]Quota{"": {}, "suspended": {Suspended: true}, "excluded": {Excluded: true}} {
		t.Run(name, func(t *testing.T) {
			f := build(t, 4, "a")
			f.kind.Cache = objects{}
			f.work(t, "a", "x")
			f.Restrict("a", quota)
			f.arrived = nil
			f.Put(Namespace{Name: "a", UID: "uid-of-a", Terminating: true})
			if len(f.arrived) != 1 {
				t.Error("objects whose deletion has begun are forgotten")
			}
			if _, _, err := f.Enter(t.Context(), key("a", "kept")); !errors.Is(err, cause.TenantGone) {
				t.Errorf("error %v", err)
			}
			ctx, leave := f.work(t, "a", "deleted")
			defer leave()
			_, release, err := split.BeginStatus(ctx)
			if err != nil {
				t.Fatalf("the finalizer cannot be removed: %v", err)
			}
			release()
			f.Restrict("a", Quota{Limits: Limits{Concurrency: 9}})
			f.Put(Namespace{Name: "a", UID: "uid-of-a", Terminating: true})
			if ctx.Err() != nil {
				t.Errorf("ended by what is known: %v", context.Cause(ctx))
			}
			f.Forget("a")
			if !errors.Is(context.Cause(ctx), cause.TenantGone) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
		})
	}
}

// Two finalizers and a place for one. The object whose turn comes is gone by then.
func TestFinalizersTakeTurns(t *testing.T) {
	f := build(t, 10, "a")
	f.kind.Cache = objects{}
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	f.Put(Namespace{Name: "a", UID: "uid-of-a", Terminating: true})
	_, leave := f.work(t, "a", "deleted")
	f.park(t, "a", "absent")
	leave()
	f.wantCalls(t, "[a/absent]")
	_, leave = f.work(t, "a", "absent")
	leave()
	ctx, leave := f.work(t, "a", "deleted")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1, Budget: time.Hour}})
	if got := cause.Of(ctx); got != cause.TenantLimited {
		t.Errorf("cause %v", got)
	}
	leave()
	f.wantCalls(t, "[a/deleted]")
	_, leave = f.work(t, "a", "deleted")
	leave()
	if f.busy != 0 {
		t.Errorf("%d places are held", f.busy)
	}
}

func TestWorkIsFoundAroundWorkThatIsOver(t *testing.T) {
	f := build(t, 100, "a")
	first, leaveFirst := f.work(t, "a", "1")
	_, leaveSecond := f.work(t, "a", "2")
	f.work(t, "a", "3")
	leaveSecond()
	f.Forget("a")
	if first.Err() == nil {
		t.Error("the oldest goes on")
	}
	leaveFirst()

	f.Put(Namespace{Name: "a"})
	_, leaveFirst = f.work(t, "a", "1")
	_, leaveSecond = f.work(t, "a", "2")
	third, _ := f.work(t, "a", "3")
	leaveSecond()
	leaveFirst()
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	if third.Err() != nil {
		t.Error("what is over counts")
	}
}
