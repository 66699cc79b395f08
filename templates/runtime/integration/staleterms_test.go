//go:build integration

package integration_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// replica is an operator that leads or waits for its turn.
type replica struct {
	*operator
	proxy *lag.Proxy
	poke  chan event.GenericEvent // has it look at an object
}

// replica starts another replica and returns when its cache is filled.
func (s *stale) replica(t *testing.T, u reconciler.Interface[*widget]) *replica {
	t.Helper()
	r := &replica{proxy: s.proxy(t), poke: make(chan event.GenericEvent)}
	settings := manager.Settings{
		LeaderElection: true, LeaderElectionID: s.namespace,
		Leader: leader.Settings{Namespace: "default", LeaseDuration: 2 * time.Second, RetryPeriod: 100 * time.Millisecond},
	}
	r.operator = s.operate(t, r.proxy.Config(), settings, u, source.Channel(r.poke, &handler.EnqueueRequestForObject{}))
	eventually(t, "a cache that is filled", func() bool {
		informer, err := r.runtime.GetCache().GetInformer(t.Context(), &widget{}, cache.BlockUntilSynced(false))
		return err == nil && informer.HasSynced()
	})
	return r
}

// leads waits until the replica leads.
func (r *replica) leads(t *testing.T) {
	t.Helper()
	eventually(t, "a leader", r.runtime.Election().Leading)
}

// knows waits until the replica's cache has something.
func (r *replica) knows(t *testing.T, what string, holds func(client.Reader) bool) {
	t.Helper()
	eventually(t, "a cache that knows "+what, func() bool { return holds(r.runtime.GetCache()) })
}

// stop stops the replica in good order.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	if _, err := r.end(); err != nil {
		t.Errorf("a replica ended with %v", err)
	}
	r.proxy.Close()
}

// handOver stops a replica and has the next one lead, from whose cache something
// is held back until release is called: for so long after its term has begun.
func (s *stale) handOver(t *testing.T, from, to *replica, release func()) {
	t.Helper()
	from.stop(t)
	to.leads(t)
	time.AfterFunc(s.delay, release)
}

