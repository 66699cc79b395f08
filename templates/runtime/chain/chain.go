package chain

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// Func reconciles the object that req names. See package requeue for what the
// error may say, and [CutShort] for one more.
type Func func(ctx context.Context, req reconcile.Request) error

// Link wraps a Func in one concern.
type Link func(next Func) Func

var _ reconcile.Reconciler = Func(nil)

// Wrap puts links around core. The first link is the outermost: it sees the
// request first and the error last.
func Wrap(core Func, links ...Link) Func {
	for i := len(links) - 1; i >= 0; i-- {
		core = links[i](core)
	}
	return core
}

// Reconcile implements controller-runtime's Reconciler. It is the only place
// where a result is made:
//
//   - "again later" becomes RequeueAfter, always positive, at normal priority: it
//     is due at its time, whatever the request had that asked for it;
//   - work that was [CutShort] is neither an error nor repeated here;
//   - every other error, a deadline among them, is returned and so repeated
//     with backoff, unless it is terminal. It keeps the priority of its request:
//     objects that fail do not overtake those that nobody has looked at yet.
func (f Func) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	err := f(ctx, req)
	if err == nil {
		return reconcile.Result{}, nil
	}
	if IsCutShort(err) {
		log.FromContext(ctx).V(1).Info("Reconcile cut short", "cause", err.Error())
		return reconcile.Result{}, nil
	}
	if later, ok := requeue.AsLater(err); ok {
		return reconcile.Result{RequeueAfter: later.Delay(), Priority: new(normalPriority)}, nil
	}
	return reconcile.Result{}, err
}

// normalPriority is that of events. The objects of a start, of a new term and of a
// resync are enqueued at a lower one, which a repeated request would inherit and so
// starve where events keep the workers busy.
const normalPriority = 0

// CutShort marks err, what ended the work, as a decision whose maker sees to
// the continuation: after a shutdown every object is reconciled at the next
// start, a superseded object is in the queue again, a new leader enqueues
// everything. A link that ends work for such a reason returns CutShort; the
// request is then neither counted as an error nor repeated. CutShort(nil) is
// nil.
func CutShort(err error) error {
	if err == nil {
		return nil
	}
	return &cutShort{err}
}

// IsCutShort reports whether err is, or wraps, one made by [CutShort].
func IsCutShort(err error) bool {
	_, ok := errors.AsType[*cutShort](err)
	return ok
}

type cutShort struct{ err error }

func (c *cutShort) Error() string { return c.err.Error() }
func (c *cutShort) Unwrap() error { return c.err }
