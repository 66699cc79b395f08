//go:build integration

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
)

// fixedSize are rules by which a size stays what it is.
type fixedSize struct{}

// ValidateUpdate implements admission.UpdateValidator.
func (fixedSize) ValidateUpdate(_ context.Context, old, w *widget) (admission.Warnings, error) {
	if old.Spec.Size != w.Spec.Size {
		return nil, errors.New("the size is immutable")
	}
	return nil, nil
}

func TestDeletingFirstDoesNotOpenAnObjectToChanges(t *testing.T) {
	install(t, serveRules(t, fixedSize{}, false), "deleting", 10, admissionregistrationv1.Fail, admissionregistrationv1.Update)
	w := create(t, &widget{ObjectMeta: metav1.ObjectMeta{
		Labels: map[string]string{"case": "deleting"}, Finalizers: []string{"test.ctxscaffold.dev/own"},
	}})
	patch := func(text string) error {
		return direct(t).Patch(t.Context(), w.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(text)))
	}
	size := 0
	change := func(metadata string) error {
		size++
		return patch(fmt.Sprintf(`{%s"spec":{"size":%d}}`, metadata, size))
	}
	denied := func(when string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "the size is immutable") {
			t.Errorf("a change %s: %v", when, err)
		}
	}
	eventually(t, "the webhook in the API server", func() bool { return change("") != nil })
	denied("before", change(""))
	if err := direct(t).Delete(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	denied("while it is being deleted", change(""))
	denied("with the last finalizer", change(`"metadata":{"finalizers":null},`))
	if err := patch(`{"metadata":{"finalizers":null}}`); err != nil {
		t.Errorf("the finalizer stays: %v", err)
	}
}
