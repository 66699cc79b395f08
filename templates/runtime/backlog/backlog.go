// Package backlog enqueues what a cache has of a kind, for a controller that has
// to look at all of it again.
package backlog

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

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// Queue is the work queue of a controller.
type Queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// pace spaces attempts to read the cache.
var pace = budget.Backoff{Base: 10 * time.Millisecond, Max: time.Second}

// Enqueue enqueues every object that cache has of the kind that list is a list
// of, restricted by opts, but those that except, unless it is nil, reports to need
// nothing. It must not change what it is shown. They come at the low priority that controller-runtime
// gives to what a cache has at the start, so that events go first. A cache that
// cannot be read yet is asked again until ctx ends.
func Enqueue(ctx context.Context, queue Queue, cache client.Reader, list client.ObjectList, except func(client.Object) bool, opts ...client.ListOption) {
	for attempt := 1; ; attempt++ {
		requests, err := requestsFor(ctx, cache, list.DeepCopyObject().(client.ObjectList), except, opts)
		if err == nil {
			add(queue, requests)
			return
		}
		log.FromContext(ctx).Error(err, "Objects to reconcile cannot be read yet")
		if budget.Wait(ctx, pace.Delay(attempt)) != nil {
			return
		}
	}
}

// requestsFor returns a request for each object. Only names are read of them,
// so they need not be copied.
func requestsFor(ctx context.Context, cache client.Reader, list client.ObjectList, except func(client.Object) bool, opts []client.ListOption) ([]reconcile.Request, error) {
	if err := cache.List(ctx, list, append(opts[:len(opts):len(opts)], client.UnsafeDisableDeepCopy)...); err != nil {
		return nil, err
	}
	requests := make([]reconcile.Request, 0, meta.LenList(list))
	err := meta.EachListItem(list, func(o runtime.Object) error {
		object, err := meta.Accessor(o)
		if of, ok := o.(client.Object); ok && except != nil && except(of) {
			return nil
		}
		if err == nil {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}})
		}
		return err
	})
	return requests, err
}

func add(queue Queue, requests []reconcile.Request) {
	if q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, requests...)
		return
	}
	for _, r := range requests {
		queue.Add(r)
	}
}
