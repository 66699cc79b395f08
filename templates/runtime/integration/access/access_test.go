//go:build integration

// Package access_test tries, on a real control plane, to get out of a tenant's namespace
// and beyond a tenant's bounds.
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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const (
	north  = "north" // the tenant that work is done for
	south  = "south" // another one
	shared = "shared"
)

// plane is what the tests run on.
var plane *cluster.Cluster

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	var err error
	plane, err = cluster.Start(context.Background(), "namespace-controller", "resourcequota-controller", "garbage-collector-controller", "clusterrole-aggregation-controller")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if err = fill(context.Background()); err == nil {
		code = m.Run()
	}
	if err := errors.Join(err, plane.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// fill makes the namespaces, with an object of each kind in each.
func fill(ctx context.Context) error {
	c, err := client.New(plane.Config, client.Options{Scheme: cluster.Scheme()})
	if err != nil {
		return err
	}
	for _, ns := range []string{north, south, shared} {
		labels := map[string]string{"tenant": "yes"}
		if ns == shared {
			labels = nil
		}
		for _, o := range []client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: labels}},
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
