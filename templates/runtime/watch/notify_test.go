package watch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := watch.NewNotifier() // whose controller never starts
		if err := n.Replace(ctx, []runtime.Object{widget("a", "1")}); err != nil {
			t.Error(err)
		}
		if err := n.Handle(ctx, apiwatch.Event{Type: apiwatch.Added, Object: widget("b", "2")}); err != nil {
			t.Error(err)
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
