//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// spread does something many times, some at once.
func spread(many int, do func(i int)) {
	const at = 8
	var all sync.WaitGroup
	for first := range at {
		all.Go(func() {
			for i := first; i < many; i += at {
				do(i)
			}
		})
	}
	all.Wait()
}

// inUse returns the bytes in use and the number of goroutines.
func inUse() (heap int64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), runtime.NumGoroutine()
}

// BenchmarkTenantsAtRest measures what tenants cost an operator beside what it has of
// their namespaces and objects anyway: the same operator before any of them is a tenant,
// and after each has become one and has been worked for, with its status written. An
// operator before it has written statuses of the same size, so that the cache holds as
// much in both states.
func BenchmarkTenantsAtRest(b *testing.B) {
	const many, bar, patience = 10_000, 700, 10 * time.Minute
	prefix := fmt.Sprintf("rest-%d-", names.Add(1))
	c := direct(b)
	labelled := func(value string) {
		spread(many, func(i int) {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(prefix, i)}}
			change := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"tenant":`+value+`}}}`))
			if err := c.Patch(b.Context(), ns, change); err != nil {
				b.Error(err)
			}
		})
	}
	spread(many, func(i int) {
		name := fmt.Sprint(prefix, i)
		if err := c.Create(b.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			b.Error(err)
		}
		if err := c.Create(b.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "w"}}); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		ctx := context.WithoutCancel(b.Context())
		spread(many, func(i int) {
			w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint(prefix, i), Name: "w"}}
			if err := c.Delete(ctx, w); err != nil {
				b.Error(err)
			}
		})
	})
	var passes atomic.Int64
	counted := func(next chain.Func) chain.Func {
		return func(ctx context.Context, req reconcile.Request) error {
			err := next(ctx, req)
			if err == nil {
				passes.Add(1)
			}
			return err
		}
	}
	phase := func(name string) user {
		return func(_ context.Context, w *widget) error {
			w.Status.Phase = name
			return nil
		}
	}
	before := runWith(b, config, manager.Settings{}, func(rt *manager.Runtime) error {
		k := kind()
		k.Workers = staff
		loop, err := reconciler.New(rt, k, phase("first"))
		if err != nil {
			return err
		}
		return loop.Register(rt, wrap(rt, loop, counted))
	})
	within(b, patience, "the first statuses", func() bool { return passes.Load() >= many })
	if _, err := before.end(); err != nil {
		b.Error(err)
	}

	passes.Store(0)
	cut := func() int {
		return runtimetest.Outcomes(b, prometheus.Labels{"operation": "tenant", "target": "widget"})["tenant_gone"]
	}
	already := cut()
	isolated(b, manager.Settings{}, staff, phase("again"), nil, counted)
	within(b, patience, "passes over what is no tenant's", func() bool { return cut()-already >= many })
	heap, goroutines := inUse()
	labelled(`"yes"`)
	within(b, patience, "a pass for each tenant", func() bool { return passes.Load() >= many })
	heapAfter, goroutinesAfter := inUse()

	each := float64(heapAfter-heap) / many
	b.ReportMetric(each, "B/tenant")
	b.ReportMetric(float64(goroutinesAfter-goroutines)/many, "goroutines/tenant")
	b.ReportMetric(many, "tenants")
	if each > bar {
		b.Errorf("a tenant costs %.0f B at rest, of at most %d", each, bar)
	}
	if more := goroutinesAfter - goroutines; more > many/100 {
		b.Errorf("%d goroutines more", more)
	}
}
