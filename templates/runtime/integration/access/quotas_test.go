//go:build integration

package access_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const (
	widgets      = "widgets.test.ctxscaffold.dev"
	otherWidgets = "widgets.other.ctxscaffold.dev"
)

// bounded makes a tenant that may have so many widgets of each group, and returns a context
// in which work is done for it.
func (o *operator) bounded(namespace string, count int64) context.Context {
	o.t.Helper()
	plane.MakeNamespace(o.t, namespace, "tenant=yes")
	o.create(ownQuota(namespace, count))
	o.isBounded(namespace)
	ctx, _ := o.in(namespace)
	return ctx
}

func ownQuota(namespace string, count int64) *quota.TenantQuota {
	own := &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	own.Spec.Objects = map[string]int64{widgets: count, otherWidgets: count}
	return own
}

// isBounded waits until a tenant's quota is in force.
func (o *operator) isBounded(namespace string) {
	o.t.Helper()
	cluster.Eventually(o.t, "the quota of "+namespace, func() string {
		own := &quota.TenantQuota{}
		if err := plane.Client(o.t).Get(o.t.Context(), client.ObjectKey{Name: namespace}, own); err != nil {
			return err.Error()
		}
		if !apimeta.IsStatusConditionTrue(own.Status.Conditions, reconciler.ConditionReady) {
			return fmt.Sprint(own.Status.Conditions)
		}
		return ""
	})
}

func one(namespace string) *runtimetest.Widget {
	return &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "one-"}}
}

// stored is what the operator keeps in a tenant's namespace.
func stored(namespace string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: meta(namespace, quota.Name(cluster.Group))}
}

func raise() client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"hard":{"count/`+widgets+`":"100"}}}`))
}

func raiseOwn() client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"objects":{"`+widgets+`":100}}}`))
}

// second is a quota beside the operator's, with more in it.
func second(namespace string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: meta(namespace, "second"), Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{"count/" + widgets: resource.MustParse("100")},
	}}
}

