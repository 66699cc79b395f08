package chain_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// work has a controller with one worker handle by f what is enqueued, until ctx ends.
func work(ctx context.Context, t *testing.T, f chain.Func, enqueue func(priorityqueue.PriorityQueue[reconcile.Request])) {
	t.Helper()
	c, err := controller.NewUnmanaged("one worker", controller.Options{Reconciler: f, SkipNameValidation: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Watch(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		enqueue(queue.(priorityqueue.PriorityQueue[reconcile.Request]))
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Error(err)
	}
}

func named(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// Objects of a start are enqueued at low priority; what they ask for later is due
// although another object keeps the worker busy with events.
func TestWhatIsDueDoesNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		ticks := 0
		work(ctx, t, func(_ context.Context, req reconcile.Request) error {
			if req == named("busy") {
				time.Sleep(10 * time.Millisecond)
				return nil
			}
			ticks++
			return requeue.After(time.Second)
		}, func(queue priorityqueue.PriorityQueue[reconcile.Request]) {
			queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, named("ticking"))
			go func() {
				for time.Sleep(time.Second); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
					queue.Add(named("busy"))
				}
			}()
		})
		time.Sleep(time.Second) // in which the last of them sees that it is over
		if ticks < 50 {
			t.Errorf("%d ticks in a minute of one a second", ticks)
		}
	})
}

// A failure is tried again in the line of its like: many that fail at the start must
// not keep the workers from objects that nobody has looked at yet.
func TestFailuresDoNotOvertakeTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var order []string
		work(ctx, t, func(_ context.Context, req reconcile.Request) error {
			order = append(order, req.Name)
			time.Sleep(time.Second) // longer than the first backoffs
			if len(order) == 5 {
				stop()
			}
			if req.Name == "fails" {
				return errors.New("failing")
			}
			return nil
		}, func(queue priorityqueue.PriorityQueue[reconcile.Request]) {
			for _, name := range []string{"fails", "a", "b", "c"} {
				queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, named(name))
			}
		})
		if want := []string{"fails", "a", "b", "c", "fails"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}
