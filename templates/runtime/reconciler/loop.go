package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cadence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/status"
)

// Runtime is what a Loop needs of the process; *manager.Runtime has it.
type Runtime interface {
	GetClient() client.Client
	GetAPIReader() client.Reader
	GetEventRecorder(name string) recorder.EventRecorder
	// Budget is the time a reconcile may take at most.
	Budget() budget.Reconcile
	// OnStop has f called, with the cause, when the process is asked to stop and
	// before the controllers are stopped.
	OnStop(f func(reason error))
}

// Loop is the reconciler of one kind. Its Reconcile and Observe are cores for a
// chain, its Budget is the chain's innermost link.
type Loop[T client.Object] struct {
	kind      Kind[T]
	user      Interface[T]
	finalizer Finalizer[T] // nil if the user has none
	observer  Observer[T]  // nil if the user has none
	period    time.Duration
	interrupt bool
	budget    budget.Reconcile

	client   client.Client
	live     client.Reader
	recorder recorder.EventRecorder
	status   *status.Writer[T] // nil if the kind has no status

	snapshots snapshots[T]
	flights   flights
}

// New makes the Loop of a kind around the user's reconciler. It fails if the
// kind is described incompletely or what the user's reconciler asks for cannot
// be kept.
func New[T client.Object](rt Runtime, kind Kind[T], user Interface[T]) (*Loop[T], error) {
	if err := kind.validate(); err != nil {
		return nil, err
	}
	if err := checkAbilities[T](user); err != nil {
		return nil, fmt.Errorf("kind %s: %w", kind.Name, err)
	}
	l := &Loop[T]{
		kind: kind, user: user, budget: rt.Budget(),
		client: rt.GetClient(), live: rt.GetAPIReader(), recorder: rt.GetEventRecorder(kind.Name),
		snapshots: snapshots[T]{kind: kind},
	}
	if err := l.readAbilities(rt.Budget()); err != nil {
		return nil, fmt.Errorf("kind %s: %w", kind.Name, err)
	}
	if kind.Status != nil {
		l.status = &status.Writer[T]{Client: l.client, Live: l.live, Status: kind.Status, Subresource: kind.StatusSubresource}
	}
	rt.OnStop(l.flights.end)
	return l, nil
}

// readAbilities finds out which optional interfaces the user's reconciler has.
func (l *Loop[T]) readAbilities(limit budget.Reconcile) error {
	if f, ok := l.user.(Finalizer[T]); ok {
		if l.kind.Finalizer == "" {
			return errors.New("FinalizeKind needs Kind.Finalizer, the finalizer's name")
		}
		l.finalizer = f
	}
	l.observer, _ = l.user.(Observer[T])
	if p, ok := l.user.(Periodic); ok {
		if l.period = p.Every(); l.period < 0 {
			return fmt.Errorf("Every() returns %s; a period is positive, or 0 for never", l.period)
		}
	}
	if i, ok := l.user.(Interruptible); ok {
		l.interrupt = i.Interruptible()
	}
	if b, ok := l.user.(Budgeted); ok {
		l.budget = b.Budget()
	}
	if l.budget.Total > limit.Total {
		return fmt.Errorf("Budget() asks for %s, but a reconcile that takes longer than %s would be cut off at shutdown; raise --reconcile-timeout",
			l.budget.Total, limit.Total)
	}
	return l.budget.Validate()
}

// Budget is the link that gives the work its deadline and lets it be ended
// early: by shutdown, and by a newer generation where the user's reconciler is
// [Interruptible]. It is the innermost link, as nothing outside of it shall be
// cut off by the deadline of the work.
func (l *Loop[T]) Budget(next chain.Func) chain.Func {
	return func(ctx context.Context, req reconcile.Request) error {
		ctx, end := context.WithCancelCause(ctx)
		defer end(nil)
		l.flights.start(req.NamespacedName, end)
		defer l.flights.finish(req.NamespacedName)
		ctx, release := l.budget.Begin(ctx)
		defer release()
		return next(ctx, req)
	}
}

