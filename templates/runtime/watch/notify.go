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
// remembers the metadata of what it has seen, to tell of objects that went
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
	gone := n.known
	n.known = make(map[client.ObjectKey]*metav1.PartialObjectMetadata, len(items))
	for _, item := range items {
		object, err := metadataOf(item)
		if err != nil {
			return err
		}
		key := client.ObjectKeyFromObject(object)
		delete(gone, key)
		n.known[key] = object
		n.send(ctx, object)
	}
	for _, object := range gone {
		n.send(ctx, object)
	}
	return nil
}

// Handle implements Handler.
func (n *Notifier) Handle(ctx context.Context, e watch.Event) error {
	object, err := metadataOf(e.Object)
	if err != nil {
		return err
	}
	if e.Type == watch.Deleted {
		delete(n.known, client.ObjectKeyFromObject(object))
	} else {
		n.known[client.ObjectKeyFromObject(object)] = object
	}
	n.send(ctx, object)
	return nil
}

// send waits for the controller as long as ctx lives.
func (n *Notifier) send(ctx context.Context, object client.Object) {
	select {
	case n.events <- event.GenericEvent{Object: object}:
	case <-ctx.Done():
	}
}

func metadataOf(object runtime.Object) (*metav1.PartialObjectMetadata, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return meta.AsPartialObjectMetadata(accessor), nil
}
