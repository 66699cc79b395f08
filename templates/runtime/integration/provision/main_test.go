//go:build integration

// Package provision_test has an operator with an account of its own, and no other rights
// than emitted ones, keep what tenants' namespaces have, on a real API server.
package provision_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const (
	project = "test"
	name    = project + "-tenant" // of all that is kept
	home    = project + "-system" // where the operator is
)

var (
	admin *rest.Config
	// own is the operator's config. It has the emitted rights in all namespaces.
	own *rest.Config
	// limited is that of another, which has them in the namespace only, which is one.
	limited *rest.Config
)

const only = "only"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	server := &envtest.Environment{CRDDirectoryPaths: []string{"../testdata"}, ErrorIfCRDPathMissing: true}
	var err error
	if admin, err = server.Start(); err == nil {
		admin.QPS = -1
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

// rights are those that are emitted for what is kept.
func rights() ([]rbacv1.PolicyRule, error) {
	text, err := os.ReadFile("../../../emit/tenancy/rights.jinja")
	if err != nil {
		return nil, err
	}
	var rules []rbacv1.PolicyRule
	err = yaml.UnmarshalStrict(bytes.ReplaceAll(text, []byte("{{ project.name }}"), []byte(project)), &rules)
	return rules, err
}

// elsewhere are the other rights of an operator, in namespaces and in none.
var (
	elsewhere = []rbacv1.PolicyRule{
		{APIGroups: []string{runtimetest.GroupVersion.Group}, Resources: []string{"widgets"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{runtimetest.GroupVersion.Group}, Resources: []string{"widgets", "widgets/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	}
	nowhere = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
)

// fill makes the accounts of operators with their rights, and the role of tenants.
func fill(ctx context.Context) error {
	c, err := client.New(admin, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		return err
	}
	rules, err := rights()
	if err != nil {
		return err
	}
	role := func(name string, rules []rbacv1.PolicyRule) error {
		return c.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})
	}
	to := func(role, account string) (rbacv1.RoleRef, []rbacv1.Subject) {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			[]rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: home, Name: account}}
	}
	everywhere := func(role, account string) error {
		ref, subjects := to(role, account)
		return c.Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: account + "-" + role}, RoleRef: ref, Subjects: subjects})
	}
	in := func(namespace, role, account string) error {
		ref, subjects := to(role, account)
		return c.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role}, RoleRef: ref, Subjects: subjects})
	}
	if err := errors.Join(
		c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}),
		c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: only}}),
		role(name, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}}}),
		role("operator", append(rules, elsewhere...)), role("cluster", nowhere),
		everywhere("operator", "manager"), everywhere("cluster", "manager"),
		in(only, "operator", "limited"), everywhere("cluster", "limited"),
	); err != nil {
		return err
	}
	if own, err = as(ctx, c, "manager"); err != nil {
		return err
	}
	limited, err = as(ctx, c, "limited")
	return err
}

// as makes an operator's account, and returns a config that signs in as it.
func as(ctx context.Context, c client.Client, account string) (*rest.Config, error) {
	object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: account}}
	if err := c.Create(ctx, object); err != nil {
		return nil, err
	}
	config := rest.AnonymousClientConfig(admin)
	config.QPS = -1
	var err error
	config.BearerToken, err = token(ctx, c, object)
	return config, err
}

// token returns a token of an account.
func token(ctx context.Context, c client.Client, account *corev1.ServiceAccount) (string, error) {
	request := &authenticationv1.TokenRequest{}
	err := c.SubResource("token").Create(ctx, account, request)
	return request.Status.Token, err
}

// direct returns an administrator's client without a cache.
func direct(t testing.TB) client.Client {
	t.Helper()
	return clientOf(t, admin)
}

func clientOf(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
