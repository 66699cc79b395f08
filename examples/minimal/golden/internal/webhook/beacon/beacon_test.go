package beacon

import "testing"

func TestRules(t *testing.T) {
	r := &Rules{}
	obj := &Beacon{}
	if err := r.Default(t.Context(), obj); err != nil {
		t.Errorf("Default() of an empty object = %v, want nil", err)
	}
	if _, err := r.ValidateCreate(t.Context(), obj); err != nil {
		t.Errorf("ValidateCreate() of an empty object = %v, want nil", err)
	}
	if _, err := r.ValidateUpdate(t.Context(), obj, obj); err != nil {
		t.Errorf("ValidateUpdate() of an empty object = %v, want nil", err)
	}
}
