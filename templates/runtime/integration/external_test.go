//go:build integration

package integration_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/conformance"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// setup is what is generated for each kind.
func setup(rt *manager.Runtime, u reconciler.Interface[*widget], sources ...source.Source) error {
	loop, err := reconciler.New(rt, kind(), u)
	if err != nil {
		return err
	}
	return loop.Register(rt, wrap(rt, loop), append(sources, rt.Gains(&runtimetest.WidgetList{}))...)
}

func TestWatchesOfResourcesThatAreNotOurs(t *testing.T) {
	sample := filepath.Join(t.TempDir(), "widget.yaml")
	if err := os.WriteFile(sample, []byte("apiVersion: "+runtimetest.GroupVersion.String()+"\nkind: Widget\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conformance.TestWatches(t, config, conformance.Subject[*widget]{
		Kind: kind(), Setup: setup, AddToScheme: runtimetest.AddToScheme, Sample: sample, Namespaced: true,
	}, schema.GroupVersionResource{Version: "v1", Resource: "configmaps"})
}

// A controller whose informer meets a resource that is not served fails after
// some minutes, and its process with it. This one starts, and sees the resource
// when it comes.
func TestAResourceThatIsNotServedYetIsWaitedFor(t *testing.T) {
	absent := schema.GroupVersionResource{Group: "later.ctxscaffold.dev", Version: "v1", Resource: "latecomers"}
	var passes atomic.Int32
	w := create(t, &widget{})
	runWith(t, config, manager.Settings{}, func(rt *manager.Runtime) error {
		sources, err := watch.External(rt, func(_ context.Context, _ schema.GroupVersionResource, o *metav1.PartialObjectMetadata) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
		}, absent)
		if err != nil {
			return err
		}
		return setup(rt, user(func(_ context.Context, o *widget) error {
			if o.Name == w.Name {
				passes.Add(1)
			}
			return nil
		}), sources...)
	})
	eventually(t, "work without the resource", func() bool { return ready(get(t, w)).Reason == "Reconciled" })
	time.Sleep(time.Second) // for some attempts
	conformance.Serve(t, config, absent)
	before := passes.Load()
	late := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": absent.GroupVersion().String(), "kind": "Latecomers",
		"metadata": map[string]any{"name": w.Name, "namespace": w.Namespace},
	}}
	if err := direct(t).Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pass because of the resource", func() bool { return passes.Load() > before })
}
