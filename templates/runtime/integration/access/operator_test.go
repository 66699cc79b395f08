//go:build integration

package access_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// operator is a running operator as the reconcilers of its users see it. Its tenants are
// the namespaces with the label tenant=yes.
type operator struct {
	*manager.Runtime
	t         *testing.T // that the operator is used by
	tenants   *tenant.Set
	sandboxes *tenant.Sandboxes
	user      *user
	gate      *gate
}

// gate is passed by what an operator writes of ResourceQuotas, and is shut by a lock.
type gate struct{ sync.RWMutex }

// passage is a transport with a gate in it.
type passage struct {
	*gate
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p passage) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/resourcequotas") {
		p.RLock()
		defer p.RUnlock()
	}
	return p.next.RoundTrip(r)
}

// confine runs an operator until the test ends, with all that is emitted for tenants.
func confine(t *testing.T, s access.Settings) *operator {
	t.Helper()
	g := &gate{}
	cfg := rest.CopyConfig(plane.Config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return passage{g, next}
	})
	whole := assemble(t, cfg, manager.Settings{}, nil)
	rt, err := s.Confine(whole, runtimetest.GroupVersion.Group)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{Runtime: rt, t: t, tenants: tenant.New(t.Context()), user: &user{tasks: map[client.ObjectKey]task{}, passes: map[client.ObjectKey]int{}}, gate: g}
	if err := o.setUp(whole); err != nil {
		t.Fatal(err)
	}
	start(t, whole)
	o.isTenant(north)
	o.isTenant(south)
	return o
}

// setUp does what the emitted SetupAll does.
func (o *operator) setUp(whole *manager.Runtime) error {
	if err := o.tenants.Watch(whole, tenant.Selection{Selector: labels.SelectorFromSet(labels.Set{"tenant": "yes"})}); err != nil {
		return err
	}
	if err := quota.Setup(whole, o.tenants, cluster.Group); err != nil {
		return err
	}
	kind := reconciler.Kind[*runtimetest.Widget]{
		Name: "widget", Workers: 10,
		New:                   func() *runtimetest.Widget { return &runtimetest.Widget{} },
		Status:                func(w *runtimetest.Widget) any { return &w.Status },
		StatusSubresource:     true,
		Conditions:            func(w *runtimetest.Widget) *[]metav1.Condition { return &w.Status.Conditions },
		SetObservedGeneration: func(w *runtimetest.Widget, generation int64) { w.Status.ObservedGeneration = generation },
	}
	loop, err := reconciler.New(whole, kind, o.user)
	if err != nil {
		return err
	}
	o.sandboxes = o.tenants.Sandboxes(tenant.Kind{
		Name: kind.Name, Workers: kind.Workers,
		Cache: whole.GetClient(), Object: &runtimetest.Widget{}, List: &runtimetest.WidgetList{},
	})
	return loop.Register(whole, chain.Wrap(loop.Reconcile, o.sandboxes.Gate, whole.Election().Gate(loop.Observe), loop.Budget),
		whole.Gains(&runtimetest.WidgetList{}), o.sandboxes.Wakes())
}

// assemble makes an operator that does nothing yet.
func assemble(t *testing.T, cfg *rest.Config, settings manager.Settings, configure func(*ctrl.Options)) *manager.Runtime {
	t.Helper()
	settings.MetricsBindAddress, settings.ProbeBindAddress = "0", "0"
	rt, err := manager.New(t.Context(), cfg, manager.Options{
		Scheme: cluster.Scheme(), Settings: settings,
		Configure: func(o *ctrl.Options) {
			o.Controller.SkipNameValidation = new(true)
			if configure != nil {
				configure(o)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// at is the operator as a test of its own uses it.
func (o *operator) at(t *testing.T) *operator {
	used := *o
	used.t = t
	return &used
}

// in returns a context in which work is done for a tenant until the test ends, and the
// function that ends the pass before.
func (o *operator) in(namespace string) (context.Context, context.CancelFunc) {
	o.t.Helper()
	var ctx context.Context
	var leave context.CancelFunc
	cluster.Eventually(o.t, "a pass for "+namespace, func() string {
		var err error
		if ctx, leave, err = o.sandboxes.Enter(o.t.Context(), client.ObjectKey{Namespace: namespace, Name: o.t.Name()}); err != nil {
			return err.Error() // it is no tenant yet, or others are under way
		}
		return ""
	})
	o.t.Cleanup(leave)
	return ctx, leave
}

// isTenant waits until a namespace is a tenant.
func (o *operator) isTenant(namespace string) {
	o.t.Helper()
	_, leave := o.in(namespace)
	leave()
}

// place makes a tenant with a widget and a config map.
func (o *operator) place(namespace string) {
	o.t.Helper()
	plane.MakeNamespace(o.t, namespace, "tenant=yes")
	o.create(widget(namespace), configMap(namespace, "there"))
	o.isTenant(namespace)
}

// create creates objects as an administrator.
func (o *operator) create(objects ...client.Object) {
	o.t.Helper()
	for _, obj := range objects {
		if err := create(o.t.Context(), plane.Client(o.t), obj); err != nil {
			o.t.Fatal(err)
		}
	}
}

// create creates an object. Where it is counted, the API server and its quota controller
// write the same count at times, and one of them has to come again.
func create(ctx context.Context, c client.Client, obj client.Object) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error { return c.Create(ctx, obj) })
}

// task is what is done in a pass over a widget.
type task func(ctx context.Context, w *runtimetest.Widget) error

// user is a user's reconciler, which does what it is told.
type user struct {
	mu     sync.Mutex
	tasks  map[client.ObjectKey]task
	passes map[client.ObjectKey]int
}

// ReconcileKind implements reconciler.Interface.
func (u *user) ReconcileKind(ctx context.Context, w *runtimetest.Widget) error {
	u.mu.Lock()
	key := client.ObjectKeyFromObject(w)
	u.passes[key]++
	do := u.tasks[key]
	u.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(ctx, w)
}

// Configure implements reconciler.Configurer.
func (u *user) Configure(b *reconciler.Builder) error {
	b.Owns(&corev1.ConfigMap{})
	return nil
}

// does says what is done in passes over a widget.
func (u *user) does(w *runtimetest.Widget, do task) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tasks[client.ObjectKeyFromObject(w)] = do
}

// of is how many passes there were over a widget.
func (u *user) of(w *runtimetest.Widget) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.passes[client.ObjectKeyFromObject(w)]
}

// pass has a widget, which is changed for it, reconciled once, and returns what came of do.
func (o *operator) pass(w *runtimetest.Widget, do task) error {
	o.t.Helper()
	result, once := make(chan error, 1), sync.Once{}
	o.user.does(w, func(ctx context.Context, w *runtimetest.Widget) error {
		once.Do(func() { result <- do(ctx, w) })
		return nil
	})
	plane.Patch(o.t, w, map[string]any{"metadata": map[string]any{"annotations": map[string]any{"pass": fmt.Sprint(time.Now().UnixNano())}}})
	select {
	case err := <-result:
		return err
	case <-time.After(cluster.Patience):
		o.t.Fatalf("no pass over %s/%s in %s", w.Namespace, w.Name, cluster.Patience)
		return nil
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
