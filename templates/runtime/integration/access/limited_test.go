//go:build integration

package access_test

import (
	"errors"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// TestTheCacheHoldsNamedTenants runs an operator that has a Role in each of the named
// namespaces and no other rights.
func TestTheCacheHoldsNamedTenants(t *testing.T) {
	admin := plane.Client(t)
	for _, namespace := range []string{north, shared} {
		m := meta(namespace, "limited")
		if err := errors.Join(
			admin.Create(t.Context(), &rbacv1.Role{ObjectMeta: m, Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{runtimetest.GroupVersion.Group}, Resources: []string{"widgets"}, Verbs: []string{"list", "watch"},
			}}}),
			admin.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: m,
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "limited"},
				Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "limited"}},
			}),
		); err != nil {
			t.Fatal(err)
		}
	}
	limited := rest.CopyConfig(plane.Config)
	limited.Impersonate = rest.ImpersonationConfig{UserName: "limited"}
	rt := assemble(t, limited, manager.Settings{}, func(o *ctrl.Options) {
		if err := (access.Settings{Shared: shared}).Limit(o, tenant.Settings{Namespaces: north}); err != nil {
			t.Error(err)
		}
	})
	start(t, rt)
	var list runtimetest.WidgetList
	if err := rt.GetClient().List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, w := range list.Items {
		found[w.Namespace] = true
	}
	if len(found) != 2 || !found[north] || !found[shared] {
		t.Errorf("the cache holds objects of %v", found)
	}
	if err := rt.GetClient().Get(t.Context(), client.ObjectKeyFromObject(widget(south)), widget(south)); err == nil {
		t.Error("the cache has an object of what is no tenant")
	}
}