// Reconcile is the core of the chain: one pass over one object.
func (l *Loop[T]) Reconcile(ctx context.Context, req reconcile.Request) error {
	obj, err := l.fetch(ctx, req)
	if err != nil {
		return unlessGone(ctx, err)
	}
	if logger := log.FromContext(ctx); logger.Enabled() {
		ctx = log.IntoContext(ctx, logger.WithValues("generation", obj.GetGeneration()))
	}
	if !obj.GetDeletionTimestamp().IsZero() {
		return l.finalize(ctx, obj)
	}
	if l.finalizer != nil {
		if obj, err = l.addFinalizer(ctx, obj); err != nil {
			return unlessGone(ctx, err)
		}
	}
	before := l.snapshots.take(obj)
	v := judge(ctx, l.call(ctx, l.user.ReconcileKind, obj), ReasonReconcileFailed)
	if err := l.conclude(ctx, v, before, obj, "Reconcile"); err != nil {
		return l.soonerTick(err, before)
	}
	return l.nextTick(before)
}

// Observe is the core of the chain while this replica does not lead: it shows
// the object to the user's ObserveKind, if there is one, and writes nothing.
func (l *Loop[T]) Observe(ctx context.Context, req reconcile.Request) error {
	if l.observer == nil {
		return nil
	}
	obj, err := l.fetch(ctx, req)
	if err != nil {
		return unlessGone(ctx, err)
	}
	return judge(ctx, l.call(ctx, l.observer.ObserveKind, obj), ReasonReconcileFailed).err
}

// fetch reads the object, unless the work has been ended already: a cached read
// does not look at its context.
func (l *Loop[T]) fetch(ctx context.Context, req reconcile.Request) (T, error) {
	obj := l.kind.New()
	if ctx.Err() != nil {
		return obj, context.Cause(ctx)
	}
	if err := l.client.Get(ctx, req.NamespacedName, obj); err != nil {
		return obj, err
	}
	if l.interrupt {
		l.flights.works(obj)
	}
	return obj, nil
}

// unlessGone is the error of a pass that could not begin, nil if that is
// because its object is gone.
func unlessGone(ctx context.Context, err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return judge(ctx, err, ReasonReconcileFailed).err
}

// call runs the user's code and turns a panic into an error.
func (l *Loop[T]) call(ctx context.Context, f func(context.Context, T) error, obj T) (err error) {
	defer func() {
		if value := recover(); value != nil {
			for _, handle := range utilruntime.PanicHandlers {
				handle(ctx, value)
			}
			err = &PanicError{Value: value}
		}
	}()
	if l.kind.Status != nil {
		l.kind.Status(obj) // made if it is absent, so that the user's code may write to it
	}
	return f(ctx, obj)
}

// conclude writes what the pass came to, in the budget's reserve.
func (l *Loop[T]) conclude(ctx context.Context, v verdict, before, after T, action string) error {
	if l.status != nil {
		l.apply(v, after, before.GetGeneration())
		if l.status.Changed(before, after) {
			if err := l.writeStatus(ctx, before, after); err != nil {
				if chain.IsCutShort(v.err) { // of which nobody else speaks
					log.FromContext(ctx).Error(err, "Status not written")
				}
				return failedWrite(v.err, err)
			}
		}
	}
	l.announce(v, before, action)
	return v.err
}

func (l *Loop[T]) writeStatus(ctx context.Context, before, after T) error {
	ctx, release, err := l.budget.BeginStatus(ctx)
	if err != nil {
		return chain.CutShort(err)
	}
	defer release()
	_, err = l.status.Write(ctx, before, after)
	return closing(ctx, err)
}

// closing names the cause of a failure to write what a pass came to. A fence
// that fell meanwhile cuts the pass short.
func closing(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	o := cause.Classify(ctx, err)
	if o.Cause != nil && o.Cause.Fencing() {
		return chain.CutShort(o.Err)
	}
	return o.Err
}

// failedWrite is the error of a pass whose status could not be written. It is
// repeated whatever the pass came to, or the status would never be right.
func failedWrite(pass, write error) error {
	_, later := requeue.AsLater(pass)
	if pass == nil || later || requeue.IsTerminal(pass) {
		return fmt.Errorf("write status: %w", write)
	}
	return fmt.Errorf("%w; write status: %w", pass, write)
}

// nextTick asks for the object's next pass, where the kind has a period.
func (l *Loop[T]) nextTick(obj T) error {
	if l.period == 0 {
		return nil
	}
	return requeue.After(cadence.Next(time.Now(), l.period, cadence.Phase(obj.GetUID(), l.period)))
}

// soonerTick moves a later look forward to the next tick.
func (l *Loop[T]) soonerTick(err error, obj T) error {
	later, ok := requeue.AsLater(err)
	if !ok || l.period == 0 {
		return err
	}
	return later.AtMost(cadence.Next(time.Now(), l.period, cadence.Phase(obj.GetUID(), l.period)))
}
