//go:build integration

package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// hanging works on widgets of one namespace until it is ended, and says why it was.
type hanging struct {
	namespace string
	begun     chan *widget
	ended     chan error
	finalized chan string
}

func (h *hanging) ReconcileKind(ctx context.Context, w *widget) error {
	if w.Namespace != h.namespace {
		return nil
	}
	h.begun <- w
	<-ctx.Done()
	h.ended <- context.Cause(ctx)
	return context.Cause(ctx)
}

func (h *hanging) FinalizeKind(_ context.Context, w *widget) error {
	if w.Namespace == h.namespace {
		h.finalized <- w.Name
	}
	return nil
}

// isolated starts an operator whose tenants are the namespaces with a label. It has more
// sources than that of the sandboxes, and links in them.
func isolated(t testing.TB, settings manager.Settings, workers int, u reconciler.Interface[*widget], sources []source.Source, links ...chain.Link) (*tenant.Set, *tenant.Sandboxes) {
	t.Helper()
	set := tenant.New(t.Context())
	var sandboxes *tenant.Sandboxes
	runWith(t, config, settings, func(rt *manager.Runtime) error {
		if err := set.Watch(rt, tenant.Selection{Selector: labels.SelectorFromSet(labels.Set{"tenant": "yes"})}); err != nil {
			return err
		}
		k := kind()
		k.Workers = workers
		loop, err := reconciler.New(rt, k, u)
		if err != nil {
			return err
		}
		sandboxes = set.Sandboxes(tenant.Kind{
			Name: k.Name, Workers: k.Workers,
			Cache: rt.GetClient(), Object: &widget{}, List: &runtimetest.WidgetList{},
		})
		return loop.Register(rt, wrap(rt, loop, append([]chain.Link{sandboxes.Gate}, links...)...), append(sources, sandboxes.Wakes())...)
	})
	return set, sandboxes
}

// label makes a namespace a tenant, with "yes", or makes it none, with null.
func label(t testing.TB, c client.Client, namespace, value string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := c.Patch(t.Context(), ns, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"tenant":`+value+`}}}`))); err != nil {
		t.Fatal(err)
	}
}

func TestTheLifeOfATenant(t *testing.T) {
	const name = "life-of-a-tenant"
	h := &hanging{namespace: name, begun: make(chan *widget, 9), ended: make(chan error, 9), finalized: make(chan string, 9)}
	set, sandboxes := isolated(t, manager.Settings{}, 1, h, nil)
	c := direct(t)
	createNamespace(t, c, name)
	w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "w"}}
	if err := c.Create(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	ends := func(want *cause.Cause, happens func()) {
		t.Helper()
		<-h.begun
		begin := time.Now()
		happens()
		why := <-h.ended
		took := time.Since(begin)
		t.Logf("%s after %s", why, took)
		if !errors.Is(why, want) {
			t.Errorf("cause %v, want %v", why, want)
		}
		if took > 100*time.Millisecond {
			t.Errorf("ended after %s, of at most 100ms", took)
		}
	}

	time.Sleep(time.Second) // in which it is no tenant
	if len(h.begun) != 0 {
		t.Error("worked on in a namespace that is no tenant")
	}
	label(t, c, name, `"yes"`)
	ends(cause.TenantGone, func() { label(t, c, name, "null") })
	label(t, c, name, `"yes"`)
	ends(cause.TenantSuspended, func() { set.Restrict(name, tenant.Quota{Suspended: true}) })
	set.Restrict(name, tenant.Quota{Limits: tenant.Limits{Concurrency: 1}})
	ends(cause.TenantLimited, func() {
		set.Restrict(name, tenant.Quota{Limits: tenant.Limits{Concurrency: 1, Budget: time.Minute}})
	})
	ends(cause.TenantGone, func() {
		if err := c.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	})
	before := get(t, w).ResourceVersion
	time.Sleep(time.Second) // in which nothing must be written
	if after := get(t, w).ResourceVersion; after != before {
		t.Errorf("written in a namespace that is being deleted: version %s, then %s", before, after)
	}

	// What the namespace controller does.
	if err := c.Delete(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if got := <-h.finalized; got != "w" {
		t.Errorf("finalized %q", got)
	}
	eventually(t, "the object's end", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(w), &widget{}))
	})
	core := kubernetes.NewForConfigOrDie(config).CoreV1()
	ns, err := core.Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ns.Spec.Finalizers = nil
	if _, err := core.Namespaces().Finalize(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tenant's end", func() bool {
		_, _, err := sandboxes.Enter(t.Context(), client.ObjectKeyFromObject(w))
		return err != nil && err.Error() == "tenant is gone: namespace is no tenant"
	})

	// It comes again, with the quota that waits for its name.
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"tenant": "yes"}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "w"}}); err != nil {
		t.Fatal(err)
	}
	ends(cause.TenantGone, func() { label(t, c, name, "null") })
}
