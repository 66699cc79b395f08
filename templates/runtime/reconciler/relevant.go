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

// relevance is what of the events of the kind is worth a pass.
func (l *Loop[T]) relevance() predicate.Funcs {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList || !l.Rests(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, is := e.ObjectOld, e.ObjectNew
			switch {
			case was.GetResourceVersion() == is.GetResourceVersion(): // a resync
				return !l.Rests(is)
			case was.GetGeneration() != is.GetGeneration() && !l.kind.StatusSubresource && !l.differ(was, is):
				is = is.DeepCopyObject().(client.Object) // without the subresource a status makes a generation too
				is.SetGeneration(was.GetGeneration())
			}
			return relevant(event.UpdateEvent{ObjectOld: was, ObjectNew: is}) || l.undone(was, is)
		},
	}
}

// relevant reports whether an update is worth a pass by itself: not if nothing changed
// but the status, which is mostly the trace of the last pass, or who manages what.
// A resync, which changes nothing, is.
func relevant(e event.UpdateEvent) bool {
	was, is := e.ObjectOld, e.ObjectNew
	return was.GetResourceVersion() == is.GetResourceVersion() ||
		was.GetUID() != is.GetUID() ||
		was.GetGeneration() != is.GetGeneration() ||
		was.GetDeletionTimestamp().IsZero() != is.GetDeletionTimestamp().IsZero() ||
		!maps.Equal(was.GetLabels(), is.GetLabels()) ||
		!maps.Equal(was.GetAnnotations(), is.GetAnnotations())
}

// Rests reports whether there is nothing to do about an object before it changes: its
// last pass ended with a terminal error, and its generation is still the same. A start
// of the process, a resync and a new term are no change.
func (l *Loop[T]) Rests(obj client.Object) bool {
	of, ok := obj.(T)
	if !ok || !l.kind.StatusSubresource || !obj.GetDeletionTimestamp().IsZero() {
		return false
	}
	conditions := l.conditions(shallow(of))
	if conditions == nil {
		return false
	}
	stalled, ok := conditions.Find(ConditionStalled)
	return ok && stalled.Status == metav1.ConditionTrue && stalled.ObservedGeneration == obj.GetGeneration()
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
	if l.finalizer != nil && is.GetDeletionTimestamp().IsZero() &&
		controllerutil.ContainsFinalizer(was, l.kind.Finalizer) && !controllerutil.ContainsFinalizer(is, l.kind.Finalizer) {
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
