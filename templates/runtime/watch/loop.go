package watch

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// Source lists and watches one resource. client-go's ListWatch has both
// methods, and [For] makes one from a controller-runtime client.
type Source interface {
	ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error)
	WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// Handler is told what is watched. Its methods are called one at a time; they
// must return soon after ctx ends. An error from either ends the Loop.
type Handler interface {
	// Replace is given the complete present state, first and after a gap in
	// which events were lost. Objects not among items are gone.
	Replace(ctx context.Context, items []runtime.Object) error
	// Handle is given one Added, Modified or Deleted event.
	Handle(ctx context.Context, event watch.Event) error
}

// Loop keeps a watch going until its context ends. It is a controller-runtime
// Runnable.
type Loop struct {
	Source  Source
	Handler Handler
	// Backoff spaces failed attempts; Attempts is ignored, a Loop never gives up.
	Backoff budget.Backoff
}

// Start runs the loop until ctx ends (nil) or the Handler fails (its error).
func (l *Loop) Start(ctx context.Context) error { return nil }

// For returns a Source of the resource that list is a list of, restricted by
// opts.
func For(c client.WithWatch, list client.ObjectList, opts ...client.ListOption) Source {
	return nil
}
