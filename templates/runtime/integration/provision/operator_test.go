//go:build integration

package provision_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/provision"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// operator is one whose tenants are the namespaces with a label of the test's own.
type operator struct {
	config   *rest.Config
	kept     provision.Settings
	which    tenant.Settings
	settings manager.Settings
	// work is done for each widget, by the client that users' reconcilers get.
	work func(ctx context.Context, c client.Client, w *runtimetest.Widget) error
	// expect, if it is set, is called with namespaces before they are tenants.
	expect func(tenants *tenant.Set, namespace string)

	tenants *tenant.Set
	client  client.Client
}

// keeping returns an operator that keeps everything.
func keeping(t *testing.T) *operator {
	return &operator{
		config: own, kept: provision.Settings{Name: name, RBAC: true, NetworkPolicy: true}, which: tenant.Settings{Selector: selector(t) + "=yes"},
		work: func(context.Context, client.Client, *runtimetest.Widget) error { return nil },
	}
}

// selector is the label of the tenants of a test and its subtests.
func selector(t *testing.T) string {
	test, _, _ := strings.Cut(t.Name(), "/")
	return "tenant-of-" + test
}

// enlist makes a namespace a tenant of the test, or none.
func enlist(t *testing.T, ns *corev1.Namespace, isTenant bool) {
	t.Helper()
	value := "null"
	if isTenant {
		value = `"yes"`
	}
	patch(t, ns, `{"metadata":{"labels":{"`+selector(t)+`":`+value+`}}}`)
}

// ReconcileKind implements reconciler.Interface.
func (o *operator) ReconcileKind(ctx context.Context, w *runtimetest.Widget) error {
	return o.work(ctx, o.client, w)
}

