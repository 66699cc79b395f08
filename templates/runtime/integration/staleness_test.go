//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// With STALENESS=long the tests of stale caches take their full counts and all
// delays; STALENESS_REPORT names a file to which each result is appended.
const (
	stalenessForm   = "STALENESS"
	stalenessReport = "STALENESS_REPORT"
)

// count is how many of something a test takes, in its short form and in its long.
func count(short, long int) int {
	if os.Getenv(stalenessForm) == "long" {
		return long
	}
	return short
}

// lagging runs f behind a proxy whose watches of widgets are late, once for each
// delay.
func lagging(t *testing.T, f func(*testing.T, *stale)) {
	delays := []time.Duration{0, 50 * time.Millisecond}
	if os.Getenv(stalenessForm) == "long" {
		delays = []time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, time.Second}
	}
	for _, delay := range delays {
		t.Run(delay.String(), func(t *testing.T) {
			s := &stale{
				delay: delay, namespace: fmt.Sprintf("stale-%d", names.Add(1)), client: direct(t), turns: make(chan struct{}, workers),
			}
			createNamespace(t, s.client, s.namespace)
			t.Cleanup(func() { s.clear(t) })
			f(t, s)
		})
	}
}

// workers is how many passes an operator makes at a time.
const workers = 8

// stale is what a test has at one delay: objects in a namespace of its own.
type stale struct {
	delay     time.Duration
	namespace string
	client    client.Client // not late
	turns     chan struct{} // taken before an object gets something to do, as no pass shall wait for another one
}

// proxy returns another proxy with the test's delay.
func (s *stale) proxy(t *testing.T) *lag.Proxy {
	t.Helper()
	p := delayed(t)
	p.Delay(s.delay, widgetResource)
	return p
}

// operate runs an operator with u as the reconciler of widgets.
func (s *stale) operate(
	t *testing.T, cfg *rest.Config, settings manager.Settings, u reconciler.Interface[*widget], sources ...source.Source,
) *operator {
	t.Helper()
	return runWith(t, cfg, settings, func(rt *manager.Runtime) error {
		k := kind()
		k.Workers = workers
		loop, err := reconciler.New(rt, k, u)
		if err != nil {
			return err
		}
		return loop.Register(rt, wrap(rt, loop), append(sources, rt.Gains(&runtimetest.WidgetList{}))...)
	})
}

