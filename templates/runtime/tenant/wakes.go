package tenant

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/backlog"
)

// Wakes is the source of what the Gate keeps back: it enqueues requests whose turn
// has come, and all objects of a namespace that becomes a tenant or is no longer
// suspended. While it runs [Metrics] tell who waits.
func (k *Sandboxes) Wakes() source.Source {
	return source.Func(func(ctx context.Context, queue backlog.Queue) error {
		if k == nil {
			return nil
		}
		k.set.mu.Lock()
		k.enqueue = func(r reconcile.Request) { queue.Add(r) }
		k.advance()
		k.set.mu.Unlock()
		lines.kinds.Store(k, nil)
		go k.welcome(ctx, queue)
		return nil
	})
}

// greet notes a tenant whose objects are to be enqueued.
func (k *Sandboxes) greet(name string) {
	k.arrived = append(k.arrived, name)
	select {
	case k.news <- struct{}{}:
	default: // has been told already
	}
}

// welcome enqueues the objects of those that arrive, until the controller ends.
func (k *Sandboxes) welcome(ctx context.Context, queue backlog.Queue) {
	defer lines.kinds.Delete(k)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.news:
		}
		k.set.mu.Lock()
		arrived := k.arrived
		k.arrived = nil
		k.set.mu.Unlock()
		for _, name := range arrived {
			backlog.Enqueue(ctx, queue, k.kind.Cache, k.kind.List, client.InNamespace(name))
		}
	}
}
