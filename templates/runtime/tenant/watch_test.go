package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// namespace returns a namespace; each change is a label, or "deleted".
func namespace(name string, changes ...string) *metav1.PartialObjectMetadata {
	n := &metav1.PartialObjectMetadata{}
	n.Name, n.UID, n.Labels = name, types.UID("uid-of-"+name), map[string]string{}
	for _, change := range changes {
		if change == "deleted" {
			now := metav1.Now()
			n.DeletionTimestamp = &now
			continue
		}
		n.Labels[change] = "true"
	}
	return n
}

func (f *fixture) names() string {
	var names []string
	for name := range f.tenants {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Sprint(names)
}

func TestSelections(t *testing.T) {
	labelled := labels.SelectorFromSet(labels.Set{"tenant": "true"})
	for _, test := range []struct {
		Selection
		want string
	}{
		{Selection{}, "[a b c]"},
		{Selection{Names: []string{"a", "z"}}, "[a]"},
		{Selection{Selector: labelled}, "[b]"},
		{Selection{Names: []string{"a"}, Selector: labelled}, "[a b]"},
		{Selection{Selector: labels.Nothing()}, "[]"},
	} {
		f := build(t, 4)
		f.selection = test.Selection
		follower := follower{f.Set}
		items := []runtime.Object{namespace("a"), namespace("b", "tenant"), namespace("c", "other")}
		if err := follower.Replace(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		if got := f.names(); got != test.want {
			t.Errorf("%+v: tenants %s, want %s", test.Selection, got, test.want)
		}
	}
}

func TestTheSetFollowsTheNamespaces(t *testing.T) {
	f := build(t, 8)
	f.kind.Cache = objects{}
	f.selection = Selection{Selector: labels.SelectorFromSet(labels.Set{"tenant": "true"})}
	follower := follower{f.Set}
	see := func(typ apiwatch.EventType, n *metav1.PartialObjectMetadata) {
		t.Helper()
		if err := follower.Handle(t.Context(), apiwatch.Event{Type: typ, Object: n}); err != nil {
			t.Fatal(err)
		}
	}
	ends := func(ctx context.Context, why string) {
		t.Helper()
		if !errors.Is(context.Cause(ctx), cause.TenantGone) {
			t.Errorf("%s: cause %v", why, context.Cause(ctx))
		}
	}
	see(apiwatch.Added, namespace("a", "tenant"))
	see(apiwatch.Added, namespace("b"))
	if f.names() != "[a]" {
		t.Errorf("tenants %s", f.names())
	}
	ctx, _ := f.work(t, "a", "x")
	see(apiwatch.Modified, namespace("a", "tenant", "more"))
	if ctx.Err() != nil {
		t.Error("ended by a label")
	}
	see(apiwatch.Modified, namespace("a"))
	ends(ctx, "no tenant any more")
	see(apiwatch.Modified, namespace("a", "tenant"))
	ctx, _ = f.work(t, "a", "x")
	see(apiwatch.Modified, namespace("a", "tenant", "deleted"))
	ends(ctx, "its deletion has begun")
	ctx, _ = f.work(t, "a", "deleted")
	see(apiwatch.Deleted, namespace("a", "tenant", "deleted"))
	ends(ctx, "deleted")

	see(apiwatch.Added, namespace("a", "tenant"))
	see(apiwatch.Added, namespace("c", "tenant"))
	ctx, _ = f.work(t, "a", "x")
	if err := follower.Replace(t.Context(), []runtime.Object{namespace("c", "tenant")}); err != nil {
		t.Fatal(err)
	}
	ends(ctx, "gone in a gap")
	ctx, _ = f.work(t, "c", "x")
	anew := namespace("c", "tenant")
	anew.UID = "another"
	if err := follower.Replace(t.Context(), []runtime.Object{anew}); err != nil {
		t.Fatal(err)
	}
	ends(ctx, "made anew in a gap")
	if f.names() != "[c]" {
		t.Errorf("tenants %s", f.names())
	}
}

// What is expected of a namespace is in force when it becomes a tenant.
func TestANamespaceIsExpectedBeforeItIsATenant(t *testing.T) {
	f := build(t, 4)
	follower := follower{f.Set}
	refusal := errors.New("not now")
	f.Expect(func(_ context.Context, n metav1.Object) error {
		if n.GetName() == "odd" {
			return refusal
		}
		if n.GetLabels()["seen"] == "" && f.names() != "[]" {
			t.Errorf("%s is a tenant already", n.GetName())
		}
		f.Restrict(n.GetName(), Quota{Suspended: true})
		return nil
	})
	if err := follower.Replace(t.Context(), []runtime.Object{namespace("a")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Enter(t.Context(), key("a", "x")); err != error(cause.TenantSuspended) {
		t.Errorf("error %v", err)
	}
	f.wantCalls(t, "[]")
	f.Restrict("a", Quota{})
	if err := follower.Handle(t.Context(), apiwatch.Event{Type: apiwatch.Modified, Object: namespace("a", "seen")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Enter(t.Context(), key("a", "x")); err != error(cause.TenantSuspended) {
		t.Errorf("after a change: error %v", err)
	}
	if err := follower.Replace(t.Context(), []runtime.Object{namespace("odd")}); !errors.Is(err, refusal) {
		t.Errorf("error %v", err)
	}
	if f.names() != "[a]" {
		t.Errorf("tenants %s", f.names())
	}
}

func TestWhatTheSetSelects(t *testing.T) {
	s := New(t.Context())
	s.selection = Selection{Names: []string{"a"}}
	for _, test := range []struct {
		*metav1.PartialObjectMetadata
		want bool
	}{{namespace("a"), true}, {namespace("b"), false}, {namespace("a", "deleted"), false}} {
		if got := s.Selects(test); got != test.want {
			t.Errorf("%s, deleted %v: %t", test.Name, test.DeletionTimestamp, got)
		}
	}
}

func TestWhatTheSetHas(t *testing.T) {
	f := build(t, 4, "a", "excluded", "going")
	f.selection = Selection{Names: []string{"a", "excluded", "going", "new"}}
	f.Restrict("excluded", Quota{Excluded: true})
	for _, test := range []struct {
		*metav1.PartialObjectMetadata
		is, known bool
	}{
		{namespace("a"), true, true}, {namespace("excluded"), false, true}, {namespace("stranger"), false, true},
		{namespace("going", "deleted"), false, true}, {namespace("new"), false, false},
	} {
		if is, known := f.Has(test); is != test.is || known != test.known {
			t.Errorf("%s: %t, known %t", test.Name, is, known)
		}
	}
}

func TestWhatIsNoObjectIsAnError(t *testing.T) {
	follower := follower{New(t.Context())}
	if err := follower.Handle(t.Context(), apiwatch.Event{Object: &metav1.Status{}}); err == nil {
		t.Error("none from an event")
	}
	if err := follower.Replace(t.Context(), []runtime.Object{&metav1.Status{}}); err == nil {
		t.Error("none from a list")
	}
}

// An observer has to know its tenants when it is elected.
func TestObserversFollowTheNamespacesToo(t *testing.T) {
	var r manager.Runnable = namespaces{}
	if l, ok := r.(manager.LeaderElectionRunnable); !ok || l.NeedLeaderElection() {
		t.Error("they do not")
	}
}

// lists has one widget in each namespace, and cannot be read at first.
type lists struct {
	client.Reader
	failures int
}

func (l *lists) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if l.failures > 0 {
		l.failures--
		return errors.New("not started")
	}
	o := (&client.ListOptions{}).ApplyOptions(opts)
	w := runtimetest.Widget{}
	w.Namespace, w.Name = o.Namespace, "x"
	list.(*runtimetest.WidgetList).Items = []runtimetest.Widget{w}
	return nil
}

func TestTheObjectsOfArrivalsAreEnqueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t.Context())
		s.Put(Namespace{Name: "before"})
		s.Restrict("suspended", Quota{Suspended: true})
		s.Put(Namespace{Name: "suspended"})
		k := s.Sandboxes(kind(t, 4, &lists{failures: 2}))
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		ctx, end := context.WithCancel(t.Context())
		if err := k.Wakes().Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		want := func(names ...string) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			var got []string
			for queue.Len() > 0 {
				r, _ := queue.Get()
				queue.Done(r)
				got = append(got, r.String())
			}
			slices.Sort(got)
			if !slices.Equal(got, names) {
				t.Errorf("enqueued %v, want %v", got, names)
			}
		}
		want("before/x")
		s.Put(Namespace{Name: "a"})
		s.Put(Namespace{Name: "b"})
		want("a/x", "b/x")
		s.Put(Namespace{Name: "a"})
		want()
		s.Restrict("suspended", Quota{Limits: Limits{Concurrency: 1}})
		want("suspended/x")
		_, leave, err := k.Enter(t.Context(), key("suspended", "1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.Enter(t.Context(), key("suspended", "2")); err != ErrWaiting {
			t.Fatal(err)
		}
		leave()
		want("suspended/2")
		end()
	})
}
