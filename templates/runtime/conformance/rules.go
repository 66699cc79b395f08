//go:build integration

package conformance

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// Admitted is a kind with admission webhooks.
type Admitted[T client.Object] struct {
	// Setup is the generated registration, given rules.
	Setup func(rt *manager.Runtime, rules any) error
	// AddToScheme adds the kind's API package.
	AddToScheme func(*runtime.Scheme) error
	// Manifests is the path of the webhook configurations, CRD the name by which
	// the kind's webhooks are known in them.
	Manifests, CRD string
	// Sample is the path of a valid object in YAML.
	Sample string
	// Namespaced is false for a cluster-scoped kind.
	Namespaced bool
}

// judge are rules whose verdict a test sets.
type judge[T client.Object] struct {
	verdict atomic.Pointer[func(ctx context.Context) error]
}

func (j *judge[T]) rule(verdict func(ctx context.Context) error) { j.verdict.Store(&verdict) }

// Default marks what it has seen.
func (j *judge[T]) Default(_ context.Context, obj T) error {
	obj.SetLabels(map[string]string{"conformance": "defaulted"})
	return nil
}

// ValidateCreate gives the verdict.
func (j *judge[T]) ValidateCreate(ctx context.Context, _ T) (admission.Warnings, error) {
	return nil, (*j.verdict.Load())(ctx)
}

// Rules serves rules of its own as the manifests say, and has the API server ask
// them: what they allow is stored with their defaults, what they deny is not, and
// where they cannot decide in time failurePolicy does.
func Rules[T client.Object](t *testing.T, config *rest.Config, a Admitted[T]) {
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	rules := &judge[T]{}
	rules.rule(func(context.Context) error { return nil })
	e := serve(t, config, a.AddToScheme, func(rt *manager.Runtime) error { return a.Setup(rt, rules) })
	configurations := a.configure(t, c, e)
	obj := sample(t, c, a.Sample, a.Namespaced)

	eventually(t, "defaults", func() bool { // the API server learns of the webhooks a moment later
		made := obj.DeepCopy()
		return c.Create(t.Context(), made, client.DryRunAll) == nil && made.GetLabels()["conformance"] == "defaulted"
	})
	rules.rule(func(context.Context) error { return errors.New("not today") })
	if err := c.Create(t.Context(), obj.DeepCopy(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "denied the request: not today") {
		t.Errorf("a denial is %v", err)
	}
	rules.rule(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	hasty(t, c, configurations)
	const budget = "time to answer used up: 500ms (timeout 1s less 500ms)"
	eventually(t, "a deadline", func() bool {
		begun := time.Now()
		err := c.Create(t.Context(), obj.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), budget) && time.Since(begun) < time.Second
	})
	hasty(t, c, configurations, func(webhook map[string]any) { webhook["failurePolicy"] = "Ignore" })
	eventually(t, "what failurePolicy lets pass", func() bool { return c.Create(t.Context(), obj.DeepCopy(), client.DryRunAll) == nil })
}

// configure installs the manifests' webhooks of the kind, served at e.
func (a Admitted[T]) configure(t *testing.T, c client.Client, e endpoint) []*unstructured.Unstructured {
	t.Helper()
	file, err := os.Open(a.Manifests)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var made []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(&obj.Object); err != nil {
			break
		}
		all, _, err := unstructured.NestedSlice(obj.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		var own []any
		for _, one := range all {
			webhook := one.(map[string]any)
			if !strings.HasSuffix(webhook["name"].(string), "."+a.CRD) {
				continue
			}
			path, _, _ := unstructured.NestedString(webhook, "clientConfig", "service", "path")
			webhook["clientConfig"] = e.clientConfig(path)
			own = append(own, webhook)
		}
		if len(own) != 1 {
			t.Fatalf("%s has %d webhooks of %s in a %s", a.Manifests, len(own), a.CRD, obj.GetKind())
		}
		obj.Object["webhooks"] = own
		obj.SetName("conformance." + a.CRD)
		if err := c.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		made = append(made, obj)
		t.Cleanup(func() {
			ctx, cancel := detached(t)
			defer cancel()
			if err := c.Delete(ctx, obj); err != nil {
				t.Error(err)
			}
		})
	}
	if len(made) != 2 {
		t.Fatalf("%s has %d configurations, want one to default and one to validate", a.Manifests, len(made))
	}
	return made
}

// hasty gives the webhooks a second, and whatever else changes say.
func hasty(t *testing.T, c client.Client, configurations []*unstructured.Unstructured, changes ...func(map[string]any)) {
	t.Helper()
	for _, obj := range configurations {
		webhooks, _, err := unstructured.NestedSlice(obj.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range webhooks {
			webhook := one.(map[string]any)
			webhook["timeoutSeconds"] = int64(1)
			for _, change := range changes {
				change(webhook)
			}
		}
		obj.Object["webhooks"] = webhooks
		if err := c.Update(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
}
