//go:build integration

package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// Converted is a kind whose versions the operator converts.
type Converted struct {
	// CRD is the name of its CustomResourceDefinition.
	CRD string
	// Samples are paths of valid objects in YAML, one in each served version, that
	// of the stored version first.
	Samples []string
	// Namespaced is false for a cluster-scoped kind.
	Namespaced bool
}

// Conversions creates an object in each version, reads and writes it in every
// other, and expects to find it as it was; and it expects a conversion that takes
// too long to end with an error that says so. setup is the generated registration
// of webhooks, add adds all versions to a scheme.
func Conversions(t *testing.T, config *rest.Config, setup func(*manager.Runtime) error, add func(*runtime.Scheme) error, kinds ...Converted) {
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		t.Run(kind.CRD, func(t *testing.T) {
			samples := make([]*unstructured.Unstructured, len(kind.Samples))
			for i, path := range kind.Samples {
				samples[i] = sample(t, c, path, kind.Namespaced)
			}
			t.Run("nothing is lost", func(t *testing.T) {
				convertBy(t, c, kind.CRD, serve(t, config, add, setup), samples)
				for _, sample := range samples {
					everyVersion(t, c, sample, samples)
				}
			})
			t.Run("a slow conversion is bounded", func(t *testing.T) { slow(t, config, c, kind.CRD, add, samples) })
		})
	}
}

// convertBy has the API server convert at e, and returns when it does. It learns of
// that a moment after the CRD was changed, and until then passes objects on as they
// are, or as an earlier test wanted. So it is sent to where nobody is first: when it
// has failed there, what succeeds is converted at e.
func convertBy(t *testing.T, c client.Client, crd string, e endpoint, samples []*unstructured.Unstructured) {
	t.Helper()
	probe := samples[0].DeepCopy() // stored as it is written: needs no conversion
	if err := c.Create(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	converted := func() bool { return read(t, c, probe, samples[len(samples)-1]) != nil }
	convertAt(t, c, crd, endpoint{nobody, e.ca})
	eventually(t, "conversions to fail", func() bool { return !converted() })
	convertAt(t, c, crd, e)
	eventually(t, "a conversion", converted)
	remove(t, c, probe, probe)
}

// everyVersion creates sample, writes it back unchanged in every version, and
// looks in each for what was there at first.
func everyVersion(t *testing.T, c client.Client, sample *unstructured.Unstructured, all []*unstructured.Unstructured) {
	t.Helper()
	created := sample.DeepCopy()
	if err := c.Create(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, c, created, all[0]) })
	if lost := missing(sample.Object, read(t, c, created, sample).Object, ""); len(lost) > 0 {
		t.Errorf("made in %s: lost %v", sample.GetAPIVersion(), lost)
	}
	first := map[string]map[string]any{}
	for _, version := range all {
		first[version.GetAPIVersion()] = read(t, c, created, version).Object
	}
	for _, version := range all {
		obj := read(t, c, created, version)
		if err := c.Update(t.Context(), obj); err != nil {
			t.Errorf("write %s, made in %s: %v", version.GetAPIVersion(), sample.GetAPIVersion(), err)
		}
		for _, other := range all {
			if lost := missing(first[other.GetAPIVersion()], read(t, c, created, other).Object, ""); len(lost) > 0 {
				t.Errorf("made in %s, written in %s, read in %s: lost %v",
					sample.GetAPIVersion(), version.GetAPIVersion(), other.GetAPIVersion(), lost)
			}
		}
	}
}

// read gets an object in the version of another one, nil if that cannot be had.
func read(t *testing.T, c client.Client, obj, version *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(version.GroupVersionKind())
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), found); err != nil {
		t.Logf("read %s: %v", version.GetAPIVersion(), err)
		return nil
	}
	return found
}

// missing returns the paths of what wanted has and got has not. What got has
// besides are defaults of a version that it was written in.
func missing(wanted, got any, path string) []string {
	var paths []string
	switch want := wanted.(type) {
	case map[string]any:
		have, _ := got.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if path != "" || key != "metadata" {
				paths = append(paths, missing(want[key], have[key], path+"."+key)...)
			}
		}
	case []any:
		have, _ := got.([]any)
		if len(have) != len(want) {
			return []string{fmt.Sprintf("%s: %d items, want %d", path, len(have), len(want))}
		}
		for i := range want {
			paths = append(paths, missing(want[i], have[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
	default:
		if wanted != got {
			paths = append(paths, fmt.Sprintf("%s: %v, want %v", path, got, wanted))
		}
	}
	return paths
}

// remove deletes an object in the stored version, which needs no conversion.
func remove(t *testing.T, c client.Client, obj, stored *unstructured.Unstructured) {
	t.Helper()
	gone := &metav1.PartialObjectMetadata{}
	gone.SetGroupVersionKind(schema.FromAPIVersionAndKind(stored.GetAPIVersion(), stored.GetKind()))
	gone.SetNamespace(obj.GetNamespace())
	gone.SetName(obj.GetName())
	ctx, cancel := detached(t)
	defer cancel()
	if err := client.IgnoreNotFound(c.Delete(ctx, gone)); err != nil {
		t.Error(err)
	}
}

// slow reads an object, in every version but the stored one, through conversions
// that never end.
func slow(t *testing.T, config *rest.Config, c client.Client, crd string, add func(*runtime.Scheme) error, samples []*unstructured.Unstructured) {
	stored := samples[0].DeepCopy()
	if err := c.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, c, stored, stored) })
	over := make(chan struct{})
	e := serve(t, config, add, func(rt *manager.Runtime) error {
		rt.GetWebhookServer().Register(admission.ConversionPath, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			<-over // deaf, as Go code that converts is
		}))
		return nil
	})
	t.Cleanup(func() { close(over) })
	convertAt(t, c, crd, e)
	for _, other := range samples[1:] {
		bounded(t, c, stored, other)
	}
}

// bounded reads an object in the version of another one, and expects an error in
// time that names the budget.
func bounded(t *testing.T, c client.Client, stored, other *unstructured.Unstructured) {
	t.Helper()
	var took time.Duration
	var err error
	eventually(t, "an error", func() bool {
		found := &unstructured.Unstructured{}
		found.SetGroupVersionKind(other.GroupVersionKind())
		begun := time.Now()
		err = c.Get(t.Context(), client.ObjectKeyFromObject(stored), found)
		took = time.Since(begun)
		return err != nil
	})
	const want = "time to answer used up: 2s (conversion, --webhook-conversion-timeout)"
	if !strings.Contains(err.Error(), want) {
		t.Errorf("read %s: error %v, want it to say %s", other.GetAPIVersion(), err, want)
	}
	if took < conversionTimeout || took > 2*conversionTimeout {
		t.Errorf("read %s: it ended after %s, the budget is %s", other.GetAPIVersion(), took, conversionTimeout)
	}
}
