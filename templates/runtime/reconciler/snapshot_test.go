package reconciler

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

func widgetSnapshots() *snapshots[*runtimetest.Widget] {
	return &snapshots[*runtimetest.Widget]{kind: Kind[*runtimetest.Widget]{
		New:    func() *runtimetest.Widget { return &runtimetest.Widget{} },
		Status: func(w *runtimetest.Widget) any { return &w.Status },
	}}
}

func object7() *runtimetest.Widget {
	return &runtimetest.Widget{
		ObjectMeta: metav1.ObjectMeta{
			Name: "w", Namespace: "default", UID: "uid-7", ResourceVersion: "7", Generation: 3,
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Spec:   runtimetest.WidgetSpec{Size: 7},
		Status: runtimetest.WidgetStatus{Phase: "Ready", Parts: []runtimetest.Part{{Name: "a", State: "old"}}},
	}
}

func TestSnapshotsAreIndependent(t *testing.T) {
	obj := object7()
	snapshot := widgetSnapshots().take(obj)
	obj.Status.Phase, obj.Status.Parts[0].State, obj.ResourceVersion = "Changed", "new", "8"
	want := &runtimetest.Widget{
		ObjectMeta: metav1.ObjectMeta{Name: "w", Namespace: "default", UID: "uid-7", ResourceVersion: "7", Generation: 3},
		Status:     object7().Status,
	}
	if diff := cmp.Diff(want, snapshot); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

// What is put back into the pool must neither keep a status alive nor let its
// owner change it.
func TestSnapshotsLeaveNothingInThePool(t *testing.T) {
	s := widgetSnapshots()
	var shells []*runtimetest.Widget
	s.kind.New = func() *runtimetest.Widget {
		shells = append(shells, &runtimetest.Widget{})
		return shells[len(shells)-1]
	}
	s.take(object7())
	if len(shells) == 0 {
		t.Fatal("no shell was made")
	}
	for _, shell := range shells {
		if diff := cmp.Diff(&runtimetest.Widget{}, shell); diff != "" {
			t.Errorf("shell (-want +got):\n%s", diff)
		}
	}
}

func TestSnapshotsOfAKindWithoutStatus(t *testing.T) {
	s := widgetSnapshots()
	s.kind.Status = nil
	if got := s.take(object7()); got.UID != "uid-7" || got.Status.Phase != "" {
		t.Errorf("snapshot %+v", got)
	}
}
