//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/backlog"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const (
	staff   = 10                     // workers of an operator
	outside = 20 * time.Millisecond  // of the call that a quiet tenant's reconcile makes
	rows    = 200 * time.Millisecond // between updates of the noisy tenant's objects
	bar     = 1.2                    // of the p95 of quiet tenants, beside the noisy one and without
)

// brief has what hangs do so for two seconds.
var brief = manager.Settings{ReconcileTimeout: 3 * time.Second, StatusReserve: time.Second}

// neighbours are quiet tenants, with one object each that changes now and then, and a
// noisy one, with many objects whose reconciles hang to the end of their budget.
type neighbours struct {
	t      testing.TB
	client client.Client
	noisy  string
	many   int // objects of the noisy tenant
	quiet  []*widget

	hanging atomic.Int32
	mu      sync.Mutex
	pending map[client.ObjectKey][]change
	seen    map[client.ObjectKey]int64 // generations, by passes under way
	taken   []time.Duration            // from changes to ends of the passes that saw them
}

// change is an event of a quiet tenant.
type change struct {
	generation int64
	at         time.Time
}

func settle(t testing.TB, quiet, many int) *neighbours {
	t.Helper()
	prefix := fmt.Sprintf("neighbours-%d", names.Add(1))
	n := &neighbours{
		t: t, client: direct(t), noisy: prefix + "-noisy", many: many,
		pending: map[client.ObjectKey][]change{}, seen: map[client.ObjectKey]int64{},
	}
	createNamespace(t, n.client, n.noisy)
	spread(many, func(i int) {
		w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: n.noisy, Name: fmt.Sprint("w", i)}}
		if err := n.client.Create(t.Context(), w); err != nil {
			t.Error(err)
		}
	})
	for i := range quiet {
		w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint(prefix, "-quiet-", i), Name: "w"}}
		createNamespace(t, n.client, w.Namespace)
		label(t, n.client, w.Namespace, `"yes"`)
		if err := n.client.Create(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		n.quiet = append(n.quiet, w)
	}
	t.Cleanup(func() { n.leave(t) })
	return n
}

// leave deletes the objects, which other operators on this API server would work on.
func (n *neighbours) leave(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := n.client.DeleteAllOf(ctx, &widget{}, client.InNamespace(n.noisy)); err != nil {
		t.Error(err)
	}
	for _, w := range n.quiet {
		if err := n.client.Delete(ctx, w); err != nil {
			t.Error(err)
		}
	}
}

// ReconcileKind implements the reconciler of both operators.
func (n *neighbours) ReconcileKind(ctx context.Context, w *widget) error {
	if w.Namespace == n.noisy {
		n.hanging.Add(1)
		defer n.hanging.Add(-1)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	n.mu.Lock()
	n.seen[client.ObjectKeyFromObject(w)] = w.Generation
	n.mu.Unlock()
	time.Sleep(outside)
	return writesStatus(n.client)(ctx, w)
}

// ended notes the end of a pass.
func (n *neighbours) ended(object client.ObjectKey) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending[object] = slices.DeleteFunc(n.pending[object], func(c change) bool {
		if c.generation > n.seen[object] {
			return false
		}
		n.taken = append(n.taken, now.Sub(c.at))
		return true
	})
}

// change changes the object of a quiet tenant. The event is when the API server has
// answered.
func (n *neighbours) change(w *widget) {
	object := client.ObjectKeyFromObject(w)
	c := change{w.Generation + 1, time.Now()}
	n.mu.Lock()
	n.pending[object] = append(n.pending[object], c)
	n.mu.Unlock()
	n.patch(w)
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.pending[object], c); i >= 0 { // else it is done already
		n.pending[object][i].at = time.Now()
	}
}

func (n *neighbours) patch(w *widget) {
	spec := fmt.Sprintf(`{"spec":{"size":%d}}`, w.Spec.Size+1)
	if err := n.client.Patch(n.t.Context(), w, client.RawPatch("application/merge-patch+json", []byte(spec))); err != nil {
		n.t.Error(err)
	}
}

// window is what was measured in one.
type window struct {
	events int
	done   int
	taken  []time.Duration // sorted; of what is not done, until the window was closed
}