// create stores an object.
func (s *stale) create(t *testing.T, spec runtimetest.WidgetSpec) *widget {
	t.Helper()
	w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: fmt.Sprintf("w%d", names.Add(1))}, Spec: spec}
	if err := s.client.Create(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

// createInTurn stores so many objects, each in its turn.
func (s *stale) createInTurn(t *testing.T, n int) {
	t.Helper()
	for range n {
		s.turn(t)
		s.create(t, runtimetest.WidgetSpec{})
	}
}

// resize gives an object another generation.
func (s *stale) resize(t *testing.T, w *widget, size int) {
	t.Helper()
	if err := s.client.Patch(t.Context(), w, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"size":%d}}`, size))); err != nil {
		t.Fatal(err)
	}
}

// stored returns the objects as they are stored.
func (s *stale) stored(t *testing.T) []widget {
	t.Helper()
	list := &runtimetest.WidgetList{}
	if err := s.client.List(t.Context(), list, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// clear deletes the objects.
func (s *stale) clear(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	list := &runtimetest.WidgetList{}
	if err := s.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		t.Error(err)
	}
	for i := range list.Items {
		_ = s.client.Patch(ctx, &list.Items[i], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		_ = s.client.Delete(ctx, &list.Items[i])
	}
}

// settles waits until none of the objects is wrong, and then until whatever was
// still on its way then has come. It returns how many are wrong in the end: those
// that stay so.
func (s *stale) settles(t *testing.T, wrong func(*widget) bool) int {
	t.Helper()
	wrongs := func() (n int) {
		for _, w := range s.stored(t) {
			if wrong(&w) {
				n++
			}
		}
		return n
	}
	before, since := -1, time.Now()
	for { // until nothing changes any more
		begun := time.Now()
		switch now := wrongs(); {
		case now != before:
			before, since = now, time.Now()
		case now == 0 && time.Since(since) > 2*s.delay, time.Since(since) > 4*time.Second+4*s.delay:
			return now
		}
		time.Sleep(max(20*time.Millisecond, 4*time.Since(begun))) // a long list is no work to do all the time
	}
}

// turn takes a turn.
func (s *stale) turn(t *testing.T) {
	t.Helper()
	select {
	case s.turns <- struct{}{}:
	case <-time.After(time.Minute):
		t.Fatal("none of the objects before this one comes to an end")
	}
}

// unready reports whether a finished object is said to be anything but ready.
func unready(w *widget) bool {
	c := ready(w)
	return len(w.Status.Conditions) != 1 || c.Status != metav1.ConditionTrue || c.Reason != reconciler.ReasonReconciled ||
		c.ObservedGeneration != w.Generation || w.Status.ObservedGeneration != w.Generation
}

// found says what became of a fault: bad of so many, of which none may be.
func (s *stale) found(t *testing.T, fault string, bad, of int) {
	t.Helper()
	t.Logf("%s, %s late: %d of %d", fault, s.delay, bad, of)
	if bad != 0 {
		t.Errorf("%s: %d of %d, want none", fault, bad, of)
	}
	s.report(t, map[string]any{"fault": fault, "delay": s.delay.Milliseconds(), "bad": bad, "of": of})
}

// report appends a line of JSON to the report, if there is to be one.
func (s *stale) report(t *testing.T, line map[string]any) {
	t.Helper()
	path := os.Getenv(stalenessReport)
	if path == "" {
		return
	}
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s\n", text); err != nil {
		t.Fatal(err)
	}
}

// counter counts by name.
type counter struct {
	mu sync.Mutex
	by map[string]int
}

// add returns how often name has been added by now.
func (c *counter) add(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]int{}
	}
	c.by[name]++
	return c.by[name]
}

func (c *counter) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, name)
}

// times returns how many names have been added so often, or more often.
func (c *counter) times(least int) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.by {
		if times >= least {
			n++
		}
	}
	return n
}

// again returns how often anything was added that had been added before.
func (c *counter) again() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.by {
		n += times - 1
	}
	return n
}

// A pass fails, and its retry, which comes before the watch tells of the failure,
// succeeds: of a new object, of one that was ready, and of one with a new generation.
func TestNoReadyConditionStaysWrong(t *testing.T) {
	objects := count(20, 1000)
	lagging(t, func(t *testing.T, s *stale) {
		var stage atomic.Int64
		var passes counter
		u := user(func(_ context.Context, w *widget) error {
			if w.Namespace != s.namespace {
				return nil
			}
			switch passes.add(fmt.Sprint(w.Name, "/", stage.Load())) {
			case 1:
				return errors.New("the first pass of a stage fails")
			case 2:
				<-s.turns
			}
			return nil
		})
		poke := make(chan event.GenericEvent)
		s.operate(t, s.proxy(t).Config(), manager.Settings{}, u, source.Channel(poke, &handler.EnqueueRequestForObject{}))
		// settled is when each object has had its two passes.
		settled := func(what string) {
			t.Helper()
			within(t, 2*time.Minute, what, func() bool { return passes.times(2) == int(stage.Load()+1)*objects })
			s.found(t, "Ready wrong after a failure, "+what, s.settles(t, unready), objects)
		}
		s.createInTurn(t, objects)
		settled("of a new object")

		stage.Add(1)
		stored := s.stored(t)
		for i := range stored {
			s.turn(t)
			poke <- event.GenericEvent{Object: &stored[i]}
		}
		settled("of one that was ready")

		stage.Add(1)
		for i := range stored {
			s.turn(t)
			s.resize(t, &stored[i], 7)
		}
		settled("of a new generation")
	})
}

// maker is a user that makes a bucket for each object and puts its name into the
// status. The buckets are what is not in Kubernetes.
type maker struct {
	user
	buckets counter
}

// FinalizeKind removes the bucket of which the status speaks.
func (m *maker) FinalizeKind(_ context.Context, w *widget) error {
	if w.Status.Phase != "" {
		m.buckets.remove(w.Status.Phase)
	}
	return nil
}

// An object is deleted while its first pass makes a bucket.
func TestNoBucketLeaks(t *testing.T) {
	objects := count(20, 400)
	for name, pass := range map[string]func(ctx context.Context, s *stale, w *widget) error{
		"deleted by the pass": func(ctx context.Context, s *stale, w *widget) error {
			return s.client.Delete(ctx, &widget{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}})
		},
		"deleted after 50 ms of 60": func(ctx context.Context, s *stale, w *widget) error {
			time.Sleep(50 * time.Millisecond)
			err := s.client.Delete(ctx, &widget{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}})
			time.Sleep(10 * time.Millisecond)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			lagging(t, func(t *testing.T, s *stale) {
				m := &maker{}
				var made counter
				m.user = func(ctx context.Context, w *widget) error {
					if w.Namespace != s.namespace || w.Status.Phase != "" {
						return nil
					}
					bucket := "bucket-" + w.Name
					m.buckets.add(bucket)
					made.add(bucket)
					w.Status.Phase = bucket
					<-s.turns
					return pass(ctx, s, w)
				}
				s.operate(t, s.proxy(t).Config(), manager.Settings{}, m)
				s.createInTurn(t, objects)
				within(t, 2*time.Minute, "the end of all objects", func() bool { return made.times(1) == objects && len(s.stored(t)) == 0 })
				s.found(t, "bucket leaked, "+name, m.buckets.times(1), objects)
			})
		})
	}
}

// The next pass comes at once, and must see the bucket that the last has written of.
func TestNoBucketIsMadeTwice(t *testing.T) {
	objects := count(20, 1000)
	for name, finalizer := range map[string]bool{"with a finalizer": true, "without a finalizer": false} {
		t.Run(name, func(t *testing.T) {
			lagging(t, func(t *testing.T, s *stale) {
				m := &maker{}
				var passes counter
				m.user = func(_ context.Context, w *widget) error {
					if w.Namespace != s.namespace {
						return nil
					}
					if w.Status.Phase == "" {
						w.Status.Phase = "bucket-" + w.Name
						m.buckets.add(w.Status.Phase)
					}
					switch passes.add(w.Name) {
					case 1, 2:
						return requeue.After(time.Millisecond)
					case 3:
						<-s.turns
					}
					return nil
				}
				var u reconciler.Interface[*widget] = m.user
				if finalizer {
					u = m
				}
				s.operate(t, s.proxy(t).Config(), manager.Settings{}, u)
				s.createInTurn(t, objects)
				within(t, 2*time.Minute, "three passes of all", func() bool { return passes.times(3) == objects })
				s.settles(t, unready)
				s.found(t, "bucket made again, "+name, m.buckets.again(), objects)
			})
		})
	}
}
