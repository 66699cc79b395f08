package reconciler

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

// Runtime is what a Loop needs of the process; *manager.Runtime has it.
type Runtime interface {
	GetClient() client.Client
	GetAPIReader() client.Reader
	GetEventRecorder(name string) recorder.EventRecorder
	// Budget is the time a reconcile may take at most.
	Budget() budget.Reconcile
	// Stopping ends, with the cause, when the process is asked to stop.
	Stopping() context.Context
}

// Loop is the reconciler of one kind. Its Reconcile and Observe are cores for a
// chain, its Budget is the chain's innermost link.
type Loop[T client.Object] struct {
	kind Kind[T]
	user Interface[T]
}

// New makes the Loop of a kind around the user's reconciler. It fails if the
// kind is described incompletely or the user's budget or period cannot be kept.
func New[T client.Object](rt Runtime, kind Kind[T], user Interface[T]) (*Loop[T], error) {
	if err := kind.validate(); err != nil {
		return nil, err
	}
	return &Loop[T]{kind: kind, user: user}, nil
}

// Budget is the link that gives the work its deadline and lets it be ended
// early: by shutdown, and by a newer generation where the user's reconciler is
// [Interruptible]. It is the innermost link, as the status write must not fall
// under what it ends.
func (l *Loop[T]) Budget(next chain.Func) chain.Func { return next }

// Reconcile is the core of the chain: one pass over one object.
func (l *Loop[T]) Reconcile(ctx context.Context, req reconcile.Request) error {
	return l.user.ReconcileKind(ctx, l.kind.New())
}

// Observe is the core of the chain while this replica does not lead: it shows
// the object to the user's ObserveKind, if there is one, and writes nothing.
func (l *Loop[T]) Observe(ctx context.Context, req reconcile.Request) error {
	return nil
}

// Register adds a controller to mgr that handles the kind's requests by f,
// which is this Loop's Reconcile with its links.
func (l *Loop[T]) Register(mgr manager.Manager, f chain.Func) error {
	return nil
}