// follow counts how often the status of a Ready condition changes, from now on
// until the returned function is called.
func (s *stale) follow(t *testing.T) (changes func() int) {
	t.Helper()
	c, err := client.NewWithWatch(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	list := &runtimetest.WidgetList{}
	if err := c.List(t.Context(), list, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	watch, err := c.Watch(t.Context(), &runtimetest.WidgetList{}, client.InNamespace(s.namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Stop)
	was := map[string]metav1.ConditionStatus{}
	for _, w := range list.Items {
		was[w.Name] = ready(&w).Status
	}
	last := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "last"}}
	return func() (n int) {
		if err := s.client.Create(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		for event := range watch.ResultChan() {
			w, ok := event.Object.(*widget)
			if !ok {
				t.Fatalf("the watch brought %T", event.Object)
			}
			if w.Name == last.Name {
				return n
			}
			if is := ready(w).Status; is != was[w.Name] {
				was[w.Name] = is
				n++
			}
		}
		t.Fatal("the watch has ended")
		return n
	}
}

// Two replicas are restarted in turn, each while it works on objects that are
// ready, and stay so.
func TestRollingRestartsChangeNoReadyCondition(t *testing.T) {
	objects, restarts := count(20, 500), count(3, 20)
	lagging(t, func(t *testing.T, s *stale) {
		var finish, hanging atomic.Int64 // how many passes may still finish; how many have not
		finish.Store(1 << 40)
		u := user(func(ctx context.Context, w *widget) error {
			if w.Namespace != s.namespace || finish.Add(-1) >= 0 {
				return nil
			}
			hanging.Add(1)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		leading := s.replica(t, u)
		leading.leads(t)
		for range objects {
			s.create(t, runtimetest.WidgetSpec{})
		}
		if n := s.settles(t, unready); n != 0 {
			t.Fatalf("%d objects are not ready before any restart", n)
		}
		changes := s.follow(t)
		for i := range restarts {
			next := s.replica(t, u)
			hanging.Store(0)
			if finish.Store(int64(objects / 2)); i == restarts-1 {
				finish.Store(1 << 40)
			}
			s.handOver(t, leading, next, next.proxy.Hold(widgetResource))
			leading = next
			if i < restarts-1 {
				eventually(t, "the leader in the middle of its work", func() bool { return hanging.Load() > 0 })
			}
		}
		s.found(t, "Unknown left by a rolling restart", s.settles(t, unready), objects)
		leading.stop(t)
		s.found(t, "changes of Ready in a rolling restart", changes(), objects*restarts)
	})
}

// Of what a leader writes at the end of its term, the cache of the next one
// learns late: of some objects that it has made their bucket, of others, which were
// ready, that its pass did not finish.
func TestATermBeginsWhereTheLastOneEnded(t *testing.T) {
	const each = 2
	const done, interrupted = 1, 2 // sizes of widgets
	terms := count(5, 200)
	lagging(t, func(t *testing.T, s *stale) {
		var now atomic.Pointer[term]
		var buckets counter
		u := user(func(ctx context.Context, w *widget) error {
			if w.Namespace != s.namespace {
				return nil
			}
			if err := now.Load().wait(ctx, w.Spec.Size == done); err != nil {
				return err
			}
			if w.Spec.Size == done && w.Status.Phase == "" {
				w.Status.Phase = "bucket-" + w.Name
				buckets.add(w.Status.Phase)
			}
			return nil
		})
		wrong := 0
		now.Store(newTerm())
		leading := s.replica(t, u)
		leading.leads(t)
		for range terms {
			next := s.replica(t, u)
			var finished, unfinished []*widget
			for range each {
				finished = append(finished, s.create(t, runtimetest.WidgetSpec{Size: done}))
				unfinished = append(unfinished, s.create(t, runtimetest.WidgetSpec{Size: interrupted}))
			}
			objects := slices.Concat(finished, unfinished)
			next.knows(t, "the objects", func(known client.Reader) bool {
				for _, w := range objects {
					now := &widget{}
					if err := known.Get(t.Context(), client.ObjectKeyFromObject(w), now); err != nil || w.Spec.Size == interrupted && unready(now) {
						return false
					}
				}
				return true
			})
			release := next.proxy.Hold(widgetResource)
			close(now.Load().finish)
			eventually(t, "what is done in this term", func() bool {
				return !slices.ContainsFunc(finished, func(w *widget) bool { return get(t, w).Status.Phase == "" })
			})
			now.Load().hang.Store(true)
			for _, w := range unfinished {
				leading.poke <- event.GenericEvent{Object: w}
			}
			eventually(t, "passes that do not finish", func() bool { return now.Load().hanging.Load() == each })
			s.handOver(t, leading, next, release)
			leading = next
			close(now.Load().over)
			wrong += s.settles(t, unready)
			for _, w := range objects {
				if err := s.client.Delete(t.Context(), w); err != nil {
					t.Fatal(err)
				}
			}
			now.Store(newTerm())
		}
		s.found(t, "the last leader's word left in a new term", wrong, each*terms)
		s.found(t, "a bucket of the last leader made again", buckets.again(), each*terms)
	})
}

// term is what passes wait for in a leader's term.
type term struct {
	finish  chan struct{} // closed when those may finish that do in this term
	over    chan struct{} // closed when the term is over
	hang    atomic.Bool   // tells the others to wait for that
	hanging atomic.Int64
}

func newTerm() *term { return &term{finish: make(chan struct{}), over: make(chan struct{})} }

// wait holds up a pass that finishes in the term, or one that does not.
func (t *term) wait(ctx context.Context, finishes bool) error {
	until := t.finish
	if !finishes {
		if !t.hang.Load() {
			return nil
		}
		t.hanging.Add(1)
		until = t.over
	}
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
