package fleet

import "testing"

func TestReconcileKind(t *testing.T) {
	r := &Reconciler{}
	if err := r.ReconcileKind(t.Context(), &Fleet{}); err != nil {
		t.Fatalf("ReconcileKind() of an empty object = %v, want nil", err)
	}
}
