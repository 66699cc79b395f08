//go:build integration

package access_test

import (
	"context"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// withOperatorsRights are the attempts where requests are the operator's own, which may do
// everything: what refuses them is the confinement alone.
var withOperatorsRights = []attempt{
	{"read an object of another tenant from the cache", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Get(ctx, client.ObjectKey{Namespace: south, Name: "there"}, &runtimetest.Widget{})
	}},
	{"read it by the cache itself", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetCache().Get(ctx, client.ObjectKey{Namespace: south, Name: "there"}, &runtimetest.Widget{})
	}},
	{"list the objects of another tenant", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().List(ctx, &runtimetest.WidgetList{}, client.InNamespace(south))
	}},
	{"list across all namespaces", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().List(ctx, &runtimetest.WidgetList{})
	}},
	{"list across all namespaces, untyped", reader, func(ctx context.Context, rt *operator) error {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("v1")
		list.SetKind("SecretList")
		return rt.GetClient().List(ctx, list)
	}},
	{"list by the cache itself", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetCache().List(ctx, &corev1.ConfigMapList{})
	}},
	{"override the namespace of a list by a later option", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().List(ctx, &corev1.ConfigMapList{}, client.InNamespace(north), client.InNamespace(south))
	}},
	{"read an object of another tenant at the API server", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetAPIReader().Get(ctx, client.ObjectKey{Namespace: south, Name: "there"}, &corev1.ConfigMap{})
	}},
	{"list across all namespaces at the API server", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetAPIReader().List(ctx, &corev1.ConfigMapList{})
	}},
	{"watch across all namespaces", transport, func(ctx context.Context, rt *operator) error {
		_, err := clientset(rt).CoreV1().Secrets("").Watch(ctx, metav1.ListOptions{})
		return err
	}},
	{"create in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Create(ctx, configMap(south, "new"))
	}},
	{"update in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Update(ctx, configMap(south, "there"))
	}},
	{"patch in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Patch(ctx, configMap(south, "there"), labelled())
	}},
	{"apply in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Apply(ctx, applied(south), client.FieldOwner("north"), client.ForceOwnership)
	}},
	{"delete in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Delete(ctx, configMap(south, "there"))
	}},
	{"delete all of a kind in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(south))
	}},
	{"delete all of a kind in all namespaces", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().DeleteAllOf(ctx, &corev1.ConfigMap{})
	}},
	{"dry-run a write in another namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Delete(ctx, configMap(south, "there"), client.DryRunAll)
	}},
	{"write the status of another tenant's object", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Status().Patch(ctx, widget(south), labelled())
	}},
	{"write another subresource of another tenant's", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().SubResource("scale").Patch(ctx, widget(south), labelled())
	}},
	{"take a finalizer off another tenant's object", transport, func(ctx context.Context, rt *operator) error {
		none := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		return rt.GetClient().Patch(ctx, widget(south), none)
	}},
	{"get a token of another tenant's account", transport, func(ctx context.Context, rt *operator) error {
		_, err := clientset(rt).CoreV1().ServiceAccounts(south).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	}},
	{"watch another tenant's objects in the way of old", transport, func(ctx context.Context, rt *operator) error {
		return request(ctx, rt, http.MethodGet, "/api/v1/watch/namespaces/"+south+"/configmaps")
	}},
	{"watch across all namespaces in the way of old", transport, func(ctx context.Context, rt *operator) error {
		return request(ctx, rt, http.MethodGet, "/api/v1/watch/configmaps")
	}},
	{"have the cache tell of all namespaces", reader, func(ctx context.Context, rt *operator) error {
		_, err := rt.GetCache().GetInformer(ctx, &corev1.ConfigMap{})
		return err
	}},
	{"have the cache tell of all namespaces, by the name of a kind", reader, func(ctx context.Context, rt *operator) error {
		_, err := rt.GetCache().GetInformerForKind(ctx, corev1.SchemeGroupVersion.WithKind("Secret"))
		return err
	}},
	{"have the cache tell nobody any more", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetCache().RemoveInformer(ctx, &corev1.ConfigMap{})
	}},
	{"exec into another tenant's pod by GET", transport, func(ctx context.Context, rt *operator) error {
		return request(ctx, rt, http.MethodGet, "/api/v1/namespaces/"+shared+"/pods/p/exec")
	}},
	{"write in a shared namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Create(ctx, configMap(shared, "new"))
	}},
	{"write in a namespace that is no tenant", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Create(ctx, configMap("default", "new"))
	}},
	{"forge the labels of one's own namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: north}}, labelled())
	}},
	{"write the status of one's own namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Status().Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: north}}, labelled())
	}},
	{"finalize one's own namespace", transport, func(ctx context.Context, rt *operator) error {
		_, err := clientset(rt).CoreV1().Namespaces().Finalize(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: north}}, metav1.UpdateOptions{})
		return err
	}},
	{"delete another tenant's namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: south}})
	}},
	{"create what is in no namespace", transport, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}})
	}},
	{"write by a dynamic client", transport, func(ctx context.Context, rt *operator) error {
		maps := dynamic.NewForConfigOrDie(rt.GetConfig()).Resource(corev1.SchemeGroupVersion.WithResource("configmaps"))
		return maps.Namespace(south).Delete(ctx, "there", metav1.DeleteOptions{})
	}},
	{"leave one's namespace by dots in the path", transport, func(ctx context.Context, rt *operator) error {
		return request(ctx, rt, http.MethodDelete, "/api/v1/namespaces/"+north+"/../"+south+"/configmaps/there")
	}},
	{"the same with the slash encoded", transport, func(ctx context.Context, rt *operator) error {
		return request(ctx, rt, http.MethodDelete, "/api/v1/namespaces/"+north+"/configmaps%2F..%2F..%2F"+south+"%2Fconfigmaps/there")
	}},
	{"write with a context that has no tenant", transport, func(_ context.Context, rt *operator) error {
		return rt.GetClient().Create(context.Background(), configMap(north, "nobody"))
	}},
	{"send an object of another namespace to one's own", apiServer, func(ctx context.Context, rt *operator) error {
		_, err := clientset(rt).CoreV1().ConfigMaps(north).Create(ctx, configMap(south, "new"), metav1.CreateOptions{})
		return err
	}},
	{"own an object by an owner in another namespace", helper, func(_ context.Context, rt *operator) error {
		return controllerutil.SetControllerReference(widget(south), configMap(north, "owned"), rt.GetScheme())
	}},
}

// withAccount are the attempts where requests are those of the tenant's account.
var withAccount = []attempt{
	{"read secrets that the account may not", rbac, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Get(ctx, client.ObjectKey{Namespace: north, Name: "there"}, &corev1.Secret{})
	}},
	{"delete what the account may not", rbac, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Delete(ctx, configMap(north, "there"))
	}},
	{"give oneself the rights of an administrator", rbac, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta(north, "admin"),
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: north, Name: "worker"}}})
	}},
	{"impersonate an administrator by a config of one's own", rbac, func(ctx context.Context, rt *operator) error {
		c := rest.CopyConfig(rt.GetConfig())
		c.Impersonate = rest.ImpersonationConfig{UserName: "root", Groups: []string{"system:masters"}}
		return kubernetes.NewForConfigOrDie(c).CoreV1().ConfigMaps(north).Delete(ctx, "there", metav1.DeleteOptions{})
	}},
	{"read live with a context that has no tenant", transport, func(_ context.Context, rt *operator) error {
		return rt.GetClient().Get(context.Background(), client.ObjectKey{Namespace: north, Name: "there"}, &corev1.ConfigMap{})
	}},
}
