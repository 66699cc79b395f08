package watch

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// For returns a Source of the resource that list is a list of, restricted by
// opts. The client must read from the API server and not from a cache, as one
// made by client.NewWithWatch does.
func For(c client.WithWatch, list client.ObjectList, opts ...client.ListOption) Source {
	return &lister{client: c, list: list, opts: opts}
}

type lister struct {
	client client.WithWatch
	list   client.ObjectList // an empty one, to be copied
	opts   []client.ListOption
}

func (s *lister) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list := s.list.DeepCopyObject().(client.ObjectList)
	return list, s.client.List(ctx, list, s.with(o)...)
}

func (s *lister) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return s.client.Watch(ctx, s.list.DeepCopyObject().(client.ObjectList), s.with(o)...)
}

func (s *lister) with(o metav1.ListOptions) []client.ListOption {
	// Limit and Continue are taken from here even where Raw has them.
	raw := &client.ListOptions{Raw: &o, Limit: o.Limit, Continue: o.Continue}
	return append(s.opts[:len(s.opts):len(s.opts)], raw)
}
