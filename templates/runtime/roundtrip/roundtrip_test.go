package roundtrip

import (
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/conversion"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// stored is the hub of the widget below.
type stored struct{ runtimetest.Widget }

func (*stored) Hub() {}

// widget converts as its functions do.
type widget struct {
	runtimetest.Widget

	to   func(from *widget, to *stored) error
	from func(to *widget, from *stored) error
}

func (w *widget) ConvertTo(hub conversion.Hub) error   { return w.to(w, hub.(*stored)) }
func (w *widget) ConvertFrom(hub conversion.Hub) error { return w.from(w, hub.(*stored)) }

func toHub(from *widget, to *stored) error   { to.Widget = *from.DeepCopy(); return nil }
func fromHub(to *widget, from *stored) error { to.Widget = *from.DeepCopy(); return nil }
func fault(*widget, *stored) error           { return errors.New("fault") }
func shortToHub(from *widget, to *stored) error {
	to.Widget = *from.DeepCopy()
	to.Status.Phase = ""
	return nil
}

func TestALossIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		to, from func(*widget, *stored) error
		want     string
	}{
		"nothing is lost":      {toHub, fromHub, ""},
		"a field is lost":      {shortToHub, fromHub, "lost in conversion"},
		"to the hub fails":     {fault, fromHub, "fault"},
		"from the hub fails":   {toHub, fault, "fault"},
		"from the hub forgets": {toHub, func(*widget, *stored) error { return nil }, "lost in conversion"},
	} {
		err := Check(func() *widget { return &widget{to: c.to, from: c.from} }, func() *stored { return &stored{} })
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Check() = %v", name, err)
		}
	}
}
