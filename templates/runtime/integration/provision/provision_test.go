//go:build integration

package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applynetworking "k8s.io/client-go/applyconfigurations/networking/v1"
	applyrbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/provision"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// passes counts the passes over namespaces so far, by outcome.
func passes(t *testing.T) map[string]int {
	t.Helper()
	return runtimetest.Outcomes(t, prometheus.Labels{"operation": "reconcile", "target": "tenant-provision"})
}

// another waits for one more pass that ends well than there were.
func another(t *testing.T, before map[string]int) {
	t.Helper()
	cluster.Eventually(t, "another pass", func() string {
		if passes(t)["ok"] == before["ok"] {
			return "none"
		}
		return ""
	})
}

// TestWhatATenantHas follows it from the namespace that becomes a tenant to the one that is
// none any more, and has work done in the name of its account.
func TestWhatATenantHas(t *testing.T) {
	o := keeping(t)
	o.work = func(ctx context.Context, c client.Client, w *runtimetest.Widget) error {
		err := c.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}})
		if client.IgnoreAlreadyExists(err) != nil {
			return err
		}
		return c.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}})
	}
	o.start(t)
	makeNamespace(t, "stranger", false)
	ns := makeNamespace(t, "life", true)
	has(t, "life", all("life"))
	if got := found(t, "stranger"); got != nothing {
		t.Errorf("what is no tenant has %s", got)
	}

	// The account may create the ConfigMap, which the operator may not; and not delete it.
	w := &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: "life", Name: "w"}}
	if err := direct(t).Create(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "the condition", func() string {
		if err := direct(t).Get(t.Context(), client.ObjectKeyFromObject(w), w); err != nil {
			return err.Error()
		}
		ready := apimeta.FindStatusCondition(w.Status.Conditions, reconciler.ConditionReady)
		const want = `User "system:serviceaccount:life:test-tenant" cannot delete resource "configmaps"`
		if ready == nil || ready.Reason != reconciler.ReasonReconcileFailed || !strings.Contains(ready.Message, want) {
			return fmt.Sprint(w.Status.Conditions)
		}
		return ""
	})

	o.tenants.Restrict("life", tenant.Quota{Suspended: true})
	if err := direct(t).Delete(t.Context(), binding("life")); err != nil {
		t.Fatal(err)
	}
	has(t, "life", all("life")) // also while it is suspended
	enlist(t, ns, false)
	has(t, "life", nothing)
}