// overQuotas are the attempts of a tenant's work to have more than its quota. The operator
// may do everything in these tests.
var overQuotas = []attempt{
	{"create 30 at once where there may be three", quotas, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("at-once", 3)
		var all sync.WaitGroup
		errs := make([]error, 30)
		for i := range errs {
			all.Go(func() { errs[i] = create(ctx, rt.GetClient(), one("at-once")) })
		}
		all.Wait()
		created := 0
		var refused error
		for _, err := range errs {
			switch {
			case err == nil:
				created++
			case !quotas.is(err):
				return err
			default:
				refused = err
			}
		}
		if created != 3 {
			return fmt.Errorf("%d were created", created)
		}
		return refused
	}},
	{"create one in each version of the kind where there may be one", quotas, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("versions", 1)
		if err := create(ctx, rt.GetClient(), otherWidget("v1", "versions", "first")); err != nil {
			return err
		}
		return rt.GetClient().Create(ctx, otherWidget("v2", "versions", "second"))
	}},
	{"create one more in a dry run", quotas, func(_ context.Context, rt *operator) error {
		return rt.GetClient().Create(rt.bounded("dry-run", 0), one("dry-run"), client.DryRunAll)
	}},
	{"create by server-side apply", quotas, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("applies", 0)
		return rt.GetClient().Apply(ctx, client.ApplyConfigurationFromUnstructured(otherWidget("v1", "applies", "one")), client.FieldOwner("north"))
	}},
	{"delete one that a finalizer holds, and create another", quotas, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("holds", 1)
		held := one("holds")
		held.Finalizers = []string{runtimetest.Finalizer}
		if err := errors.Join(create(ctx, rt.GetClient(), held), rt.GetClient().Delete(ctx, held)); err != nil {
			return err
		}
		return rt.GetClient().Create(ctx, one("holds"))
	}},
	{"have the namespace deleted and made anew", quotas, func(_ context.Context, rt *operator) error {
		rt.bounded("fresh", 0)
		rt.removeNamespace("fresh")
		rt.isGone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "fresh"}})
		cluster.Eventually(rt.t, "the quota's end", func() string {
			own := &quota.TenantQuota{}
			if err := plane.Client(rt.t).Get(rt.t.Context(), client.ObjectKey{Name: "fresh"}, own); err != nil {
				return err.Error()
			}
			if apimeta.IsStatusConditionTrue(own.Status.Conditions, reconciler.ConditionReady) {
				return "ready"
			}
			return ""
		})
		plane.MakeNamespace(rt.t, "fresh", "tenant=yes")
		rt.isBounded("fresh")
		ctx, _ := rt.in("fresh")
		return rt.GetClient().Create(ctx, one("fresh"))
	}},
	{"add a second ResourceQuota with a higher number", quotas, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("second", 0)
		if err := rt.GetClient().Create(ctx, second("second")); err != nil {
			return err
		}
		cluster.Eventually(rt.t, "the second quota's count", func() string {
			q := second("second")
			if err := plane.Client(rt.t).Get(rt.t.Context(), client.ObjectKeyFromObject(q), q); err != nil {
				return err.Error()
			}
			if len(q.Status.Hard) == 0 {
				return "none"
			}
			return ""
		})
		return rt.GetClient().Create(ctx, one("second"))
	}},
	{"raise the ResourceQuota", transport, func(_ context.Context, rt *operator) error {
		return rt.GetClient().Patch(rt.bounded("raises", 0), stored("raises"), raise())
	}},
	{"say in its status that nothing is used", transport, func(_ context.Context, rt *operator) error {
		none := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"used":{"count/`+widgets+`":"0"}}}`))
		return rt.GetClient().Status().Patch(rt.bounded("uses", 0), stored("uses"), none)
	}},
	{"give it a scope in which nothing is", transport, func(_ context.Context, rt *operator) error {
		scope := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"scopes":["Terminating"]}}`))
		return rt.GetClient().Patch(rt.bounded("scopes", 0), stored("scopes"), scope)
	}},
	{"delete it, and create before it is back", transport, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("deletes", 0)
		if err := rt.GetClient().Delete(ctx, stored("deletes")); err != nil {
			return err
		}
		return rt.GetClient().Create(ctx, one("deletes"))
	}},
	{"delete all ResourceQuotas of the namespace", transport, func(_ context.Context, rt *operator) error {
		return rt.GetClient().DeleteAllOf(rt.bounded("deletes-all", 0), &corev1.ResourceQuota{}, client.InNamespace("deletes-all"))
	}},
	{"raise the tenant's own TenantQuota", transport, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("raises-own", 0)
		return rt.GetClient().Patch(ctx, &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: "raises-own"}}, raiseOwn())
	}},
	{"delete it", transport, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("deletes-own", 0)
		return rt.GetClient().Delete(ctx, &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: "deletes-own"}})
	}},
	{"write its status", transport, func(_ context.Context, rt *operator) error {
		ctx := rt.bounded("tells-own", 0)
		return rt.GetClient().Status().Patch(ctx, &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: "tells-own"}}, labelled())
	}},
	{"put a QuotaTemplate above it", transport, func(_ context.Context, rt *operator) error {
		return rt.GetClient().Create(rt.bounded("tops", 0), &quota.Template{ObjectMeta: metav1.ObjectMeta{Name: "tops"}, Spec: quota.TemplateSpec{Priority: 100}})
	}},
}

// administered makes a tenant that may have no widgets, and returns the client of somebody
// who has the role admin in its namespace.
func (o *operator) administered(namespace string) client.Client {
	o.t.Helper()
	o.bounded(namespace, 0)
	name := "admin-of-" + namespace
	o.create(&rbacv1.RoleBinding{ObjectMeta: meta(namespace, "admin"),
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}})
	cfg := rest.CopyConfig(plane.Config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: name}
	c, err := client.New(cfg, client.Options{Scheme: cluster.Scheme()})
	if err != nil {
		o.t.Fatal(err)
	}
	cluster.Eventually(o.t, "the administrator's rights", func() string {
		if err := c.List(o.t.Context(), &corev1.ResourceQuotaList{}, client.InNamespace(namespace)); err != nil {
			return err.Error()
		}
		return ""
	})
	return c
}

// overQuotasByHand are those of somebody who has the role admin in the namespace.
var overQuotasByHand = []attempt{
	{"raise the ResourceQuota", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-raises").Patch(ctx, stored("admin-raises"), raise())
	}},
	{"delete the ResourceQuota", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-deletes").Delete(ctx, stored("admin-deletes"))
	}},
	{"write the status of the ResourceQuota", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-uses").Status().Patch(ctx, stored("admin-uses"), labelled())
	}},
	{"add a second ResourceQuota", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-adds").Create(ctx, second("admin-adds"))
	}},
	{"raise the TenantQuota", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-own").Patch(ctx, &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: "admin-own"}}, raiseOwn())
	}},
	{"write the status of the TenantQuota", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-status").Status().Patch(ctx, &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: "admin-status"}}, labelled())
	}},
	{"have another QuotaTemplate select the namespace by its labels", rbac, func(ctx context.Context, rt *operator) error {
		return rt.administered("admin-labels").Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "admin-labels"}}, labelled())
	}},
}
