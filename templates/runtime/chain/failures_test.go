package chain

import (
	"errors"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestFailuresThatNobodyEndsAreBounded(t *testing.T) {
	var f failures
	object := types.NamespacedName{Name: "goes on"}
	for i := range 3 * remembered {
		f.note(types.NamespacedName{Name: fmt.Sprint(i)}, errors.New("failed"), failure{number: 1})
	}
	for i := range 3 {
		f.note(object, errors.New("failed"), failure{number: i + 1})
	}
	if len(f.objects) != remembered || f.of(object).number != 3 {
		t.Errorf("%d are kept, want %d; the last one: %+v", len(f.objects), remembered, f.of(object))
	}
}
