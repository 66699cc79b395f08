//go:build integration

// Package access_test tries, on a real API server, to get out of a tenant's namespace.
package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

const (
	north  = "north" // the tenant that work is done for
	south  = "south" // another one
	shared = "shared"
)

var config *rest.Config

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	server := &envtest.Environment{CRDDirectoryPaths: []string{"../testdata"}, ErrorIfCRDPathMissing: true}
	var err error
	if config, err = server.Start(); err == nil {
		err = fill(context.Background())
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if err := errors.Join(err, server.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, "API server:", err)
		code = 1
	}
	os.Exit(code)
}

// fill makes the namespaces, with an object of each kind in each.
func fill(ctx context.Context) error {
	c, err := client.New(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		return err
	}
	for _, ns := range []string{north, south, shared} {
		for _, o := range []client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "there"}},
			&runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "there"}},
		} {
			if err := c.Create(ctx, o); err != nil {
				return err
			}
		}
	}
	meta := metav1.ObjectMeta{Namespace: north, Name: "worker"}
	return errors.Join(
		c.Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}),
		c.Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "update"},
		}}}),
		c.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "worker"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: north, Name: "worker"}},
		}),
	)
}

// confine starts an operator and returns it as reconcilers of users see it, and a context
// of each of its tenants.
func confine(t *testing.T, s access.Settings) (rt *manager.Runtime, in func(namespace string) context.Context) {
	t.Helper()
	ctx := t.Context()
	whole, err := manager.New(ctx, config, manager.Options{
		Scheme:   runtimetest.Scheme(),
		Settings: manager.Settings{MetricsBindAddress: "0", ProbeBindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rt, err = s.Confine(whole, runtimetest.GroupVersion.Group); err != nil {
		t.Fatal(err)
	}
	set := tenant.New(ctx)
	set.Put(tenant.Namespace{Name: north, UID: north})
	set.Put(tenant.Namespace{Name: south, UID: south})
	sandboxes := set.Sandboxes(tenant.Kind{Name: "widget", Workers: 10, Cache: whole.GetClient(), Object: &runtimetest.Widget{}, List: &runtimetest.WidgetList{}})
	start(t, whole)
	return rt, func(namespace string) context.Context {
		inside, leave, err := sandboxes.Enter(ctx, client.ObjectKey{Namespace: namespace, Name: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(leave)
		return inside
	}
}

// start runs an operator until the test ends, and returns when its cache can be read.
func start(t *testing.T, rt *manager.Runtime) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if !rt.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("the cache is not filled")
	}
}
