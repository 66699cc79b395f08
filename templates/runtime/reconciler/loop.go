package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cadence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/freshness"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
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

	client   *freshness.Client
	live     client.Reader
	recorder recorder.EventRecorder
	status   *status.Writer[T] // nil if the kind has no status
	owned    []string          // types of the conditions that are kept
	barrier  barrier[T]

	snapshots snapshots[T]
	flights   flights
	memories  memories
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
	if kind.ConditionType = cmp.Or(kind.ConditionType, ConditionReady); kind.ConditionType != ConditionReady {
		kind.SetObservedGeneration = nil // it is told with Ready, of which it says how old that is
	}
	l := &Loop[T]{
		kind: kind, user: user, budget: rt.Budget(),
		client: freshness.Of(rt.GetClient(), rt.GetAPIReader()), live: rt.GetAPIReader(), recorder: rt.GetEventRecorder(kind.Name),
		owned:     ownedConditions(kind.ConditionType),
		snapshots: snapshots[T]{kind: kind},
	}
	if err := l.readAbilities(rt.Budget()); err != nil {
		return nil, fmt.Errorf("kind %s: %w", kind.Name, err)
	}
	if kind.Status != nil {
		l.status = &status.Writer[T]{
			Client: l.client, Live: l.live, Status: kind.Status, Subresource: kind.StatusSubresource,
			Owned: l.owned, Lists: kind.Lists, FieldManager: kind.FieldManager,
		}
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
	if l.budget.Reserve >= limit.Total {
		return fmt.Errorf("Budget() keeps %s for the status, but a pass that is cut short at shutdown has less than %s to write it; raise --reconcile-timeout",
			l.budget.Reserve, limit.Total)
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

// Reconcile is the core of the chain: one pass over one object, as it is stored: not
// older than what this process wrote last, nor, in a new term, than what any former
// leader did (see package freshness).
func (l *Loop[T]) Reconcile(ctx context.Context, req reconcile.Request) error {
	if err := l.barrier.pass(ctx, l); err != nil {
		return l.unread(ctx, req, err)
	}
	obj, err := l.fetch(ctx, l.client, req.NamespacedName)
	for attempt := 1; err == nil; attempt++ {
		var conflict error
		action := "Reconcile"
		switch {
		case !obj.GetDeletionTimestamp().IsZero():
			action = "Finalize"
			if conflict, err = l.finalize(about(ctx, obj), obj); conflict == nil {
				return err
			}
		case l.unguarded(obj):
			conflict, err = l.addFinalizer(ctx, obj)
		}
		if conflict == nil {
			break
		}
		if attempt > patientConflicts {
			return l.overtaken(ctx, obj, conflict, action)
		}
		obj, err = l.newer(ctx, obj, conflict, attempt)
	}
	if err != nil {
		return l.unread(ctx, req, err)
	}
	ctx = about(ctx, obj)
	before := l.snapshots.take(obj)
	stored, err := l.call(ctx, l.user.ReconcileKind, before, obj)
	v := l.judge(ctx, err, ReasonReconcileFailed, before)
	if err := l.conclude(ctx, v, before, stored, obj, "Reconcile"); err != nil {
		return l.soonerTick(err, before)
	}
	return l.nextTick(before)
}

// about is the context of work on an object: its logger tells the generation.
func about(ctx context.Context, obj client.Object) context.Context {
	logger := log.FromContext(ctx)
	if !logger.Enabled() {
		return ctx
	}
	return log.IntoContext(ctx, logger.WithValues("generation", obj.GetGeneration()))
}

// Observe is the core of the chain while this replica does not lead: it shows
// the object to the user's ObserveKind, if there is one, and writes nothing. It has
// the budget of a reconcile, and ends with the process as one does.
func (l *Loop[T]) Observe(ctx context.Context, req reconcile.Request) error {
	if l.observer == nil {
		return nil
	}
	return l.Budget(l.observe)(ctx, req)
}

func (l *Loop[T]) observe(ctx context.Context, req reconcile.Request) error {
	obj, err := l.fetch(ctx, l.client, req.NamespacedName)
	if err != nil {
		return l.unread(ctx, req, err)
	}
	_, err = l.call(ctx, l.observer.ObserveKind, obj, obj)
	v := judge(ctx, err, ReasonReconcileFailed, obj)
	return v.err
}

// fetch reads the object, unless the work has been ended already: a cached read
// does not look at its context.
func (l *Loop[T]) fetch(ctx context.Context, from client.Reader, key client.ObjectKey) (T, error) {
	obj := l.kind.New()
	if ctx.Err() != nil {
		return obj, context.Cause(ctx)
	}
	if err := from.Get(ctx, key, obj); err != nil {
		return obj, err
	}
	if l.interrupt {
		l.flights.works(obj)
	}
	return obj, nil
}

// unread is the error of a pass that could not begin, nil if that is because its
// object is gone.
func (l *Loop[T]) unread(ctx context.Context, req reconcile.Request, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		l.memories.forget(req.NamespacedName)
		return nil
	case errors.Is(err, freshness.Late):
		return err // whose name says more than that the time is over
	}
	obj := l.kind.New()
	obj.SetName(req.Name)
	v := judge(ctx, err, ReasonReconcileFailed, obj)
	return v.err
}

// barrier is the barrier of a kind, made when it is needed first: without leader
// election it never is.
type barrier[T client.Object] struct {
	once sync.Once
	of   *freshness.Barrier
	err  error
}

// pass waits until it is known what former leaders wrote.
func (b *barrier[T]) pass(ctx context.Context, l *Loop[T]) error {
	if _, leads := leader.TermOf(ctx); !leads {
		return nil
	}
	b.once.Do(func() { b.of, b.err = l.newBarrier() })
	if b.err != nil {
		return b.err
	}
	return b.of.Pass(ctx)
}

func (l *Loop[T]) newBarrier() (*freshness.Barrier, error) {
	gvk, err := l.client.GroupVersionKindFor(l.kind.New())
	if err != nil {
		return nil, err
	}
	made, err := l.client.Scheme().New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err != nil {
		return nil, err
	}
	list, ok := made.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%T is no list of objects", made)
	}
	return freshness.NewBarrier(l.client.Keep(), l.client, l.live, gvk, list), nil
}

