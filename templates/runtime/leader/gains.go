package leader

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// gainsPace spaces attempts to read the cache.
var gainsPace = budget.Backoff{Base: 10 * time.Millisecond, Max: time.Second}

// Gains is a source that enqueues, each time a term begins, every object that
// cache has of the kind that list is a list of. They come at the low priority
// that controller-runtime gives to what a cache has at the start, so that events
// go first.
func (e *Election) Gains(cache client.Reader, list client.ObjectList) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		if e == nil {
			return nil
		}
		go func() {
			var t *Term
			for ok := true; ok; {
				if t, ok = e.next(ctx, t); ok {
					t.enqueueAll(ctx, cache, list, queue)
				}
			}
		}()
		return nil
	})
}

// enqueueAll enqueues what cache has, unless the term ends before it can be read.
// The next term will do it then.
func (t *Term) enqueueAll(ctx context.Context, cache client.Reader, list client.ObjectList, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	ctx, leave, err := t.Join(ctx)
	if err != nil {
		return
	}
	defer leave()
	for attempt := 1; ; attempt++ {
		requests, err := requestsFor(ctx, cache, list.DeepCopyObject().(client.ObjectList))
		if err == nil {
			add(queue, requests)
			return
		}
		log.FromContext(ctx).Error(err, "Objects to reconcile in the new term cannot be read yet")
		if budget.Wait(ctx, gainsPace.Delay(attempt)) != nil {
			return
		}
	}
}

// requestsFor returns a request for each object. Only names are read of them,
// so they need not be copied.
func requestsFor(ctx context.Context, cache client.Reader, list client.ObjectList) ([]reconcile.Request, error) {
	if err := cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	requests := make([]reconcile.Request, 0, meta.LenList(list))
	err := meta.EachListItem(list, func(o runtime.Object) error {
		object, err := meta.Accessor(o)
		if err == nil {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}})
		}
		return err
	})
	return requests, err
}

func add(queue workqueue.TypedRateLimitingInterface[reconcile.Request], requests []reconcile.Request) {
	if q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, requests...)
		return
	}
	for _, r := range requests {
		queue.Add(r)
	}
}
