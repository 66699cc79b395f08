package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/status"
)

// Kind describes an API type to a [Loop]. Generated code fills it.
type Kind[T client.Object] struct {
	// Name is the controller's name: lower case, unique in the process. It
	// appears in metrics, logs and events.
	Name string
	// New returns an empty object.
	New func() T
	// Status returns a pointer to the object's status, which it makes if the
	// object has none; nil where the CRD has no status.
	Status func(T) any
	// StatusSubresource reports whether the CRD has the status subresource.
	StatusSubresource bool
	// Lists is what the CRD says of the lists in the status: by what their elements are
	// told apart when the changes of several writers are merged.
	Lists Lists
	// Conditions returns the object's list of conditions; nil where the CRD has
	// no metav1.Condition list in its status.
	Conditions func(T) *[]metav1.Condition
	// OwnConditions returns the object's conditions where their type is not
	// metav1.Condition; nil where Conditions is set or the CRD has none.
	OwnConditions func(T) Conditions
	// ConditionType is the type of the condition that the controller keeps, empty for
	// Ready. A second controller of the same kind has another, and a FieldManager.
	ConditionType string
	// FieldManager names the controller to the API server as the writer of the status;
	// empty means the client's own name.
	FieldManager string
	// SetObservedGeneration stores the generation that the status is about; nil
	// where the CRD has no status.observedGeneration.
	SetObservedGeneration func(T, int64)
	// Finalizer is the finalizer's name, such as example.com/widget. It is only
	// used if the user's reconciler is a [Finalizer].
	Finalizer string
	// Workers is how many objects are worked on at a time, MaxConcurrentReconciles. 0
	// means as many as the manager says.
	Workers int
}

// Lists is what a CRD says of lists, by the field that each is in.
type Lists = status.Lists

func (k Kind[T]) validate() error {
	switch {
	case k.Name == "":
		return errors.New("kind: Name is empty")
	case k.New == nil:
		return fmt.Errorf("kind %s: New is nil", k.Name)
	case k.Conditions != nil && k.OwnConditions != nil:
		return fmt.Errorf("kind %s: Conditions and OwnConditions exclude each other", k.Name)
	case k.Status == nil && (k.Conditions != nil || k.OwnConditions != nil || k.SetObservedGeneration != nil):
		return fmt.Errorf("kind %s: Conditions and SetObservedGeneration need Status", k.Name)
	}
	return nil
}

// Interface is what the user writes for a kind. Everything else a reconciler
// can do is an optional interface of this package that it may implement too.
type Interface[T client.Object] interface {
	// ReconcileKind brings the world into the state that obj asks for, and
	// obj's status into the state of the world. It runs under the work share of
	// the reconcile budget and must return soon after ctx ends. Changes it makes
	// to the status in obj are written by the Loop, even if it fails; other
	// changes to obj are not. The object is a copy of its own.
	//
	// For the meaning of the error see package requeue. A return after ctx has
	// ended is not taken for success.
	ReconcileKind(ctx context.Context, obj T) error
}

// Finalizer is implemented by reconcilers that have something to clean up when
// an object is deleted. The Loop then keeps Kind.Finalizer on every object.
type Finalizer[T client.Object] interface {
	// FinalizeKind cleans up after obj, which is being deleted. The finalizer is
	// removed when it returns nil. It runs instead of ReconcileKind, by the same
	// rules, and must be safe to repeat.
	FinalizeKind(ctx context.Context, obj T) error
}

// Observer is implemented by reconcilers that want to see objects also while
// this replica does not lead.
type Observer[T client.Object] interface {
	// ObserveKind looks at obj and must not write anything.
	ObserveKind(ctx context.Context, obj T) error
}

// Periodic is implemented by reconcilers whose objects are to be looked at
// regularly even if nothing changes.
type Periodic interface {
	// Every is the period from start to start, on a grid that neither the length
	// of the work nor other passes move. It is read once, at set-up, and 0 means
	// never. A failed pass is repeated with backoff, of at most a period; after a
	// terminal error an object rests until it changes.
	Every() time.Duration
}

// Budgeted is implemented by reconcilers that want another budget than the
// manager's. A longer one needs no longer shutdown: a pass is cut short there, and
// has its reserve.
type Budgeted interface {
	// Budget is read once, at set-up.
	Budget() budget.Reconcile
}

// Interruptible is implemented by reconcilers whose work on an object is to end
// early, with cause.Superseded, when the object's spec changes or the object is
// deleted meanwhile.
type Interruptible interface {
	// Interruptible is read once, at set-up.
	Interruptible() bool
}

// Builder is controller-runtime's controller builder.
type Builder = builder.Builder

// Configurer is implemented by reconcilers that watch more than their kind or
// want other controller options.
type Configurer interface {
	// Configure adds to b, which already has the kind, its name and the
	// runtime's options.
	Configure(b *Builder) error
}
