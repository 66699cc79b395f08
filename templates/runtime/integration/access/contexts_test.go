//go:build integration

package access_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// kept returns a context of a pass for a tenant that is over, detached from its end.
func (o *operator) kept(namespace string) context.Context {
	o.t.Helper()
	ctx, leave := o.in(namespace)
	leave()
	return context.WithoutCancel(ctx)
}

// detached returns a context of a pass for a tenant, detached from its end, after happens
// has ended the pass.
func (o *operator) detached(namespace string, happens func()) context.Context {
	o.t.Helper()
	ctx, _ := o.in(namespace)
	happens()
	<-ctx.Done()
	return context.WithoutCancel(ctx)
}

// copied is a context with the values of another one.
type copied struct {
	context.Context
	values context.Context
}

// Value implements context.Context.
func (c copied) Value(key any) any { return c.values.Value(key) }

// removeNamespace deletes a namespace.
func (o *operator) removeNamespace(name string) {
	o.t.Helper()
	if err := plane.Client(o.t).Delete(o.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		o.t.Fatal(err)
	}
}

// isGone waits until an object is gone.
func (o *operator) isGone(obj client.Object) {
	o.t.Helper()
	cluster.Eventually(o.t, "the end of "+obj.GetName(), func() string {
		err := plane.Client(o.t).Get(o.t.Context(), client.ObjectKeyFromObject(obj), obj)
		if apierrors.IsNotFound(err) {
			return ""
		}
		return fmt.Sprintf("it is there, error %v", err)
	})
}

func getWidget(ctx context.Context, c client.Reader, namespace string) error {
	w := widget(namespace)
	return c.Get(ctx, client.ObjectKeyFromObject(w), w)
}

// withContexts are the attempts with contexts that are not those of the pass.
var withContexts = []attempt{
	{"write with the context of a pass that is over", sandbox, func(_ context.Context, rt *operator) error {
		return rt.GetClient().Create(rt.kept(north), configMap(north, "late"))
	}},
	{"read the cache with it", sandbox, func(_ context.Context, rt *operator) error {
		return getWidget(rt.kept(north), rt.GetClient(), north)
	}},
	{"reach another tenant by a context that was kept from a pass for it", sandbox, func(_ context.Context, rt *operator) error {
		return getWidget(rt.kept(south), rt.GetClient(), south)
	}},
	{"copy the values of such a context into one's own", sandbox, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Create(copied{ctx, rt.kept(south)}, configMap(south, "new"))
	}},
	{"write one's own object by the context of a pass for another tenant", transport, func(_ context.Context, rt *operator) error {
		foreign, _ := rt.in(south)
		return rt.GetClient().Create(foreign, configMap(north, "new"))
	}},
	{"begin work for a tenant that is suspended", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("begins-suspended")
		rt.tenants.Restrict("begins-suspended", tenant.Quota{Suspended: true})
		_, _, err := rt.sandboxes.Enter(rt.t.Context(), client.ObjectKey{Namespace: "begins-suspended", Name: "there"})
		return err
	}},
	{"work on, detached, for a tenant that is suspended", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("suspended")
		ctx := rt.detached("suspended", func() { rt.tenants.Restrict("suspended", tenant.Quota{Suspended: true}) })
		return rt.GetClient().Patch(ctx, configMap("suspended", "there"), labelled())
	}},
	{"read the cache so", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("suspended-reader")
		ctx := rt.detached("suspended-reader", func() { rt.tenants.Restrict("suspended-reader", tenant.Quota{Suspended: true}) })
		return getWidget(ctx, rt.GetClient(), "suspended-reader")
	}},
	{"call the outside so", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("suspended-caller")
		return budget.Admit(rt.detached("suspended-caller", func() { rt.tenants.Restrict("suspended-caller", tenant.Quota{Suspended: true}) }))
	}},
	{"work on, detached, in a namespace that is being deleted", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("terminating")
		ctx := rt.detached("terminating", func() { rt.removeNamespace("terminating") })
		return rt.GetClient().Patch(ctx, configMap("terminating", "there"), labelled())
	}},
	{"work on, detached, in a namespace that is no tenant any more", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("unselected")
		ctx := rt.detached("unselected", func() {
			plane.Patch(rt.t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "unselected"}},
				map[string]any{"metadata": map[string]any{"labels": map[string]any{"tenant": "no"}}})
		})
		return rt.GetClient().Patch(ctx, configMap("unselected", "there"), labelled())
	}},
	{"work on, detached, in the namespace that was made anew under the name", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("anew")
		ctx := rt.detached("anew", func() { rt.removeNamespace("anew") })
		rt.isGone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "anew"}})
		rt.place("anew")
		return rt.GetClient().Patch(ctx, configMap("anew", "there"), labelled())
	}},
	{"go on reading a watch, detached, for a tenant that is suspended", sandbox, func(_ context.Context, rt *operator) error {
		rt.place("watches")
		ctx, _ := rt.in("watches")
		watching, err := clientset(rt).CoreV1().ConfigMaps("watches").Watch(context.WithoutCancel(ctx), metav1.ListOptions{})
		if err != nil {
			return err
		}
		defer watching.Stop()
		rt.tenants.Restrict("watches", tenant.Quota{Suspended: true})
		<-ctx.Done()
		rt.create(configMap("watches", "later"))
		for event := range watching.ResultChan() {
			if told, ok := event.Object.(*corev1.ConfigMap); ok && told.Name == "later" {
				return nil
			}
		}
		return tenant.Over(ctx) // which is why the watch has ended
	}},
}
