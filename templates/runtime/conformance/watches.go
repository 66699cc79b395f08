//go:build integration

package conformance

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// herald is a resource of the test's own, of which it can make and change
// objects whatever else is watched.
var herald = schema.GroupVersionResource{Group: "conformance.ctxscaffold.dev", Version: "v1", Resource: "heralds"}

// TestWatches cuts the connections of an operator of the subject's kind that
// watches resources, and answers its watches with 410. No change may go unseen;
// each resource is listed once, and once more after a 410; and goroutines stay
// as many as they were.
func TestWatches[T client.Object](t *testing.T, config *rest.Config, s Subject[T], resources ...schema.GroupVersionResource) {
	resources = append(resources, herald)
	for _, resource := range resources {
		Serve(t, config, resource)
	}
	eachLag(t, config, func(t *testing.T, late *rest.Config) { testWatches(t, late, s, resources) })
}

func testWatches[T client.Object](t *testing.T, config *rest.Config, s Subject[T], resources []schema.GroupVersionResource) {
	n := &Network{}
	b := newBench(t, config, s)
	b.config = n.Through(config)
	obj := b.create(t)

	var passes atomic.Int64
	var seen atomic.Value
	u := &user[T]{func(_ context.Context, o T) error {
		if o.GetName() == obj.GetName() {
			passes.Add(1)
		}
		return nil
	}}
	mapped := func(_ context.Context, resource schema.GroupVersionResource, o *metav1.PartialObjectMetadata) []reconcile.Request {
		if resource != herald || o.Name != obj.GetName() {
			return nil
		}
		seen.Store(o.Annotations["touched"])
		return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(obj)}}
	}
	b.Setup = func(rt *manager.Runtime, u reconciler.Interface[T], _ ...source.Source) error {
		sources, err := watch.External(rt, mapped, resources...)
		if err != nil {
			return err
		}
		return s.Setup(rt, u, sources...)
	}
	stop := b.run(t, u)
	b.awaitReady(t, obj, metav1.ConditionTrue, "")

	messenger := &unstructured.Unstructured{}
	messenger.SetAPIVersion(herald.GroupVersion().String())
	messenger.SetKind(kindOf(herald))
	messenger.SetNamespace(metav1.NamespaceDefault)
	messenger.SetName(obj.GetName())
	if err := b.client.Create(t.Context(), messenger); err != nil {
		t.Fatal(err)
	}
	touches := 0
	follow := func(what string) {
		t.Helper()
		touches++
		before, text := passes.Load(), fmt.Sprint(touches)
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{"touched":%q}}}`, text))
		if err := b.client.Patch(t.Context(), messenger, patch); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the change after "+what, func() bool { return seen.Load() == text && passes.Load() > before })
	}
	lists := func(what string, want int) {
		t.Helper()
		for _, resource := range resources {
			if got := n.Traffic(resource).Lists; got != want {
				t.Errorf("%s: %s was listed %d times, want %d", what, resource.GroupResource(), got, want)
			}
		}
	}
	watched := func(count int) func() bool {
		return func() bool {
			for _, resource := range resources {
				if n.Traffic(resource).Watches < count {
					return false
				}
			}
			return true
		}
	}
	follow("the start")
	eventually(t, "a watch of each resource", watched(1))
	lists("after the start", 1)
	settled := goruntime.NumGoroutine()

	const cuts = 3
	for i := range cuts {
		n.Cut(t)
		follow(fmt.Sprintf("cut %d", i))
		eventually(t, "watches that go on", watched(2+i))
	}
	lists("after cut connections", 1)

	n.Expire(resources...)
	n.Cut(t)
	follow("410")
	eventually(t, "watches that go on", watched(cuts+3))
	lists("after one 410", 2)

	eventually(t, "goroutines as before", func() bool { return goruntime.NumGoroutine() <= settled+2*len(resources) })
	if err := stop(); err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// Serve has the API server know a resource until the test ends, if it does not
// know it already.
func Serve(t *testing.T, config *rest.Config, resource schema.GroupVersionResource) {
	t.Helper()
	c, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	known, err := c.ServerResourcesForGroupVersion(resource.GroupVersion().String())
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if err == nil {
		for _, r := range known.APIResources {
			if r.Name == resource.Resource {
				return
			}
		}
	}
	anything := true
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name:        resource.GroupResource().String(),
			Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, a stand-in for a test"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: resource.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Plural: resource.Resource, Singular: resource.Resource, Kind: kindOf(resource), ListKind: kindOf(resource) + "List",
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: resource.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &anything,
				}},
			}},
		},
	}
	options := envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{crd}}
	if _, err := envtest.InstallCRDs(config, options); err != nil {
		t.Fatalf("have %s served: %v", resource, err)
	}
	t.Cleanup(func() {
		if err := envtest.UninstallCRDs(config, options); err != nil {
			t.Error(err)
		}
	})
}

// kindOf returns a kind for a resource that the test defines.
func kindOf(resource schema.GroupVersionResource) string {
	return strings.ToUpper(resource.Resource[:1]) + resource.Resource[1:]
}
