package watch

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// MapFunc names the objects to reconcile because obj, which is of the given
// resource and has metadata only, was added, changed or deleted.
type MapFunc func(ctx context.Context, resource schema.GroupVersionResource, obj *metav1.PartialObjectMetadata) []reconcile.Request

// External watches resources that are not the operator's own and returns, for
// each, a source that wakes a controller as f has it. The watches begin and end
// with mgr. They read metadata only, keep nothing but metadata, and do not hold
// up the start: a resource that is not served, or not to be read, is asked for
// until it is.
func External(mgr manager.Manager, f MapFunc, resources ...schema.GroupVersionResource) ([]source.Source, error) {
	c, err := metadata.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	sources := make([]source.Source, 0, len(resources))
	for _, resource := range resources {
		n := NewNotifier()
		loop := &Loop{Name: resource.GroupResource().String(), Source: external{c.Resource(resource)}, Handler: n}
		if err := mgr.Add(named{loop, resource}); err != nil {
			return nil, fmt.Errorf("watch %s: %w", resource, err)
		}
		sources = append(sources, n.Source(handler.EnqueueRequestsFromMapFunc(
			func(ctx context.Context, obj client.Object) []reconcile.Request {
				return f(ctx, resource, obj.(*metav1.PartialObjectMetadata))
			})))
	}
	return sources, nil
}

// external is the Source of one resource's metadata.
type external struct{ client metadata.Getter }

func (e external) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return e.client.List(ctx, o)
}

func (e external) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return e.client.Watch(ctx, o)
}

// named is a Loop that says in the log what it watches.
type named struct {
	*Loop
	resource schema.GroupVersionResource
}

// Start implements manager.Runnable.
func (n named) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithValues("resource", n.resource.GroupResource().String())
	return n.Loop.Start(log.IntoContext(ctx, logger))
}
