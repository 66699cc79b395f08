package leader

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/backlog"
)

// Gains is a source that enqueues, each time a term begins, every object that
// cache has of the kind that list is a list of, but those that one of except reports to
// need nothing.
func (e *Election) Gains(cache client.Reader, list client.ObjectList, except ...func(client.Object) bool) source.Source {
	rests := func(obj client.Object) bool {
		return slices.ContainsFunc(except, func(rests func(client.Object) bool) bool { return rests(obj) })
	}
	return source.Func(func(ctx context.Context, queue backlog.Queue) error {
		if e == nil {
			return nil
		}
		go func() {
			var t *Term
			for ok := true; ok; {
				if t, ok = e.next(ctx, t); ok {
					t.enqueueAll(ctx, cache, list, rests, queue)
				}
			}
		}()
		return nil
	})
}

// enqueueAll enqueues what cache has, unless the term ends before it can be read.
// The next term will do it then.
func (t *Term) enqueueAll(ctx context.Context, cache client.Reader, list client.ObjectList, except func(client.Object) bool, queue backlog.Queue) {
	ctx, leave, err := t.Join(ctx)
	if err != nil {
		return
	}
	defer leave()
	backlog.Enqueue(ctx, queue, cache, list, except)
}
