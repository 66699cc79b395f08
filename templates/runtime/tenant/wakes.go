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

// Turns is the source of namespaces that become tenants or are no longer: it enqueues
// their names.
func (s *Set) Turns() source.Source {
	return source.Func(func(_ context.Context, queue backlog.Queue) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		tell := func(namespace string) {
			queue.Add(reconcile.Request{NamespacedName: client.ObjectKey{Name: namespace}})
		}
		s.turns = append(s.turns, tell)
		for name := range s.tenants {
			tell(name)
		}
		return nil
	})
}

// turn tells that a namespace has become a tenant, or is one no longer.
func (s *Set) turn(namespace string) {
	for _, tell := range s.turns {
		tell(namespace)
	}
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
			backlog.Enqueue(ctx, queue, k.kind.Cache, k.kind.List, nil, client.InNamespace(name))
		}
	}
}