// call runs the user's code and turns a panic into an error. It returns, beside the
// error, the state of the object that obj goes on from, or the last one that the code
// was told of: before, or what it read or wrote itself.
func (l *Loop[T]) call(ctx context.Context, f func(context.Context, T) error, before, obj T) (stored T, err error) {
	ctx, w := l.witnessed(ctx, before)
	defer func() {
		if value := recover(); value != nil {
			for _, handle := range utilruntime.PanicHandlers {
				handle(ctx, value)
			}
			err = &PanicError{Value: value}
		}
		stored = w.state(obj.GetResourceVersion())
	}()
	if l.kind.Status != nil {
		l.kind.Status(obj) // made if it is absent, so that the user's code may write to it
	}
	return before, f(ctx, obj)
}

// witnessed returns a context whose witness knows the object as before.
func (l *Loop[T]) witnessed(ctx context.Context, before T) (context.Context, *witness[T]) {
	w := &witness[T]{loop: l, first: before}
	w.Witnessed = freshness.Witnessed{Context: ctx, Witness: w}
	return w, w
}

// witness is the context of the user's code, and is told of what that reads and writes.
type witness[T client.Object] struct {
	freshness.Witnessed
	loop  *Loop[T]
	first T          // state of the object
	mu    sync.Mutex // the code may do so in several goroutines
	later []T        // the newest last
}

