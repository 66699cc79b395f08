// Package roundtrip finds out whether conversions between the versions of a kind
// lose anything. Only tests import it.
package roundtrip

import (
	"encoding/json"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
	"sigs.k8s.io/randfill"
)

// objects is how many are drawn of each version.
const objects = 300

// Check takes random objects from a version to the hub and back, and the other way
// round. It returns an error that shows the first object that came back changed.
func Check[S conversion.Convertible, H conversion.Hub](newSpoke func() S, newHub func() H) error {
	filler := newFiller()
	for range objects {
		spoke, middle, end := newSpoke(), newHub(), newSpoke()
		filler.Fill(spoke)
		if err := spoke.ConvertTo(middle); err != nil {
			return err
		}
		if err := end.ConvertFrom(middle); err != nil {
			return err
		}
		if err := same(spoke, end); err != nil {
			return err
		}

		first, between, last := newHub(), newSpoke(), newHub()
		filler.Fill(first)
		if err := between.ConvertFrom(first); err != nil {
			return err
		}
		if err := between.ConvertTo(last); err != nil {
			return err
		}
		if err := same(first, last); err != nil {
			return err
		}
	}
	return nil
}

// newFiller fills objects with random values that JSON holds exactly.
func newFiller() *randfill.Filler {
	return randfill.NewWithSeed(1).NilChance(0.3).NumElements(0, 3).MaxDepth(12).Funcs(
		func(*metav1.TypeMeta, randfill.Continue) {},
		func(meta *metav1.ObjectMeta, c randfill.Continue) { meta.Name = c.String(0) },
		func(at *metav1.Time, c randfill.Continue) { *at = metav1.Unix(c.Int63n(4e9), 0) },
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(1e9), resource.DecimalSI)
		},
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(c.Int31()) },
		func(v *apiextensionsv1.JSON, _ randfill.Continue) { v.Raw = []byte(`{"a":[1,null]}`) },
		func(v *map[string]apiextensionsv1.JSON, _ randfill.Continue) { *v = nil },
		func(v *runtime.RawExtension, _ randfill.Continue) { v.Raw = []byte(`{"a":1}`) },
	)
}

// same compares objects as the API server sees them.
func same(want, got any) error {
	wanted, err := json.Marshal(want)
	if err != nil {
		return err
	}
	made, err := json.Marshal(got)
	if err != nil {
		return err
	}
	if string(wanted) != string(made) {
		return fmt.Errorf("lost in conversion:\nwant %s\ngot  %s", wanted, made)
	}
	return nil
}
