//go:build integration

package access_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// allowance is what is not refused, and why not.
type allowance struct {
	name, why string
	// try is called in the tenant north and must succeed.
	try func(ctx context.Context, rt *operator) error
}

const untilItIsPut = "until the operator has put a ResourceQuota there; then what was created is counted, and told as `QuotaExceeded`"

// gap creates one object more than none, after opens has done what leaves a tenant without
// its ResourceQuota, and waits until that is told.
func (o *operator) gap(namespace string, opens func()) error {
	o.t.Helper()
	o.gate.Lock()
	reopen := sync.OnceFunc(o.gate.Unlock)
	defer reopen()
	opens()
	ctx, _ := o.in(namespace)
	var err error
	cluster.Eventually(o.t, "the end of the quota", func() string {
		if err = o.GetClient().Create(ctx, one(namespace)); quotas.is(err) {
			return err.Error() // the API server does not know of it yet
		}
		return ""
	})
	reopen()
	cluster.Eventually(o.t, "the word of it", func() string {
		own := &quota.TenantQuota{}
		if err := plane.Client(o.t).Get(o.t.Context(), client.ObjectKey{Name: namespace}, own); err != nil {
			return err.Error()
		}
		within := apimeta.FindStatusCondition(own.Status.Conditions, quota.ConditionWithinQuota)
		if within == nil || within.Reason != quota.ReasonQuotaExceeded {
			return fmt.Sprint(within)
		}
		return ""
	})
	return err
}

// notRefused is what one might expect to be refused.
var notRefused = []allowance{
	{"write an event about an object elsewhere", "a recorder takes no context", func(_ context.Context, rt *operator) error {
		about := widget(south)
		if err := plane.Client(rt.t).Get(rt.t.Context(), client.ObjectKeyFromObject(about), about); err != nil {
			return err
		}
		rt.GetEventRecorder("north").Eventf(about, nil, corev1.EventTypeNormal, "Elsewhere", "Tell", "north was here")
		cluster.Eventually(rt.t, "the event", func() string {
			list := &eventsv1.EventList{}
			if err := plane.Client(rt.t).List(rt.t.Context(), list, client.InNamespace(south)); err != nil {
				return err.Error()
			}
			for _, event := range list.Items {
				if event.Reason == "Elsewhere" {
					return ""
				}
			}
			return "none"
		})
		return nil
	}},
	{"read the cache with a context that has no tenant", "functions that map events have one, and have to list", func(_ context.Context, rt *operator) error {
		return rt.GetClient().List(rt.t.Context(), &runtimetest.WidgetList{})
	}},
	{"read what is in no namespace: the metadata of other namespaces, the TenantQuotas of other tenants", "it belongs to no tenant", func(ctx context.Context, rt *operator) error {
		return errors.Join(
			rt.GetClient().Get(ctx, client.ObjectKey{Name: south}, &corev1.Namespace{}),
			rt.GetClient().List(ctx, &quota.TenantQuotaList{}),
		)
	}},
	{"work for another tenant by the context of a pass for it that is still under way", "a context says whose work it is, and nothing else does", func(_ context.Context, rt *operator) error {
		foreign, _ := rt.in(south)
		return getWidget(foreign, rt.GetClient(), south)
	}},
	{"hold another tenant's object, which is deleted in the foreground, back by an owner reference and a finalizer",
		"the garbage collector waits for it; it takes the UID of the object, which shows only to who may read it", func(ctx context.Context, rt *operator) error {
			dependent, owner := rt.owned("blocks")
			dependent.Finalizers = []string{runtimetest.Finalizer}
			if err := rt.GetClient().Create(ctx, dependent); err != nil {
				return err
			}
			if err := plane.Client(rt.t).Delete(rt.t.Context(), owner, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
				return err
			}
			time.Sleep(time.Second) // in which it would go
			if err := plane.Client(rt.t).Get(rt.t.Context(), client.ObjectKeyFromObject(owner), owner); err != nil {
				return err
			}
			plane.Patch(rt.t, dependent, map[string]any{"metadata": map[string]any{"finalizers": nil}})
			rt.isGone(owner)
			return nil
		}},
	{"create more than the quota in a namespace that has just been made", untilItIsPut, func(_ context.Context, rt *operator) error {
		return rt.gap("just-made", func() {
			plane.MakeNamespace(rt.t, "just-made", "tenant=yes")
			rt.create(ownQuota("just-made", 0))
		})
	}},
	{"the same where somebody who may has deleted the ResourceQuota", untilItIsPut, func(_ context.Context, rt *operator) error {
		rt.bounded("deleted-quota", 0)
		return rt.gap("deleted-quota", func() {
			if err := plane.Client(rt.t).Delete(rt.t.Context(), stored("deleted-quota")); err != nil {
				rt.t.Fatal(err)
			}
		})
	}},
}