// Saw implements freshness.Witness.
func (w *witness[T]) Saw(seen client.Object) {
	obj, ok := seen.(T)
	if !ok {
		if obj, ok = w.applied(seen); !ok {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.last()
	if obj.GetUID() == last.GetUID() && number(obj.GetResourceVersion()) > number(last.GetResourceVersion()) {
		state := w.loop.snapshots.take(obj)
		state.SetFinalizers(slices.Clone(obj.GetFinalizers())) // for what FinalizeKind has written
		w.later = append(w.later, state)
	}
}

// applied returns the state of the object that an apply of it was answered with.
func (w *witness[T]) applied(answer client.Object) (obj T, ok bool) {
	u, ok := answer.(*unstructured.Unstructured)
	if !ok || u.GetUID() != w.first.GetUID() {
		return obj, false
	}
	obj = w.loop.kind.New()
	gvk, err := w.loop.client.GroupVersionKindFor(obj)
	return obj, err == nil && gvk == u.GroupVersionKind() && runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, obj) == nil
}

// state returns the state of a version if the code was told of it after the first one,
// and else the last one.
func (w *witness[T]) state(version string) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, state := range w.later {
		if state.GetResourceVersion() == version {
			return state
		}
	}
	return w.last()
}

func (w *witness[T]) last() T {
	if n := len(w.later); n > 0 {
		return w.later[n-1]
	}
	return w.first
}

// conclude writes what the pass came to, in the budget's reserve.
func (l *Loop[T]) conclude(ctx context.Context, v verdict, before, stored, after T, action string) error {
	if changed := l.say(v, before, stored, after); changed {
		if err := l.writeStatus(ctx, before, stored, after); err != nil {
			if refusal(err) {
				v = l.refused(ctx, before, stored, failedWrite(v.err, err))
				l.announce(v, before, action)
				return v.err
			}
			if chain.IsCutShort(v.err) { // of which nobody else speaks
				log.FromContext(ctx).Error(err, "Status not written")
			}
			return failedWrite(v.err, err)
		}
	}
	l.announce(v, before, action)
	return v.err
}

// refusal reports whether the API server has answered, to a status, what it would answer
// again: that it is invalid, too large, or forbidden by a policy.
func refusal(err error) bool {
	_, answered := errors.AsType[*apierrors.StatusError](err)
	return answered && !apierrors.IsConflict(err) && !budget.Retryable(err)
}

// refused says on the object, because of err, that the API server does not accept its
// status: in a status that it does accept, the one that is stored, with other conditions.
func (l *Loop[T]) refused(ctx context.Context, before, stored T, err error) verdict {
	v := failed(err, ReasonStatusRefused)
	said := l.snapshots.take(stored)
	if changed := l.say(v, before, stored, said); changed {
		if err := l.writeStatus(ctx, stored, stored, said); err != nil {
			log.FromContext(ctx).Error(err, "Status not written")
		}
	}
	return v
}

// say puts the verdict on a pass over before into the status of after. It reports
// whether there is something to write, as stored says something else, and notes what it
// is before others can contradict it.
func (l *Loop[T]) say(v verdict, before, stored, after T) (changed bool) {
	var said uint64
	if l.status != nil {
		l.apply(v, after, before.GetGeneration())
		changed = stored.GetResourceVersion() != after.GetResourceVersion() || l.status.Changed(stored, after)
		if conditions := l.conditions(after); changed && conditions != nil {
			said = digest(conditions, l.owned)
		}
	}
	l.memories.ended(client.ObjectKeyFromObject(before), said, v.conflict)
	return changed
}

func (l *Loop[T]) writeStatus(ctx context.Context, before, stored, after T) error {
	ctx, release, err := l.budget.BeginStatus(ctx)
	if err != nil {
		return chain.CutShort(err)
	}
	defer release()
	written, err := l.status.WriteOver(ctx, before, stored, after)
	if written {
		l.memories.wrote(client.ObjectKeyFromObject(after), number(after.GetResourceVersion()))
	}
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
