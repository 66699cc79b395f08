package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// A gap in the watch must not hide that an object is gone.
func TestNotifierWakesForEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		n := watch.NewNotifier()
		if err := n.Source(&handler.EnqueueRequestForObject{}).Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name string
			do   func() error
			want []string
		}{
			{"first list", func() error { return n.Replace(ctx, []runtime.Object{widget("a", "1"), widget("b", "1")}) }, []string{"a", "b"}},
			{"added", func() error { return n.Handle(ctx, apiwatch.Event{Type: apiwatch.Added, Object: widget("c", "2")}) }, []string{"c"}},
			{"modified", func() error { return n.Handle(ctx, apiwatch.Event{Type: apiwatch.Modified, Object: widget("a", "3")}) }, []string{"a"}},
			{"deleted", func() error { return n.Handle(ctx, apiwatch.Event{Type: apiwatch.Deleted, Object: widget("b", "4")}) }, []string{"b"}},
			{"list after a gap", func() error { return n.Replace(ctx, []runtime.Object{widget("a", "3"), widget("d", "5")}) }, []string{"a", "c", "d"}},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			synctest.Wait()
			var got []string
			for queue.Len() > 0 {
				request, _ := queue.Get()
				queue.Done(request)
				got = append(got, request.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("%s: requests (-want +got):\n%s", step.name, diff)
			}
		}
	})
}

func TestNotifierDoesNotOutliveItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause.Shutdown)
		n := watch.NewNotifier() // whose controller never starts
		if err := n.Replace(ctx, []runtime.Object{widget("a", "1")}); !errors.Is(err, cause.Shutdown) {
			t.Errorf("an object was told of, to nobody: %v", err)
		}
		if err := n.Handle(ctx, apiwatch.Event{Type: apiwatch.Added, Object: widget("b", "2")}); !errors.Is(err, cause.Shutdown) {
			t.Errorf("an event was told of, to nobody: %v", err)
		}
	})
}

// A list that is told of in part is told of again, with the objects that are gone.
func TestWhatIsGoneIsToldOfAfterAnInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		n := watch.NewNotifier()
		const many = 5000 // more than wait for a controller
		all := make([]runtime.Object, many)
		for i := range all {
			all[i] = widget(fmt.Sprint(i), "1")
		}
		release := make(chan struct{})
		told := map[string]int{}
		if err := n.Source(handler.Funcs{GenericFunc: func(_ context.Context, e event.GenericEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if told[e.Object.GetName()]++; len(told) == many && e.Object.GetName() == "0" {
				<-release
			}
		}}).Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		if err := n.Replace(ctx, all); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		interrupted, interrupt := context.WithCancel(ctx)
		time.AfterFunc(time.Minute, interrupt)
		if err := n.Replace(interrupted, all[:1]); err == nil {
			t.Error("all were told of although nobody listened")
		}
		close(release)
		if err := n.Replace(ctx, all[:1]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for name, times := range told {
			if times < 2 {
				t.Errorf("nobody was told that %s is gone", name)
			}
		}
	})
}

func TestNotifierKeepsNoManagedFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		n := watch.NewNotifier()
		told := 0
		if err := n.Source(handler.Funcs{GenericFunc: func(_ context.Context, e event.GenericEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if told++; len(e.Object.GetManagedFields()) > 0 {
				t.Errorf("%v", e.Object.GetManagedFields())
			}
		}}).Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		w := widget("a", "1")
		w.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		if err := errors.Join(
			n.Replace(ctx, []runtime.Object{w}),
			n.Handle(ctx, apiwatch.Event{Type: apiwatch.Modified, Object: w}),
			n.Replace(ctx, nil),
		); err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); told != 3 {
			t.Errorf("told %d times, want 3", told)
		}
	})
}

func TestNotifierRefusesWhatIsNoObject(t *testing.T) {
	n := watch.NewNotifier()
	if err := n.Replace(t.Context(), []runtime.Object{&metav1.Status{}}); err == nil {
		t.Error("Replace: no error")
	}
	if err := n.Handle(t.Context(), apiwatch.Event{Type: apiwatch.Added, Object: &metav1.Status{}}); err == nil {
		t.Error("Handle: no error")
	}
}
