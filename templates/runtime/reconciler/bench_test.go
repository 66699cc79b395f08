package reconciler_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// cached reads like the manager's client: a deep copy out of memory.
type cached struct {
	client.Client
	stored *widget
}

func (c cached) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	*obj.(*widget) = *c.stored.DeepCopy()
	return nil
}

// cachedProcess is a process whose client reads from memory.
type cachedProcess struct {
	*process
	client client.Client
}

func (c cachedProcess) GetClient() client.Client { return c.client }

// settled is an object that is in order, so that a pass writes nothing.
func settled() *widget {
	w := &widget{}
	w.Name, w.Namespace, w.UID, w.Generation, w.ResourceVersion = "w", "default", "uid-1", 3, "7"
	w.Labels = map[string]string{"app": "w"}
	w.Status.ObservedGeneration, w.Status.Phase = 3, "Ready"
	apimeta.SetStatusCondition(&w.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Reconciled", ObservedGeneration: 3,
	})
	return w
}

// store is a variable of the package, so that the compiler cannot see through
// the interface and spare the bare reconciler what a real client costs.
var store client.Client = cached{stored: settled()}

// pair returns a reconciler that finds everything in order, bare and with the
// whole chain around it. The difference is what the runtime costs.
func pair(t testing.TB) (bare, wrapped reconcile.Reconciler) {
	work := func(_ context.Context, w *widget) error { w.Status.Phase = "Ready"; return nil }
	bare = reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		w := &widget{}
		if err := store.Get(ctx, req.NamespacedName, w); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		return reconcile.Result{}, work(ctx, w)
	})
	_, wrapped = build(t, cachedProcess{process: runtimetest.NewProcess(limit), client: store}, user(work))
	return bare, wrapped
}

// BenchmarkPass prints what a pass costs bare, and with the chain; as a yardstick
// for the machine, and as most of what the chain adds, also one context with a
// timeout.
func BenchmarkPass(b *testing.B) {
	bare, wrapped := pair(b)
	silent := log.IntoContext(b.Context(), logr.Discard())
	zapped := log.IntoContext(b.Context(), zap.New(zap.WriteTo(io.Discard)))
	b.Run("context.WithTimeout", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, cancel := context.WithTimeout(silent, time.Minute)
			cancel()
		}
	})
	for _, bench := range []struct {
		name string
		ctx  context.Context
		r    reconcile.Reconciler
	}{
		{"bare", silent, bare},
		{"wrapped", silent, wrapped},
		{"wrapped and logging", zapped, wrapped},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.r.Reconcile(bench.ctx, request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestTheChainAllocatesLittle(t *testing.T) {
	bare, wrapped := pair(t)
	ctx := log.IntoContext(t.Context(), logr.Discard())
	count := func(r reconcile.Reconciler) float64 {
		return testing.AllocsPerRun(1000, func() { _, _ = r.Reconcile(ctx, request) })
	}
	if added := count(wrapped) - count(bare); added > 15 {
		t.Errorf("the chain adds %.0f allocations to a pass, of at most 15", added)
	}
}

// BenchmarkOverhead prints what a bare pass costs, a wrapped one, and what that adds.
func BenchmarkOverhead(b *testing.B) {
	bare, wrapped := pair(b)
	ctx := log.IntoContext(b.Context(), logr.Discard())
	pass := func(r reconcile.Reconciler) func() {
		return func() {
			if _, err := r.Reconcile(ctx, request); err != nil {
				b.Fatal(err)
			}
		}
	}
	medians := runtimetest.Medians(b, pass(bare), pass(wrapped))
	b.ReportMetric(medians[0], "bare-ns/pass")
	b.ReportMetric(medians[1], "wrapped-ns/pass")
	b.ReportMetric(medians[1]-medians[0], "added-ns/pass")
}