func TestWhatIsChangedIsPutBack(t *testing.T) {
	const namespace = "back"
	o := keeping(t)
	watched := o.watching()
	o.start(t)
	ns := makeNamespace(t, namespace, true)
	has(t, namespace, all(namespace))
	for _, test := range []struct {
		what   string
		object client.Object
		change string // empty to delete it
	}{
		{"account deleted", account(namespace), ""},
		{"account with tokens", account(namespace), `{"automountServiceAccountToken":true}`},
		{"account without the label", account(namespace), `{"metadata":{"labels":null}}`},
		{"binding deleted", binding(namespace), ""},
		{"binding of another too", binding(namespace), `{"subjects":[{"kind":"ServiceAccount","name":"test-tenant","namespace":"back"},{"kind":"User","name":"eve"}]}`},
		{"binding of nobody", binding(namespace), `{"subjects":null}`},
		{"policy deleted", policy(namespace), ""},
		{"policy for some pods", policy(namespace), `{"spec":{"podSelector":{"matchLabels":{"app":"web"}}}}`},
		{"policy that lets all in", policy(namespace), `{"spec":{"ingress":[{}]}}`},
		{"policy of egress alone", policy(namespace), `{"spec":{"policyTypes":["Egress"]}}`},
	} {
		t.Run(test.what, func(t *testing.T) {
			if test.change != "" {
				patch(t, test.object, test.change)
			} else if err := direct(t).Delete(t.Context(), test.object); err != nil {
				t.Fatal(err)
			}
			has(t, namespace, all(namespace))
		})
	}
	t.Run("what others add stays", func(t *testing.T) {
		patch(t, account(namespace), `{"imagePullSecrets":[{"name":"mine"}]}`)
		patch(t, ns, `{"metadata":{"labels":{"marked":"1"}}}`)
		settle(t)
		a := account(namespace)
		if err := direct(t).Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil || len(a.ImagePullSecrets) != 1 {
			t.Errorf("%v, error %v", a.ImagePullSecrets, err)
		}
	})
	t.Run("what others change whole is theirs", func(t *testing.T) {
		patch(t, account(namespace), `{"metadata":{"labels":null},"automountServiceAccountToken":null}`)
		cluster.Eventually(t, "the event", func() string { return told(t, namespace, "ServiceAccount") })
		if err := direct(t).Delete(t.Context(), account(namespace)); err != nil {
			t.Fatal(err)
		}
		has(t, namespace, all(namespace))
	})
	t.Run("nothing is written at rest", func(t *testing.T) {
		before, so := watched.writes.Load(), passes(t)
		patch(t, ns, `{"metadata":{"labels":{"marked":"2"}}}`)
		another(t, so)
		if n := watched.writes.Load() - before; n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// settle waits until no pass has ended for a while.
func settle(t *testing.T) {
	t.Helper()
	before, since := passes(t), time.Now()
	cluster.Eventually(t, "rest", func() string {
		if now := passes(t); !maps.Equal(now, before) {
			before, since = now, time.Now()
		}
		if time.Since(since) < 500*time.Millisecond {
			return fmt.Sprint(before)
		}
		return ""
	})
}

// TestABindingToAnotherRole is about one that says it is the operator's. Its role cannot be
// changed.
func TestABindingToAnotherRole(t *testing.T) {
	const namespace = "rebound"
	makeNamespace(t, namespace, true)
	c := direct(t)
	other := applyrbac.RoleBinding(name, namespace).WithRoleRef(applyrbac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName("cluster-admin"))
	if err := c.Apply(t.Context(), other, client.FieldOwner(name)); err != nil {
		t.Fatal(err)
	}
	keeping(t).start(t)
	has(t, namespace, all(namespace))
}

// TestWhatIsLeftFromBeforeGoes starts operators on what one with more flags, and with
// another tenant, left.
func TestWhatIsLeftFromBeforeGoes(t *testing.T) {
	o := keeping(t)
	stop := o.start(t)
	makeNamespace(t, "stays", true)
	ns := makeNamespace(t, "leaves", true)
	has(t, "stays", all("stays"))
	has(t, "leaves", all("leaves"))
	stop()
	enlist(t, ns, false)
	o.kept.RBAC = false
	stop = o.start(t)
	has(t, "stays", nothing+aPolicy)
	has(t, "leaves", nothing)
	stop()
	o.kept.RBAC, o.kept.NetworkPolicy = true, false
	o.start(t)
	has(t, "stays", fmt.Sprintf(anAccount+"\n"+aBinding+"\n", "stays"))
}

// TestABoundedNamespaceHasIt gives and takes the quota that makes a tenant. When an operator
// begins, what is there stays until it is known who is one.
func TestABoundedNamespaceHasIt(t *testing.T) {
	const namespace = "bounded"
	o := keeping(t)
	o.which.RequireQuota = true
	stop := o.start(t)
	before := passes(t)
	makeNamespace(t, namespace, true)
	another(t, before)
	if got := found(t, namespace); got != nothing {
		t.Errorf("what has no quota has %s", got)
	}
	o.tenants.Restrict(namespace, tenant.Quota{})
	has(t, namespace, all(namespace))
	stop()

	asked, answer := make(chan struct{}), make(chan struct{})
	o.expect = func(tenants *tenant.Set, name string) {
		if name == namespace {
			close(asked)
			<-answer
			tenants.Restrict(name, tenant.Quota{})
		}
	}
	watched := o.watching()
	before = passes(t)
	o.start(t)
	<-asked
	another(t, before)
	before = passes(t)
	close(answer)
	another(t, before)
	if n := watched.writes.Load(); n > 0 {
		t.Errorf("%d writes before it was known who is a tenant", n)
	}
	o.tenants.Release(namespace)
	has(t, namespace, nothing)
}

// TestWithoutFlagsNothingIsAskedFor follows an operator with tenants until it works.
func TestWithoutFlagsNothingIsAskedFor(t *testing.T) {
	o := keeping(t)
	o.kept.RBAC, o.kept.NetworkPolicy = false, false
	var worked atomic.Bool
	o.work = func(context.Context, client.Client, *runtimetest.Widget) error {
		worked.Store(true)
		return nil
	}
	watched := o.watching()
	o.start(t)
	makeNamespace(t, "plain", true)
	if err := direct(t).Create(t.Context(), &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: "plain", Name: "w"}}); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "work", func() string {
		if !worked.Load() {
			return "none"
		}
		return ""
	})
	if n := watched.requests.Load(); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// foreign are objects of the name that somebody else made.
func foreign(namespace string) []client.Object {
	b, p := binding(namespace), policy(namespace)
	b.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}
	p.Spec.PodSelector.MatchLabels = map[string]string{"app": "web"}
	return []client.Object{account(namespace), b, p}
}

