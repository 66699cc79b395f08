//go:build integration

package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/certs"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// conversionTimeout is the budget of conversions in these tests.
const conversionTimeout = 2 * time.Second

// endpoint is where webhooks are served to the API server.
type endpoint struct {
	address string
	ca      []byte
}

// nobody is an address at which nobody serves.
const nobody = "127.0.0.1:1"

// clientConfig is how the API server finds the webhook at path.
func (e endpoint) clientConfig(path string) map[string]any {
	return map[string]any{"url": "https://" + e.address + path, "caBundle": base64.StdEncoding.EncodeToString(e.ca)}
}

// serve runs an operator of nothing but webhooks until the test ends.
func serve(t *testing.T, config *rest.Config, add func(*runtime.Scheme) error, setup func(*manager.Runtime) error) endpoint {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, add} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	rt, err := manager.New(ctx, config, manager.Options{Scheme: scheme, Settings: manager.Settings{
		MetricsBindAddress: "0",
		ProbeBindAddress:   "0",
		Webhook: admission.Settings{
			BindAddress: "127.0.0.1:0", CertDir: folder, SelfSigned: "127.0.0.1", HTTP2: true, ConversionTimeout: conversionTimeout,
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := setup(rt); err != nil {
		t.Fatal(err)
	}
	server, ok := rt.GetWebhookServer().(*admission.Server)
	if !ok {
		t.Fatalf("webhooks are served by a %T", rt.GetWebhookServer())
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	eventually(t, "the webhook server", func() bool { return server.Addr() != "" && server.Ready(nil) == nil })
	ca, err := os.ReadFile(filepath.Join(folder, certs.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	return endpoint{server.Addr(), ca}
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// convertAt has the API server convert a CRD's objects at e, until the test ends.
func convertAt(t *testing.T, c client.Client, crd string, e endpoint) {
	t.Helper()
	patchConversion(t.Context(), t, c, crd, map[string]any{
		"strategy": "Webhook",
		"webhook": map[string]any{
			"conversionReviewVersions": []any{"v1"},
			"clientConfig":             e.clientConfig(admission.ConversionPath),
		},
	})
	t.Cleanup(func() {
		ctx, cancel := detached(t)
		defer cancel()
		patchConversion(ctx, t, c, crd, map[string]any{"strategy": "None", "webhook": nil})
	})
}

func patchConversion(ctx context.Context, t *testing.T, c client.Client, crd string, conversion map[string]any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"conversion": conversion}})
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(crdKind)
	obj.SetName(crd)
	if err := c.Patch(ctx, obj, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatalf("patch the conversion of %s: %v", crd, err)
	}
}

// sample reads an object, to be made under a name and in a namespace of its own.
func sample(t *testing.T, c client.Client, path string, namespaced bool) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &obj.Object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	obj.SetName("")
	obj.SetGenerateName("conformance-")
	if namespaced {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}
		if err := c.Create(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		obj.SetNamespace(namespace.Name)
	}
	return obj
}