// observe has quiet tenants change in turn for a while, and waits a little for what has
// been asked for. With noise the noisy tenant's objects change too.
func (n *neighbours) observe(length, every time.Duration, noise bool) window {
	n.mu.Lock()
	n.taken = nil
	clear(n.pending)
	n.mu.Unlock()
	var changing sync.WaitGroup
	begin := time.Now()
	repeat := func(every time.Duration, change func(i int)) {
		changing.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for i := 0; time.Since(begin) < length; i++ {
				<-tick.C
				change(i)
			}
		})
	}
	var w window
	repeat(every, func(i int) { n.change(n.quiet[i%len(n.quiet)]); w.events++ })
	if noise {
		repeat(rows, func(i int) {
			n.patch(&widget{
				ObjectMeta: metav1.ObjectMeta{Namespace: n.noisy, Name: fmt.Sprint("w", i%n.many)},
				Spec:       runtimetest.WidgetSpec{Size: time.Since(begin).Milliseconds()},
			})
		})
	}
	changing.Wait()
	time.Sleep(2 * time.Second)
	n.mu.Lock()
	defer n.mu.Unlock()
	w.done, w.taken = len(n.taken), n.taken
	for _, changes := range n.pending {
		for _, c := range changes {
			w.taken = append(w.taken, time.Since(c.at))
		}
	}
	slices.Sort(w.taken)
	return w
}

// queued is a source that does nothing but to tell the queue.
func queued(queue *backlog.Queue) source.Source {
	return source.Func(func(_ context.Context, q backlog.Queue) error { *queue = q; return nil })
}

// flood enqueues all objects of the noisy tenant, as events of them would.
func (n *neighbours) flood(queue backlog.Queue) {
	for i := range n.many {
		queue.Add(reconcile.Request{NamespacedName: client.ObjectKey{Namespace: n.noisy, Name: fmt.Sprint("w", i)}})
	}
}

// isolate starts an operator with sandboxes. To it the noisy tenant comes and goes.
func (n *neighbours) isolate() (comes, goes func()) {
	var queue backlog.Queue
	isolated(n.t, brief, staff, user(n.ReconcileKind), []source.Source{queued(&queue)}, func(next chain.Func) chain.Func {
		return func(ctx context.Context, req reconcile.Request) error {
			err := next(ctx, req)
			if err == nil {
				n.ended(req.NamespacedName)
			}
			return err
		}
	})
	comes = func() {
		label(n.t, n.client, n.noisy, `"yes"`)
		n.flood(queue)
		n.await("the noisy tenant has its share of the workers, and the rest waits in its line", func(hanging int) bool {
			waiting := runtimetest.Series(n.t, "operator_tenant_waiting", prometheus.Labels{"tenant": n.noisy})
			return hanging == staff/2 && len(waiting) == 1 && int(waiting[0].GetGauge().GetValue()) >= n.many-staff
		})
	}
	goes = func() {
		label(n.t, n.client, n.noisy, "null")
		n.await("what hangs ends", func(hanging int) bool { return hanging == 0 })
	}
	return comes, goes
}

// share starts an operator on controller-runtime alone, with a deadline as users set it.
// The noisy tenant comes once.
func (n *neighbours) share() (comes func()) {
	options := ctrl.Options{Scheme: runtimetest.Scheme()}
	options.Controller.SkipNameValidation = new(true)
	options.Metrics.BindAddress = "0"
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		n.t.Fatal(err)
	}
	p := plain{mgr.GetClient(), mgr.GetEventRecorder("widget"), n.ReconcileKind}
	var there atomic.Bool
	reconciler := reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		if req.Namespace == n.noisy && !there.Load() {
			return reconcile.Result{}, nil
		}
		ctx, cancel := context.WithTimeout(ctx, brief.Budget().Work())
		defer cancel()
		result, err := p.Reconcile(ctx, req)
		if err == nil {
			n.ended(req.NamespacedName)
		}
		return result, err
	})
	var queue backlog.Queue
	if err := ctrl.NewControllerManagedBy(mgr).For(&widget{}).WatchesRawSource(queued(&queue)).
		WithOptions(controller.Options{MaxConcurrentReconciles: staff}).Complete(reconciler); err != nil {
		n.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	n.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	})
	return func() {
		there.Store(true)
		n.flood(queue)
		n.await("the noisy tenant has the workers, and the rest is in the queue", func(hanging int) bool {
			return hanging == staff && queue.Len() >= n.many-2*staff
		})
	}
}