// TestWhatOthersMadeIsLeftAlone gives each kind's name away in turn.
func TestWhatOthersMadeIsLeftAlone(t *testing.T) {
	keeping(t).start(t)
	c := direct(t)
	for i, kind := range []string{"ServiceAccount", "RoleBinding", "NetworkPolicy"} {
		t.Run(kind, func(t *testing.T) {
			namespace := "taken-" + strings.ToLower(kind)
			ns := makeNamespace(t, namespace, false)
			object := foreign(namespace)[i]
			if err := c.Create(t.Context(), object, client.FieldOwner("somebody")); err != nil {
				t.Fatal(err)
			}
			is := strings.Split(found(t, namespace), "\n")[i]
			want := strings.Split(all(namespace), "\n")
			want[i] = is
			before := passes(t)
			enlist(t, ns, true)
			has(t, namespace, strings.Join(want, "\n"))
			cluster.Eventually(t, "the event", func() string { return told(t, namespace, kind) })
			settle(t)
			if n := passes(t)["name_taken"] - before["name_taken"]; n < 1 || n > 4 { // one for each event
				t.Errorf("%d passes", n)
			}
			enlist(t, ns, false)
			want = []string{"", "", ""}
			want[i] = is
			has(t, namespace, strings.Join(want, "\n"))
			enlist(t, ns, true)
			if err := c.Delete(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			has(t, namespace, all(namespace))
		})
	}
}

// told says why there is no event about what is taken in a namespace, empty if there is.
func told(t *testing.T, namespace, kind string) string {
	t.Helper()
	list := &eventsv1.EventList{}
	if err := direct(t).List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	taken := provision.NameTakenError{Kind: kind, Namespace: namespace, Name: name}
	for _, e := range list.Items {
		if e.Regarding.Kind == "Namespace" && e.Regarding.Name == namespace && e.Reason == provision.ReasonNameTaken && strings.HasSuffix(e.Note, taken.Error()) {
			return ""
		}
	}
	return fmt.Sprintf("not among %d events", len(list.Items))
}

// TestWhatOthersMadeMeanwhileIsLeftAlone has a request wait on its way, and another object
// take the place of the one that it is about.
func TestWhatOthersMadeMeanwhileIsLeftAlone(t *testing.T) {
	o := keeping(t)
	watched := o.watching()
	o.start(t)
	for _, test := range []struct {
		what, method string
		begin        func(t *testing.T, ns *corev1.Namespace)
	}{
		{"made", http.MethodPatch, func(t *testing.T, ns *corev1.Namespace) { enlist(t, ns, true) }},
		{"put-back", http.MethodPatch, func(t *testing.T, ns *corev1.Namespace) { patch(t, policy(ns.Name), `{"spec":{"ingress":[{}]}}`) }},
		{"removed", http.MethodDelete, func(t *testing.T, ns *corev1.Namespace) { enlist(t, ns, false) }},
	} {
		t.Run(test.what, func(t *testing.T) {
			namespace := "meanwhile-" + test.what
			ns := makeNamespace(t, namespace, test.what != "made")
			if test.what != "made" {
				has(t, namespace, all(namespace))
				settle(t)
			}
			came, release := watched.hold(test.method, "networkpolicies")
			defer release()
			test.begin(t, ns)
			<-came
			c := direct(t)
			if err := client.IgnoreNotFound(c.Delete(t.Context(), policy(namespace))); err != nil {
				t.Fatal(err)
			}
			other := foreign(namespace)[2].(*networkingv1.NetworkPolicy)
			if err := c.Create(t.Context(), other, client.FieldOwner("somebody")); err != nil {
				t.Fatal(err)
			}
			release()
			settle(t)
			now := policy(namespace)
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(now), now); err != nil {
				t.Fatal(err)
			}
			if now.UID != other.UID || now.ResourceVersion != other.ResourceVersion {
				t.Errorf("it is %+v", now)
			}
		})
	}
}

