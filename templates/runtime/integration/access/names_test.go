//go:build integration

package access_test

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// errCollected says that the garbage collector has taken an object.
var errCollected = errors.New("collected")

// owned returns a config map of the tenant north that says a widget of south owns it, and
// that widget.
func (o *operator) owned(name string) (*corev1.ConfigMap, *runtimetest.Widget) {
	o.t.Helper()
	owner := &runtimetest.Widget{ObjectMeta: meta(south, name)}
	o.create(owner)
	dependent := configMap(north, name)
	dependent.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: runtimetest.GroupVersion.String(), Kind: "Widget", Name: owner.Name, UID: owner.UID,
		Controller: new(true), BlockOwnerDeletion: new(true),
	}}
	return dependent, owner
}

// otherWidget is of the same kind as a Widget, but of another group.
func otherWidget(version, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("other.ctxscaffold.dev/" + version)
	u.SetKind("Widget")
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// withNames are the attempts with names, labels and references that mislead.
var withNames = []attempt{
	{"read an object by no namespace and a name that begins with one", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Get(ctx, client.ObjectKey{Name: south + "/there"}, &runtimetest.Widget{})
	}},
	{"read it so by the cache itself", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetCache().Get(ctx, client.ObjectKey{Name: south + "/there"}, &runtimetest.Widget{})
	}},
	{"read it so at the API server", clientGo, func(ctx context.Context, rt *operator) error {
		return rt.GetAPIReader().Get(ctx, client.ObjectKey{Name: south + "/there"}, &runtimetest.Widget{})
	}},
	{"leave one's namespace by a name with dots", clientGo, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().Delete(ctx, configMap(north, "../../"+south+"/configmaps/there"))
	}},
	{"reach an object whose namespace and name join to the same text", reader, func(_ context.Context, rt *operator) error {
		rt.place("a")
		rt.place("a-b")
		rt.create(&runtimetest.Widget{ObjectMeta: meta("a", "b-c")}, &runtimetest.Widget{ObjectMeta: meta("a-b", "c")})
		ctx, _ := rt.in("a")
		return rt.GetClient().Get(ctx, client.ObjectKey{Namespace: "a-b", Name: "c"}, &runtimetest.Widget{})
	}},
	{"reach a namespace whose name begins with the tenant's", transport, func(_ context.Context, rt *operator) error {
		rt.place("prefix")
		rt.place("prefix-2")
		ctx, _ := rt.in("prefix")
		return rt.GetClient().Patch(ctx, configMap("prefix-2", "there"), labelled())
	}},
	{"claim another tenant by the labels of an object", reader, func(_ context.Context, rt *operator) error {
		w := &runtimetest.Widget{ObjectMeta: meta(north, "claims")}
		w.Labels = map[string]string{"tenant": "yes", "kubernetes.io/metadata.name": south, "namespace": south}
		rt.create(w)
		return rt.pass(w, func(ctx context.Context, _ *runtimetest.Widget) error {
			return getWidget(ctx, rt.GetClient(), south)
		})
	}},
	{"list another tenant's objects by a label that both have", reader, func(ctx context.Context, rt *operator) error {
		return rt.GetClient().List(ctx, &runtimetest.WidgetList{}, client.MatchingLabels{"app": "shop"})
	}},
	{"wake another tenant's object by an owner reference", collector, func(ctx context.Context, rt *operator) error {
		dependent, owner := rt.owned("wakes")
		cluster.Eventually(rt.t, "the pass over what was made", func() string {
			if rt.user.of(owner) == 0 {
				return "none"
			}
			return ""
		})
		before := rt.user.of(owner)
		if err := rt.GetClient().Create(ctx, dependent); err != nil {
			return err
		}
		rt.isGone(dependent)
		if rt.user.of(owner) != before {
			return errors.New("it was woken")
		}
		return errCollected
	}},
}

// withNamesByAccount are the same where requests are the tenant's account's, which has the
// operator's own kinds from its cache, and no others.
var withNamesByAccount = []attempt{
	{"read a kind of another group that has the name of the operator's own", rbac, func(ctx context.Context, rt *operator) error {
		w := otherWidget("v1", north, "foreign")
		rt.create(w)
		return rt.GetClient().Get(ctx, client.ObjectKeyFromObject(w), w)
	}},
}
