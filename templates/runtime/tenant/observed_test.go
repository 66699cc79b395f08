package tenant

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// wantOutcomes asks the metrics how the operations on the kind of a test have ended.
func wantOutcomes(t *testing.T, operation string, want map[string]int) {
	t.Helper()
	got := runtimetest.Outcomes(t, prometheus.Labels{"operation": operation, "target": t.Name()})
	if !maps.Equal(got, want) {
		t.Errorf("outcomes of %s: %v, want %v", operation, got, want)
	}
}

func TestEveryEntryIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 8, "a", "limited", "suspended", "gone", "hurried")
		_, leave := f.work(t, "a", "x")
		time.Sleep(2 * time.Second)
		leave()
		leave()
		parent, end := context.WithCancelCause(t.Context())
		_, leave, err := f.Enter(parent, key("a", "x"))
		if err != nil {
			t.Fatal(err)
		}
		end(cause.Shutdown)
		leave()

		f.Restrict("hurried", Quota{Limits: Limits{Budget: time.Second}})
		_, leave = f.work(t, "hurried", "x")
		time.Sleep(time.Second)
		leave()
		f.Restrict("limited", Quota{Limits: Limits{Concurrency: 2}})
		_, first := f.work(t, "limited", "x")
		_, second := f.work(t, "limited", "y")
		f.park(t, "limited", "z")
		f.Restrict("limited", Quota{Limits: Limits{Concurrency: 1}})
		second()
		first()
		for name, happens := range map[string]func(){
			"suspended": func() { f.Restrict("suspended", Quota{Suspended: true}) },
			"gone":      func() { f.Forget("gone") },
		} {
			_, leave := f.work(t, name, "x")
			happens()
			leave()
			if _, _, err := f.Enter(t.Context(), key(name, "x")); err == nil {
				t.Errorf("%s: it begins", name)
			}
		}

		wantOutcomes(t, observe.Tenant, map[string]int{
			"ok": 2, "shutdown": 1, "reconcile_deadline": 1, "waiting": 1,
			"tenant_limited": 1, "tenant_suspended": 2, "tenant_gone": 2,
		})
		stays := runtimetest.Series(t, "operator_operation_duration_seconds", prometheus.Labels{"operation": observe.Tenant, "target": t.Name()})
		if got := stays[0].GetHistogram().GetSampleSum(); got != 3 {
			t.Errorf("stays of %v s, want 3 s", got)
		}
	})
}

func TestEveryWaitIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 8, "a", "suspended", "gone")
		leave := map[string]context.CancelFunc{}
		for _, name := range []string{"a", "suspended", "gone"} {
			f.Restrict(name, Quota{Limits: Limits{Concurrency: 1}})
			_, leave[name] = f.work(t, name, "1")
			f.park(t, name, "2")
			f.park(t, name, "2")
		}
		time.Sleep(40 * time.Second)
		leave["a"]()
		f.Restrict("a", Quota{Limits: Limits{Concurrency: 1, Calls: 1}}) // who was called waits again
		time.Sleep(2 * time.Second)
		f.Restrict("suspended", Quota{Suspended: true})
		f.Forget("gone")
		leave["suspended"]()
		leave["gone"]()

		wantOutcomes(t, observe.TenantWait, map[string]int{"ok": 2, "tenant_suspended": 1, "tenant_gone": 1})
		waits := runtimetest.Series(t, "operator_operation_duration_seconds", prometheus.Labels{"operation": observe.TenantWait, "target": t.Name()})
		if got := waits[0].GetHistogram().GetSampleSum(); got != 40+42+42 {
			t.Errorf("waits of %v s, want 124 s", got)
		}
	})
}

// waits returns what is told of the lines of the test's kind, by tenant.
func waits(t *testing.T) map[string]int {
	t.Helper()
	by := map[string]int{}
	for _, m := range runtimetest.Series(t, "operator_tenant_waiting", prometheus.Labels{"target": t.Name()}) {
		by[runtimetest.Label(m, "tenant")] = int(m.GetGauge().GetValue())
	}
	return by
}

// Twelve tenants have lines, one of which has a name that stands for others.
func TestTheLongestLinesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 100, "idle")
		f.kind.Cache = &lists{}
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		if got := waits(t); len(got) != 0 {
			t.Errorf("told before the controller runs: %v", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		if err := f.Wakes().Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		if got := waits(t); !maps.Equal(got, map[string]int{observe.Other: 0}) {
			t.Errorf("while nobody waits: %v", got)
		}
		want := map[string]int{observe.Other: 12 + 1}
		for i := range 12 {
			name := fmt.Sprint("tenant-", i)
			switch i {
			case 0: // has the shortest line
			case 11:
				name = observe.Other
			default:
				want[name] = i + 1
			}
			f.Put(Namespace{Name: name})
			f.Restrict(name, Quota{Limits: Limits{Concurrency: 1}})
			f.work(t, name, "at work")
			for n := range i + 1 {
				f.park(t, name, fmt.Sprint(n))
			}
		}
		another := f.Set.Sandboxes(Kind{Name: "another", Workers: 100})
		if _, _, err := another.Enter(ctx, key("tenant-5", "at work")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := another.Enter(ctx, key("tenant-5", "waits")); err != ErrWaiting {
			t.Fatal(err)
		}
		delete(want, "tenant-1")
		want[observe.Other] += 2
		if got := waits(t); !maps.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		f.Keep(nil)
		if got := waits(t); !maps.Equal(got, map[string]int{observe.Other: 0}) {
			t.Errorf("after all are gone: %v", got)
		}
		stop()
		synctest.Wait()
		if got := waits(t); len(got) != 0 {
			t.Errorf("told after the controller has ended: %v", got)
		}
	})
}
