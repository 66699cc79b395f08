package status

import (
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// generated has every sort of field that a status may have, but interfaces,
// which package quick cannot fill.
type generated struct {
	Text   string
	Flag   bool
	Int    int32
	Uint   uint8
	Float  float64
	Bytes  []byte
	Array  [2]int
	List   []struct{ A, B string }
	Map    map[string]*int
	Nested *struct{ Deep map[string][]string }
}

type sample struct {
	generated
	Any any
}

func same(a, b any) bool { return equal(reflect.ValueOf(a), reflect.ValueOf(b)) }

func TestEqualIsDeepEqual(t *testing.T) {
	for seed := range int64(300) {
		random := func(seed int64) any {
			value, ok := quick.Value(reflect.TypeFor[generated](), rand.New(rand.NewSource(seed)))
			if !ok {
				t.Fatal("cannot make a value")
			}
			return value.Interface()
		}
		if !same(random(seed), random(seed)) {
			t.Fatalf("not equal to its twin: %+v", random(seed))
		}
		if same(random(seed), random(seed+1)) {
			t.Fatalf("equal: %+v and %+v", random(seed), random(seed+1))
		}
	}
	one, other, two, empty := 1, 1, 2, map[string]*int{}
	tests := map[string][2]any{
		"nil and empty list":     {generated{}, generated{Bytes: []byte{}}},
		"nil and empty map":      {generated{}, generated{Map: empty}},
		"equal behind pointers":  {generated{Map: map[string]*int{"a": &one}}, generated{Map: map[string]*int{"a": &other}}},
		"other behind pointers":  {generated{Map: map[string]*int{"a": &one}}, generated{Map: map[string]*int{"a": &two}}},
		"other keys":             {generated{Map: map[string]*int{"a": &one}}, generated{Map: map[string]*int{"b": &one}}},
		"nil pointers":           {generated{Map: map[string]*int{"a": nil}}, generated{Map: map[string]*int{"a": &one}}},
		"interfaces":             {sample{Any: 1}, sample{Any: 1}},
		"interfaces, other type": {sample{Any: 1}, sample{Any: int8(1)}},
		"interfaces, nil":        {sample{Any: 1}, sample{}},
		"arrays":                 {generated{Array: [2]int{1, 2}}, generated{Array: [2]int{1, 3}}},
		"times":                  {metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(1, 0))},
		"times, other":           {metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))},
		"conditions":             {&[]metav1.Condition{{Type: "A"}}, &[]metav1.Condition{{Type: "A"}}},
		"conditions, other":      {&[]metav1.Condition{{Type: "A"}}, &[]metav1.Condition{{Type: "A", Reason: "B"}}},
		"quantities":             {resource.MustParse("1Gi"), resource.MustParse("1Gi")},
		"quantities, other":      {resource.MustParse("1Gi"), resource.MustParse("2Gi")},
		"raw":                    {runtime.RawExtension{Raw: []byte("{}")}, runtime.RawExtension{Raw: []byte("{}")}},
	}
	for name, pair := range tests {
		t.Run(name, func(t *testing.T) {
			if got, want := same(pair[0], pair[1]), reflect.DeepEqual(pair[0], pair[1]); got != want {
				t.Errorf("equal = %t, DeepEqual = %t", got, want)
			}
		})
	}
}