// TestANamespaceThatIsBeingDeletedIsLeftAlone: nothing could be made in it.
func TestANamespaceThatIsBeingDeletedIsLeftAlone(t *testing.T) {
	const namespace = "terminating"
	o := keeping(t)
	watched := o.watching()
	o.start(t)
	ns := makeNamespace(t, namespace, true)
	has(t, namespace, all(namespace))
	settle(t)
	c := direct(t)
	if err := c.Delete(t.Context(), ns); err != nil { // no namespace controller empties it here
		t.Fatal(err)
	}
	settle(t)
	before, so := watched.writes.Load(), passes(t)
	if err := c.Delete(t.Context(), binding(namespace)); err != nil {
		t.Fatal(err)
	}
	another(t, so)
	if n := watched.writes.Load() - before; n > 0 {
		t.Errorf("%d writes", n)
	}
	if got := found(t, namespace); got != anAccount+"\n\n"+aPolicy {
		t.Errorf("it has %s", got)
	}
}

// TestRequestsBeforeTheBindingAreRepeated has the account's work begin before it has rights.
func TestRequestsBeforeTheBindingAreRepeated(t *testing.T) {
	const namespace = "early"
	o := keeping(t)
	var refused, done atomic.Int64
	o.work = func(ctx context.Context, c client.Client, w *runtimetest.Widget) error {
		err := c.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}})
		switch {
		case apierrors.IsForbidden(err):
			refused.Add(1)
		case err == nil:
			done.Add(1)
		}
		return client.IgnoreAlreadyExists(err)
	}
	watched := o.watching()
	o.start(t)
	came, release := watched.hold(http.MethodPatch, "rolebindings")
	defer release()
	makeNamespace(t, namespace, true)
	<-came
	w := &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "w"}}
	if err := direct(t).Create(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	count := func(n *atomic.Int64, least int64) func() string {
		return func() string {
			if n.Load() < least {
				return "none"
			}
			return ""
		}
	}
	cluster.Eventually(t, "refused requests", count(&refused, 2))
	release()
	cluster.Eventually(t, "one that passes", count(&done, 1))
}

// TestANewLeaderKeepsThem starts a replica while another one leads.
func TestANewLeaderKeepsThem(t *testing.T) {
	const namespace = "gained"
	thief, seconds, now := "thief", int32(3600), metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "gained"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &thief, LeaseDurationSeconds: &seconds, RenewTime: &now, AcquireTime: &now},
	}
	c := direct(t)
	if err := c.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	makeNamespace(t, namespace, true)
	o := keeping(t)
	o.settings = manager.Settings{LeaderElection: true, LeaderElectionID: lease.Name}
	o.settings.Leader.LeaseDuration, o.settings.Leader.RetryPeriod = 2*time.Second, 200*time.Millisecond
	watched := o.watching()
	o.start(t)
	observed := prometheus.Labels{"operation": "observe", "target": "tenant-provision"}
	cluster.Eventually(t, "an observer's pass", func() string {
		if runtimetest.Outcomes(t, observed)["ok"] == 0 {
			return "none"
		}
		return ""
	})
	if n := watched.writes.Load(); n > 0 {
		t.Errorf("%d writes of an observer", n)
	}
	seconds = 1
	lease.Spec.LeaseDurationSeconds = &seconds
	if err := c.Update(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	has(t, namespace, all(namespace))
}

// TestRightsInNamedNamespacesAreEnough runs an operator that has none elsewhere.
func TestRightsInNamedNamespacesAreEnough(t *testing.T) {
	makeNamespace(t, "unnamed", false)
	o := keeping(t)
	o.config, o.which = limited, tenant.Settings{Namespaces: only}
	before := passes(t)
	o.start(t)
	has(t, only, all(only))
	settle(t)
	if n := passes(t)["error"] - before["error"]; n > 0 {
		t.Errorf("%d passes failed", n)
	}
	if got := found(t, "unnamed"); got != nothing {
		t.Errorf("what is no tenant has %s", got)
	}
	account := rest.CopyConfig(limited)
	account.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + only + ":" + name}
	created := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: only, Name: "by-account"}}
	if err := clientOf(t, account).Create(t.Context(), created); err != nil {
		t.Errorf("in the name of the account: %v", err)
	}
}

