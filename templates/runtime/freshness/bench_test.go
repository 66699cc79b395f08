package freshness

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// BenchmarkFreshness prints what a read of an object costs more than one from the cache:
// where nothing was written that the cache does not have, where another object was, and
// where it was itself, with the note of the write.
func BenchmarkFreshness(b *testing.B) {
	w, _, r := newWorld(b)
	_, _, behind := newWorld(b)
	behind.Cached = w
	behind.Keep.written(gvk.GroupKind(), client.ObjectKey{Name: "other"}, "1000000", false)
	obj := &widget{}
	get := func(from client.Reader) func() {
		return func() {
			if err := from.Get(b.Context(), key, obj); err != nil {
				b.Fatal(err)
			}
		}
	}
	written := func() {
		r.Keep.written(gvk.GroupKind(), key, "1", false) // which the cache has
		get(r)()
	}
	medians := runtimetest.Medians(b, get(w), get(r), get(behind), written)
	for i, name := range []string{"nothing", "another", "itself"} {
		b.ReportMetric(medians[i+1]-medians[0], name+"-ns")
	}
}
