package reconciler

import (
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

// Register adds a controller to mgr that handles the kind's requests by f,
// which is this Loop's Reconcile with its links. Beside what happens to objects,
// sources cause requests.
func (l *Loop[T]) Register(mgr manager.Manager, f chain.Func, sources ...source.Source) error {
	options, own, err := l.options(mgr.GetControllerOptions())
	if err != nil {
		return fmt.Errorf("kind %s: %w", l.kind.Name, err)
	}
	if own {
		mgr = keeping(mgr, &options)
	}
	b := builder.ControllerManagedBy(mgr).
		Named(l.kind.Name).
		For(l.kind.New(), builder.WithPredicates(l.filters(l.predicates())...)).
		WithOptions(options)
	for _, s := range sources {
		b.WatchesRawSource(s)
	}
	if c, ok := l.user.(Configurer); ok {
		if err := c.Configure(b); err != nil {
			return fmt.Errorf("kind %s: configure: %w", l.kind.Name, err)
		}
	}
	if err := b.Complete(f); err != nil {
		return fmt.Errorf("kind %s: %w", l.kind.Name, err)
	}
	return nil
}

// Backoff of failed passes, controller-runtime's own defaults.
const (
	shortestBackoff = 5 * time.Millisecond
	longestBackoff  = 1000 * time.Second
)

// controllerOptions lets an object of a periodic kind, after a failure, be
// tried again within a period instead of up to a quarter of an hour later.
func (l *Loop[T]) controllerOptions() controller.Options {
	options := controller.Options{MaxConcurrentReconciles: l.kind.Workers}
	if l.period > 0 {
		options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			min(shortestBackoff, l.period), min(longestBackoff, l.period))
	}
	return options
}