// TestTheOperatorMayDoNothingElse tries what the emitted rights must not allow. What they
// allow is allowed by the name in a request, which a POST has not.
func TestTheOperatorMayDoNothingElse(t *testing.T) {
	const namespace = "least"
	makeNamespace(t, namespace, false)
	role := &rbacv1.Role{ObjectMeta: meta(namespace), Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}}}
	if err := direct(t).Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	c := clientOf(t, own)
	bind := func(ctx context.Context, kind, role, name string) error {
		return c.Apply(ctx, applyrbac.RoleBinding(name, namespace).
			WithRoleRef(applyrbac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind(kind).WithName(role)).
			WithSubjects(applyrbac.Subject().WithKind(rbacv1.ServiceAccountKind).WithNamespace(namespace).WithName(name)), client.FieldOwner(name))
	}
	impersonate := func(ctx context.Context, user string, groups ...string) error {
		config := rest.CopyConfig(own)
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
		created := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "by-impersonation"}}
		_, err := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(namespace).Create(ctx, created, metav1.CreateOptions{})
		if err != nil && !strings.Contains(err.Error(), "impersonate") {
			return fmt.Errorf("refused for another reason: %s", err.Error())
		}
		return err
	}
	accountOf := func(namespace, name string) string { return "system:serviceaccount:" + namespace + ":" + name }
	for what, try := range map[string]func(ctx context.Context) error{
		"bind another role":                func(ctx context.Context) error { return bind(ctx, "ClusterRole", "cluster-admin", name) },
		"bind a role of the namespace":     func(ctx context.Context) error { return bind(ctx, "Role", name, name) },
		"bind the role under another name": func(ctx context.Context) error { return bind(ctx, "ClusterRole", name, "other") },
		"bind the role in all namespaces": func(ctx context.Context) error {
			return c.Apply(ctx, applyrbac.ClusterRoleBinding(name).WithRoleRef(applyrbac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(name)), client.FieldOwner(name))
		},
		"change the role": func(ctx context.Context) error {
			return c.Apply(ctx, applyrbac.ClusterRole(name), client.FieldOwner(name))
		},
		"make another account": func(ctx context.Context) error {
			return c.Apply(ctx, applycore.ServiceAccount("other", namespace), client.FieldOwner(name))
		},
		"make another policy": func(ctx context.Context) error {
			return c.Apply(ctx, applynetworking.NetworkPolicy("other", namespace), client.FieldOwner(name))
		},
		"delete another account": func(ctx context.Context) error {
			return c.Delete(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "manager"}})
		},
		"list all accounts":           func(ctx context.Context) error { return c.List(ctx, &corev1.ServiceAccountList{}) },
		"list all bindings":           func(ctx context.Context) error { return c.List(ctx, &rbacv1.RoleBindingList{}) },
		"get a token of the account":  func(ctx context.Context) error { _, err := token(ctx, c, account(namespace)); return err },
		"impersonate another account": func(ctx context.Context) error { return impersonate(ctx, accountOf(home, "limited")) },
		"impersonate a user":          func(ctx context.Context) error { return impersonate(ctx, name) },
		"impersonate with a group":    func(ctx context.Context) error { return impersonate(ctx, accountOf(namespace, name), "system:masters") },
	} {
		t.Run(what, func(t *testing.T) {
			err := try(t.Context())
			if !apierrors.IsForbidden(err) {
				t.Errorf("error %v", err)
			}
			t.Log(err)
		})
	}
	t.Run("what it may do", func(t *testing.T) {
		if err := errors.Join(
			c.List(t.Context(), &rbacv1.RoleBindingList{}, client.MatchingFields{metav1.ObjectNameField: name}),
			bind(t.Context(), "ClusterRole", name, name),
		); err != nil {
			t.Error(err)
		}
		cluster.Eventually(t, "a request in the name of the account", func() string {
			if err := impersonate(t.Context(), accountOf(namespace, name)); client.IgnoreAlreadyExists(err) != nil {
				return err.Error()
			}
			return ""
		})
	})
}
