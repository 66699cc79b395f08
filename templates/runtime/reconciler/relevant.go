package reconciler

import (
	"maps"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// relevance is what of the events of the kind is worth a pass. It is asked last, after
// the user's predicates, so what it lets through causes a pass, and it alone ends the one
// that runs: no pass is superseded that is not followed by another.
func (l *Loop[T]) relevance() predicate.Funcs {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool {
			return !e.IsInInitialList || l.observer != nil || !l.Rests(e.Object) // an observer knows of no object yet
		},
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, is := e.ObjectOld, e.ObjectNew
			switch {
			case was.GetResourceVersion() == is.GetResourceVersion(): // a resync
				return !l.Rests(is)
			case l.supersedes(was, is):
				l.flights.changed(was, is)
				return true
			}
			return relabelled(was, is) || l.undone(was, is)
		},
		DeleteFunc: func(e event.DeleteEvent) bool {
			l.flights.deleted(e.Object)
			return true
		},
	}
}

// supersedes reports whether an update asks for other work than a pass over the object
// as it was does. Without the subresource a status makes a new generation too, which
// asks for nothing: it is mostly the trace of the last pass, or of the running one.
func (l *Loop[T]) supersedes(was, is client.Object) bool {
	return was.GetUID() != is.GetUID() ||
		was.GetDeletionTimestamp().IsZero() != is.GetDeletionTimestamp().IsZero() ||
		was.GetGeneration() != is.GetGeneration() && (l.kind.StatusSubresource || l.differ(was, is))
}

// relabelled reports whether an update is worth a pass by what it says in the metadata:
// not by who manages what.
func relabelled(was, is client.Object) bool {
	return !maps.Equal(was.GetLabels(), is.GetLabels()) || !maps.Equal(was.GetAnnotations(), is.GetAnnotations())
}

// Rests reports whether there is nothing for this controller to do about an object before
// it changes: its last pass ended with a terminal error, its word of that and the
// generation are still the same, and the object has the finalizer that it shall have. A
// start of the process, a resync and a new term are no change. Without the status
// subresource nothing rests, as no generation is told.
func (l *Loop[T]) Rests(obj client.Object) bool {
	of, ok := obj.(T)
	if !ok || !l.kind.StatusSubresource || !obj.GetDeletionTimestamp().IsZero() || l.unguarded(obj) {
		return false
	}
	conditions := l.conditions(shallow(of))
	if conditions == nil {
		return false
	}
	for i, want := range [...]metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionTrue} {
		said, ok := conditions.Find(l.owned[i])
		if !ok || said.Status != want || said.ObservedGeneration != obj.GetGeneration() {
			return false
		}
	}
	return true
}

// unguarded reports whether an object lacks the finalizer that this controller keeps.
func (l *Loop[T]) unguarded(obj client.Object) bool {
	return l.finalizer != nil && obj.GetDeletionTimestamp().IsZero() && !controllerutil.ContainsFinalizer(obj, l.kind.Finalizer)
}

// differ reports whether two states of an object differ in anything but metadata and
// status.
func (l *Loop[T]) differ(was, is client.Object) bool {
	return !reflect.DeepEqual(l.bare(was), l.bare(is))
}

// bare is a copy of an object without metadata and status.
func (l *Loop[T]) bare(obj client.Object) any {
	of, ok := obj.DeepCopyObject().(T)
	if !ok {
		return obj
	}
	if l.kind.Status != nil {
		reflect.ValueOf(l.kind.Status(of)).Elem().SetZero()
	}
	value := reflect.ValueOf(of).Elem()
	value.FieldByName("ObjectMeta").SetZero()
	return value.Interface()
}

// undone reports whether an update took back what this controller keeps on the object:
// its finalizer, or its conditions.
func (l *Loop[T]) undone(was, is client.Object) bool {
	if l.unguarded(is) && !l.unguarded(was) {
		return true
	}
	old, ok := was.(T)
	if !ok {
		return false
	}
	conditions := l.conditions(shallow(old))
	if conditions == nil {
		return false
	}
	said := digest(l.conditions(shallow(is.(T))), l.owned)
	return said != digest(conditions, l.owned) && l.memories.contradicted(client.ObjectKeyFromObject(is), is.GetResourceVersion(), said)
}

// shallow is a copy of an object that shares with it what it points to. An object of
// the cache is everybody's, and where it has no status asking for one makes it.
func shallow[T client.Object](obj T) T {
	copied := reflect.New(reflect.TypeOf(obj).Elem())
	copied.Elem().Set(reflect.ValueOf(obj).Elem())
	return copied.Interface().(T)
}