func (n *neighbours) await(what string, holds func(hanging int) bool) {
	n.t.Helper()
	eventually(n.t, what, func() bool { return holds(int(n.hanging.Load())) })
}

// quieten waits until every quiet tenant has been worked for.
func (n *neighbours) quieten() {
	n.t.Helper()
	eventually(n.t, "the first passes", func() bool {
		for _, w := range n.quiet {
			stored := &widget{}
			if err := n.client.Get(n.t.Context(), client.ObjectKeyFromObject(w), stored); err != nil || stored.Status.ObservedGeneration < w.Generation {
				return false
			}
		}
		return true
	})
}

func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[len(sorted)*percent/100]
}

func ratio(without, beside window) float64 {
	return float64(percentile(beside.taken, 95)) / float64(percentile(without.taken, 95))
}

// TestQuietTenantsOnARealAPIServer is BenchmarkNeighbours in short. What else the
// machine does only adds to a ratio, so that one round of some is enough.
func TestQuietTenantsOnARealAPIServer(t *testing.T) {
	const rounds, length, every = 4, 4 * time.Second, 40 * time.Millisecond
	n := settle(t, 25, 500)
	comes, goes := n.isolate()
	n.quieten()
	least := 100.0
	for range rounds {
		without := n.observe(length, every, false)
		comes()
		beside := n.observe(length, every, true)
		goes()
		for _, w := range []window{without, beside} {
			if w.done != w.events {
				t.Fatalf("%d of %d done", w.done, w.events)
			}
		}
		least = min(least, ratio(without, beside))
		t.Logf("p95 %s beside a noisy tenant, %s without", percentile(beside.taken, 95), percentile(without.taken, 95))
		if least <= bar {
			return
		}
	}
	t.Errorf("p95 of quiet tenants is %.2f times what it is without a noisy one", least)
}

// BenchmarkNeighbours measures how long changes of quiet tenants take until the pass
// that saw them has ended, with its status written: without a noisy tenant, and beside
// one, whose objects come into the queue all at once, hang in every worker they get,
// and change meanwhile. The operator with sandboxes is measured in turn without and
// with it; then the one on controller-runtime alone, once.
func BenchmarkNeighbours(b *testing.B) {
	const quiet, many, rounds, length, every = 50, 10_000, 10, 10 * time.Second, 40 * time.Millisecond
	n := settle(b, quiet, many)
	b.Run("sandboxes", func(b *testing.B) {
		n.t = b
		comes, goes := n.isolate()
		n.quieten()
		var without, beside window
		for range rounds {
			without.add(n.observe(length, every, false))
			comes()
			beside.add(n.observe(length, every, true))
			goes()
		}
		if found := report(b, without, beside); found > bar || beside.done < beside.events {
			b.Errorf("p95 of quiet tenants is %.2f times what it is without a noisy one, of at most %g; %d of %d done",
				found, bar, beside.done, beside.events)
		}
	})
	b.Run("plain", func(b *testing.B) {
		n.t = b
		comes := n.share()
		n.quieten()
		without := n.observe(rounds*length, every, false)
		comes()
		beside := n.observe(rounds*length, every, true)
		if found := report(b, without, beside); found <= bar {
			b.Errorf("on controller-runtime alone it is %.2f times: this measures nothing", found)
		}
	})
}

func (w *window) add(more window) {
	w.events, w.done = w.events+more.events, w.done+more.done
	w.taken = append(w.taken, more.taken...)
	slices.Sort(w.taken)
}

// report prints what was measured, and returns the ratio.
func report(b *testing.B, without, beside window) float64 {
	b.Helper()
	if without.done != without.events {
		b.Errorf("without a noisy tenant %d of %d done", without.done, without.events)
	}
	for name, w := range map[string]window{"without": without, "beside": beside} {
		b.ReportMetric(float64(w.events), name+"-events")
		b.ReportMetric(float64(w.done), name+"-done")
		for _, percent := range []int{0, 1, 5, 10, 25, 50, 75, 90, 95, 99} {
			b.ReportMetric(float64(percentile(w.taken, percent)), fmt.Sprintf("%s-p%d-ns", name, percent))
		}
	}
	found := ratio(without, beside)
	b.ReportMetric(found, "ratio")
	return found
}
