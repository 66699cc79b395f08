package chain

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// Observed is the link that observes every request as an operation of target,
// the controller. The error decides on the outcome: a core judges its work when
// that is done, and what it does after that in a time of its own does not count.
// The span of a pass that follows a failed one of the same object has a link to
// it. [Timed] inside tells the time there is.
func Observed(operation, target string) Link {
	o := observe.For(operation, target)
	return func(next Func) Func {
		var failed failures
		return func(ctx context.Context, req reconcile.Request) error {
			before := failed.of(req.NamespacedName)
			ctx, call := o.Begin(ctx, before.links()...)
			if call.Recording() {
				call.SetAttributes(
					attribute.String(observe.KeyNamespace, req.Namespace),
					attribute.String(observe.KeyObject, req.Name),
					attribute.String(observe.KeyReconcileID, string(controller.ReconcileIDFromContext(ctx))),
					attribute.Int(observe.KeyAttempt, before.number+1),
				)
			}
			outcome := observe.Panicked
			defer func() {
				call.End(outcome)
				failed.note(req.NamespacedName, outcome.Err, failure{before.number + 1, trace.SpanContextFromContext(ctx)})
			}()
			err := next(ctx, req)
			outcome = cause.Judged(err)
			return err
		}
	}
}

// Timed is the link just inside of the one that sets the deadline of the work: it
// tells the observation of it, and of the moment at which the work was ended.
func Timed(next Func) Func {
	return func(ctx context.Context, req reconcile.Request) error {
		defer observe.FromContext(ctx).Bound(ctx)()
		return next(ctx, req)
	}
}

// remembered is how many failures are kept at most. Objects that are gone are not told of,
// such as those of a tenant whose requests are cut short further out.
const remembered = 1024

// failures are the objects whose last pass failed.
type failures struct {
	mu      sync.Mutex
	objects map[types.NamespacedName]failure
}

// failure is what is known of the passes of an object.
type failure struct {
	number int // in a row
	span   trace.SpanContext
}

func (f failure) links() []trace.Link {
	if !f.span.IsValid() {
		return nil
	}
	return []trace.Link{{SpanContext: f.span, Attributes: []attribute.KeyValue{attribute.String(observe.KeyLink, "previous attempt")}}}
}

func (f *failures) of(object types.NamespacedName) failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.objects[object]
}

// note keeps a failure that is repeated. Everything else ends the row: success, a
// terminal error, and what is asked for again later or seen to by others.
func (f *failures) note(object types.NamespacedName, err error, last failure) {
	_, later := requeue.AsLater(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil || later || IsCutShort(err) || requeue.IsTerminal(err) {
		delete(f.objects, object)
		return
	}
	if f.objects == nil {
		f.objects = map[types.NamespacedName]failure{}
	}
	if len(f.objects) >= remembered && last.number == 1 {
		for other := range f.objects {
			delete(f.objects, other)
			break
		}
	}
	f.objects[object] = last
}
