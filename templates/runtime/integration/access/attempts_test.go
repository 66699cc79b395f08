//go:build integration

package access_test

import (
	"context"
	"errors"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// attempt is one way to get out of a tenant's namespace, or beyond its bounds.
type attempt struct {
	name string
	by   refusal
	// try is called in the tenant north and must fail.
	try func(ctx context.Context, rt *operator) error
}

// refusal is what refuses an attempt, and how its errors are known.
type refusal struct {
	name string
	is   func(error) bool
}

var (
	transport = refusal{"confinement, transport", func(err error) bool { return confined(err, strings.ToUpper) }}
	reader    = refusal{"confinement, reader", func(err error) bool { return confined(err, strings.ToLower) }}
	sandbox   = refusal{"the tenant's sandbox", func(err error) bool {
		return isOver(err) || errors.Is(err, cause.TenantGone) || errors.Is(err, cause.TenantSuspended)
	}}
	rbac   = refusal{"RBAC", func(err error) bool { return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ") }}
	quotas = refusal{"ResourceQuota", func(err error) bool {
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "+quota.Name(cluster.Group))
	}}
	apiServer   = refusal{"API server", apierrors.IsBadRequest}
	collector   = refusal{"garbage collector", func(err error) bool { return errors.Is(err, errCollected) }}
	clientGo    = refusal{"client-go", func(err error) bool { return err != nil && strings.Contains(err.Error(), "invalid resource name") }}
	conversions = refusal{"conversion, which knows only what it is sent", func(err error) bool { return errors.Is(err, errNothing) }}
	helper      = refusal{"controllerutil", func(err error) bool { return err != nil && strings.Contains(err.Error(), "cross-namespace") }}
)

// confined reports whether err is of a guard of the confinement. Those of requests name an
// HTTP method.
func confined(err error, spelt func(string) string) bool {
	refused, ok := errors.AsType[*access.RefusedError](err)
	return ok && !isOver(err) && refused.Verb == spelt(refused.Verb)
}

// isOver reports whether err says that the pass of a context is over.
func isOver(err error) bool {
	refused, ok := errors.AsType[*access.RefusedError](err)
	return ok && strings.Contains(refused.Hint, " is over; ")
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta(namespace, name)}
}

func widget(namespace string) *runtimetest.Widget {
	return &runtimetest.Widget{ObjectMeta: meta(namespace, "there")}
}

func labelled() client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"stolen":"yes"}}}`))
}

func applied(namespace string) runtime.ApplyConfiguration {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"namespace": namespace, "name": "there"},
	}}
	return client.ApplyConfigurationFromUnstructured(u)
}

func clientset(rt *operator) kubernetes.Interface {
	return kubernetes.NewForConfigOrDie(rt.GetConfig())
}

// request sends a request as it is by the HTTP client of rt.
func request(ctx context.Context, rt *operator, method, path string) error {
	url := strings.TrimSuffix(rt.GetConfig().Host, "/") + path
	if !strings.Contains(url, "://") {
		url = "https://" + url
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	response, err := rt.GetHTTPClient().Do(r)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
