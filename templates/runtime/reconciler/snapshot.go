package reconciler

import (
	"reflect"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// snapshots makes copies of the part of an object that a pass is compared with
// afterwards: its status, and what identifies it and its version. Most of an
// object, its spec and the records of who manages which field, is not copied.
type snapshots[T client.Object] struct {
	kind   Kind[T]
	shells sync.Pool // of empty objects
}

// take returns a snapshot of obj, which shares nothing with it.
func (s *snapshots[T]) take(obj T) T {
	shell, ok := s.shells.Get().(T)
	if !ok {
		shell = s.kind.New()
	}
	if s.kind.Status != nil {
		status := reflect.ValueOf(s.kind.Status(shell)).Elem()
		status.Set(reflect.ValueOf(s.kind.Status(obj)).Elem())
		defer func() { status.SetZero(); s.shells.Put(shell) }()
	}
	snapshot := shell.DeepCopyObject().(T)
	snapshot.SetNamespace(obj.GetNamespace())
	snapshot.SetName(obj.GetName())
	snapshot.SetUID(obj.GetUID())
	snapshot.SetResourceVersion(obj.GetResourceVersion())
	snapshot.SetGeneration(obj.GetGeneration())
	return snapshot
}
