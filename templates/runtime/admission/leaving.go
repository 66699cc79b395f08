package admission

import (
	"context"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// letsGo reports whether the request of ctx does no more to an object that is being
// deleted than to change its metadata or its status, as whoever removes a finalizer
// does. What is compared is what was sent: Go types need not know every field.
func letsGo(ctx context.Context) bool {
	req, err := admission.RequestFromContext(ctx)
	if err != nil || req.Operation != admissionv1.Update {
		return false
	}
	var old, changed unstructured.Unstructured
	if old.UnmarshalJSON(req.OldObject.Raw) != nil || changed.UnmarshalJSON(req.Object.Raw) != nil {
		return false
	}
	if changed.GetDeletionTimestamp().IsZero() {
		return false
	}
	for _, obj := range []unstructured.Unstructured{old, changed} {
		delete(obj.Object, "metadata")
		delete(obj.Object, "status")
	}
	return reflect.DeepEqual(old.Object, changed.Object)
}