// start runs the operator until the test ends, or until stop is called.
func (o *operator) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o.settings.MetricsBindAddress, o.settings.ProbeBindAddress, o.settings.Leader.Namespace = "0", "0", home
	rt, err := manager.New(ctx, o.config, manager.Options{
		Scheme: runtimetest.Scheme(), Settings: o.settings,
		Configure: func(options *ctrl.Options) {
			options.Controller.SkipNameValidation = new(true)
			if err := (access.Settings{}).Limit(options, o.which); err != nil {
				t.Error(err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.setUp(rt); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("operator ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// setUp does what the emitted SetupAll does.
func (o *operator) setUp(rt *manager.Runtime) error {
	var err error
	if o.tenants, err = o.which.Follow(rt.Stopping(), rt); err != nil {
		return err
	}
	if o.expect != nil {
		o.tenants.Expect(func(_ context.Context, ns metav1.Object) error {
			o.expect(o.tenants, ns.GetName())
			return nil
		})
	}
	if err := o.kept.Setup(rt, o.tenants, o.which); err != nil {
		return err
	}
	allowed, err := o.kept.Reach(access.Settings{})
	if err != nil {
		return err
	}
	confined, err := allowed.Confine(rt, runtimetest.GroupVersion.Group)
	if err != nil {
		return err
	}
	o.client = confined.GetClient()
	loop, err := reconciler.New(rt, reconciler.Kind[*runtimetest.Widget]{
		Name: "widget", New: func() *runtimetest.Widget { return &runtimetest.Widget{} }, StatusSubresource: true,
		Status:     func(w *runtimetest.Widget) any { return &w.Status },
		Conditions: func(w *runtimetest.Widget) *[]metav1.Condition { return &w.Status.Conditions },
	}, o)
	if err != nil {
		return err
	}
	sandboxes := o.tenants.Sandboxes(tenant.Kind{
		Name: "widget", Workers: o.tenants.Workers(),
		Cache: rt.GetClient(), Object: &runtimetest.Widget{}, List: &runtimetest.WidgetList{},
	})
	return loop.Register(rt, chain.Wrap(loop.Reconcile, sandboxes.Gate, rt.Election().Gate(loop.Observe), loop.Budget),
		rt.Gains(&runtimetest.WidgetList{}), sandboxes.Wakes())
}

// watched notes the requests that are about what is kept, and may hold some up.
type watched struct {
	requests atomic.Int64
	writes   atomic.Int64

	mu   sync.Mutex
	held func(r *http.Request) // may block
}

// watching has the operator's requests watched.
func (o *operator) watching() *watched {
	w := &watched{}
	o.config = rest.CopyConfig(o.config)
	o.config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &round{w, next} })
	return w
}

type round struct {
	*watched
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w *round) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, resource := range []string{"/serviceaccounts", "/rolebindings", "/networkpolicies"} {
		if !strings.Contains(r.URL.Path, resource) {
			continue
		}
		w.requests.Add(1)
		if r.Method != http.MethodGet {
			w.writes.Add(1)
		}
	}
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held != nil {
		held(r)
	}
	return w.next.RoundTrip(r)
}

// hold holds up the first request of a method about an object that is kept. It returns
// when one has come, by the first function, and lets it go, by the second.
func (w *watched) hold(method, resource string) (came <-chan struct{}, release func()) {
	arrived, open := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = func(r *http.Request) {
		if r.Method == method && strings.HasSuffix(r.URL.Path, "/"+resource+"/"+name) && first.CompareAndSwap(false, true) {
			close(arrived)
			<-open
		}
	}
	return arrived, sync.OnceFunc(func() { close(open) })
}

// makeNamespace makes a namespace, a tenant's if it is to be one.
func makeNamespace(t *testing.T, namespace string, isTenant bool) *corev1.Namespace {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if isTenant {
		ns.Labels = map[string]string{selector(t): "yes"}
	}
	if err := direct(t).Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns
}

// patch changes an object as an administrator.
func patch(t *testing.T, object client.Object, change string) {
	t.Helper()
	if err := direct(t).Patch(t.Context(), object, client.RawPatch("application/merge-patch+json", []byte(change))); err != nil {
		t.Fatal(err)
	}
}

func meta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func account(namespace string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: meta(namespace)}
}

func binding(namespace string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: meta(namespace)}
}

func policy(namespace string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: meta(namespace)}
}

// What is kept in a namespace, as JSON.
const (
	labels     = `{"app.kubernetes.io/managed-by":"ctxscaffold"}`
	anAccount  = labels + `false`
	aBinding   = labels + `{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"test-tenant"}` + `[{"kind":"ServiceAccount","name":"test-tenant","namespace":"%s"}]`
	aPolicy    = labels + `{"podSelector":{},"ingress":[{"from":[{"podSelector":{}},{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"test-system"}}}]}],"policyTypes":["Ingress"]}`
	nothing    = "\n\n"
	everything = anAccount + "\n" + aBinding + "\n" + aPolicy
)

// all is everything, in a namespace.
func all(namespace string) string { return fmt.Sprintf(everything, namespace) }

// found is what there is in a namespace.
func found(t testing.TB, namespace string) string {
	t.Helper()
	c := direct(t)
	a, b, p := account(namespace), binding(namespace), policy(namespace)
	there := func(o client.Object, fields ...func() any) string {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, field := range fields {
			text, err := json.Marshal(field())
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
	return there(a, func() any { return a.Labels }, func() any { return a.AutomountServiceAccountToken }) + "\n" +
		there(b, func() any { return b.Labels }, func() any { return b.RoleRef }, func() any { return b.Subjects }) + "\n" +
		there(p, func() any { return p.Labels }, func() any { return p.Spec })
}

// has waits until a namespace has what is wanted.
func has(t testing.TB, namespace, want string) {
	t.Helper()
	cluster.Eventually(t, "what "+namespace+" has", func() string {
		if got := found(t, namespace); got != want {
			return fmt.Sprintf("%s\nwant %s", got, want)
		}
		return ""
	})
}
