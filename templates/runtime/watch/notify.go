package watch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Notifier is a [Handler] that wakes a controller: every change of an object,
// also one that only a new list brings to light, becomes a generic event. It
// remembers the metadata of what it has told of, to tell of objects that went
// missing in a gap.
type Notifier struct {
	events chan event.GenericEvent
	known  map[client.ObjectKey]*metav1.PartialObjectMetadata
}

// NewNotifier returns a Notifier for one [Loop].
func NewNotifier() *Notifier {
	return &Notifier{events: make(chan event.GenericEvent), known: map[client.ObjectKey]*metav1.PartialObjectMetadata{}}
}

// Source is for the controller builder's WatchesRawSource: h maps the events,
// whose objects have metadata only, to requests.
func (n *Notifier) Source(h handler.EventHandler) source.Source {
	return source.Channel(n.events, h)
}

// Replace implements Handler.
func (n *Notifier) Replace(ctx context.Context, items []runtime.Object) error {
	listed := make(map[client.ObjectKey]bool, len(items))
	for _, item := range items {
		object, err := n.tell(ctx, item)
		if err != nil {
			return err
		}
		listed[client.ObjectKeyFromObject(object)] = true
	}
	for key, object := range n.known {
		if listed[key] {
			continue
		}
		if _, err := n.tell(ctx, object); err != nil {
			return err
		}
		delete(n.known, key)
	}
	return nil
}

// Handle implements Handler.
func (n *Notifier) Handle(ctx context.Context, e watch.Event) error {
	object, err := n.tell(ctx, e.Object)
	if err == nil && e.Type == watch.Deleted {
		delete(n.known, client.ObjectKeyFromObject(object))
	}
	return err
}

// tell waits for the controller as long as ctx lives. Only what it was told of is
// known.
func (n *Notifier) tell(ctx context.Context, o runtime.Object) (*metav1.PartialObjectMetadata, error) {
	object, err := metadataOf(o)
	if err != nil {
		return nil, err
	}
	select {
	case n.events <- event.GenericEvent{Object: object}:
		n.known[client.ObjectKeyFromObject(object)] = object
		return object, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// metadataOf returns what is kept of an object: not who manages which of its fields,
// which is most of the metadata.
func metadataOf(object runtime.Object) (*metav1.PartialObjectMetadata, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	kept := meta.AsPartialObjectMetadata(accessor)
	kept.ManagedFields = nil
	return kept, nil
}
