//go:build integration

package access_test

import (
	"context"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// What refuses attempts.
const (
	byTransport = "confinement, transport"
	byReader    = "confinement, reader"
	byServer    = "API server"
	byRules     = "RBAC of the tenant's account"
	byHelper    = "controllerutil"
)

// attempt is one way to get out of a tenant's namespace. Try is called in the tenant
// north and must fail.
type attempt struct {
	name string
	by   string
	try  func(ctx context.Context, rt *manager.Runtime) error
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

func clientset(rt *manager.Runtime) kubernetes.Interface {
	return kubernetes.NewForConfigOrDie(rt.GetConfig())
}

// request sends a request as it is by the HTTP client of rt.
func request(ctx context.Context, rt *manager.Runtime, method, path string) error {
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

// withOperatorsRights are the attempts where requests are the operator's own, which may do
// everything: what refuses them is the confinement alone.
var withOperatorsRights = []attempt{
	{"read an object of another tenant from the cache", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Get(ctx, client.ObjectKey{Namespace: south, Name: "there"}, &runtimetest.Widget{})
	}},
	{"read it by the cache itself", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetCache().Get(ctx, client.ObjectKey{Namespace: south, Name: "there"}, &runtimetest.Widget{})
	}},
	{"list the objects of another tenant", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().List(ctx, &runtimetest.WidgetList{}, client.InNamespace(south))
	}},
	{"list across all namespaces", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().List(ctx, &runtimetest.WidgetList{})
	}},
	{"list across all namespaces, untyped", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("v1")
		list.SetKind("SecretList")
		return rt.GetClient().List(ctx, list)
	}},
	{"list by the cache itself", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetCache().List(ctx, &corev1.ConfigMapList{})
	}},
	{"override the namespace of a list by a later option", byReader, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().List(ctx, &corev1.ConfigMapList{}, client.InNamespace(north), client.InNamespace(south))
	}},
	{"read an object of another tenant at the API server", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetAPIReader().Get(ctx, client.ObjectKey{Namespace: south, Name: "there"}, &corev1.ConfigMap{})
	}},
	{"list across all namespaces at the API server", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetAPIReader().List(ctx, &corev1.ConfigMapList{})
	}},
	{"watch across all namespaces", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		_, err := clientset(rt).CoreV1().Secrets("").Watch(ctx, metav1.ListOptions{})
		return err
	}},
	{"create in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Create(ctx, configMap(south, "new"))
	}},
	{"update in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Update(ctx, configMap(south, "there"))
	}},
	{"patch in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Patch(ctx, configMap(south, "there"), labelled())
	}},
	{"apply in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Apply(ctx, applied(south), client.FieldOwner("north"), client.ForceOwnership)
	}},
	{"delete in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Delete(ctx, configMap(south, "there"))
	}},
	{"delete all of a kind in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(south))
	}},
	{"delete all of a kind in all namespaces", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().DeleteAllOf(ctx, &corev1.ConfigMap{})
	}},
	{"dry-run a write in another namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Delete(ctx, configMap(south, "there"), client.DryRunAll)
	}},
	{"write the status of another tenant's object", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Status().Patch(ctx, widget(south), labelled())
	}},
	{"write another subresource of another tenant's", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().SubResource("scale").Patch(ctx, widget(south), labelled())
	}},
	{"take a finalizer off another tenant's object", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		none := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		return rt.GetClient().Patch(ctx, widget(south), none)
	}},
	{"get a token of another tenant's account", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		_, err := clientset(rt).CoreV1().ServiceAccounts(south).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	}},
	{"exec into another tenant's pod by GET", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return request(ctx, rt, http.MethodGet, "/api/v1/namespaces/"+shared+"/pods/p/exec")
	}},
	{"write in a shared namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Create(ctx, configMap(shared, "new"))
	}},
	{"write in a namespace that is no tenant", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Create(ctx, configMap("default", "new"))
	}},
	{"forge the labels of one's own namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: north}}, labelled())
	}},
	{"write the status of one's own namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Status().Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: north}}, labelled())
	}},
	{"finalize one's own namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		_, err := clientset(rt).CoreV1().Namespaces().Finalize(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: north}}, metav1.UpdateOptions{})
		return err
	}},
	{"delete another tenant's namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: south}})
	}},
	{"create what is in no namespace", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}})
	}},
	{"write by a dynamic client", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		maps := dynamic.NewForConfigOrDie(rt.GetConfig()).Resource(corev1.SchemeGroupVersion.WithResource("configmaps"))
		return maps.Namespace(south).Delete(ctx, "there", metav1.DeleteOptions{})
	}},
	{"leave one's namespace by dots in the path", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return request(ctx, rt, http.MethodDelete, "/api/v1/namespaces/"+north+"/../"+south+"/configmaps/there")
	}},
	{"the same with the slash encoded", byTransport, func(ctx context.Context, rt *manager.Runtime) error {
		return request(ctx, rt, http.MethodDelete, "/api/v1/namespaces/"+north+"/configmaps%2F..%2F..%2F"+south+"%2Fconfigmaps/there")
	}},
	{"write with a context that has no tenant", byTransport, func(_ context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Create(context.Background(), configMap(north, "nobody"))
	}},
	{"send an object of another namespace to one's own", byServer, func(ctx context.Context, rt *manager.Runtime) error {
		_, err := clientset(rt).CoreV1().ConfigMaps(north).Create(ctx, configMap(south, "new"), metav1.CreateOptions{})
		return err
	}},
	{"own an object by an owner in another namespace", byHelper, func(_ context.Context, rt *manager.Runtime) error {
		return controllerutil.SetControllerReference(widget(south), configMap(north, "owned"), rt.GetScheme())
	}},
}

// withAccount are the attempts where requests are those of the tenant's account.
var withAccount = []attempt{
	{"read secrets that the account may not", byRules, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Get(ctx, client.ObjectKey{Namespace: north, Name: "there"}, &corev1.Secret{})
	}},
	{"delete what the account may not", byRules, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Delete(ctx, configMap(north, "there"))
	}},
	{"give oneself the rights of an administrator", byRules, func(ctx context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta(north, "admin"),
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: north, Name: "worker"}}})
	}},
	{"impersonate an administrator by a config of one's own", byRules, func(ctx context.Context, rt *manager.Runtime) error {
		c := rest.CopyConfig(rt.GetConfig())
		c.Impersonate = rest.ImpersonationConfig{UserName: "root", Groups: []string{"system:masters"}}
		return kubernetes.NewForConfigOrDie(c).CoreV1().ConfigMaps(north).Delete(ctx, "there", metav1.DeleteOptions{})
	}},
	{"read live with a context that has no tenant", byTransport, func(_ context.Context, rt *manager.Runtime) error {
		return rt.GetClient().Get(context.Background(), client.ObjectKey{Namespace: north, Name: "there"}, &corev1.ConfigMap{})
	}},
}
