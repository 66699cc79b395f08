package watch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// changes is a Source of one change of each of so many objects, in which versions
// count up from 1. Its watches end when they are stopped.
type changes int

func (changes) ListWithContext(context.Context, metav1.ListOptions) (runtime.Object, error) {
	list := &runtimetest.WidgetList{}
	list.ResourceVersion = "0"
	return list, nil
}

func (c changes) WatchWithContext(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	var seen int
	if _, err := fmt.Sscan(o.ResourceVersion, &seen); err != nil {
		return nil, err
	}
	events := make(chan apiwatch.Event)
	w := apiwatch.NewProxyWatcher(events)
	go func() {
		for n := seen + 1; n <= int(c); n++ {
			select {
			case events <- apiwatch.Event{Type: apiwatch.Modified, Object: widget(fmt.Sprint(n), fmt.Sprint(n))}:
			case <-w.StopChan():
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return w, nil
}

// A map function may ask a server, and many events may wait for it: longer than any
// watch lasts.
func TestNoEventIsLostToASlowMapFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 3000 // beyond those that wait in the controller's channel
		ctx, cancel := context.WithTimeout(t.Context(), 2*objects*time.Second)
		defer cancel()
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		mapped := map[string]bool{}
		n := watch.NewNotifier()
		if err := n.Source(handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			time.Sleep(time.Second)
			mapped[o.GetName()] = true
			return nil
		})).Start(ctx, queue); err != nil {
			t.Fatal(err)
		}
		if err := (&watch.Loop{Source: changes(objects), Handler: n}).Start(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if lost := objects - len(mapped); lost > 0 {
			t.Errorf("%d of %d events were lost", lost, objects)
		}
	})
}
