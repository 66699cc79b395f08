package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// keeper keeps the bounds of tenants in force and tells how they are used. A pass is
// about one tenant and is named after it, whether it has a TenantQuota or not.
type keeper struct {
	rules
	name     string      // of the v1.ResourceQuotas, and of their field manager
	quotas   cache.Cache // of them alone
	client   client.Client
	live     client.Reader // of what is stored
	recorder recorder.EventRecorder
}

// patience is how long a tenant is waited for, or a count. Events come sooner.
const patience = 10 * time.Minute

// tenancy is what a pass finds.
type tenancy struct {
	absent string // why there is no such tenant, empty if there is
	bounds Bounds
	stored *corev1.ResourceQuota // nil if there is none
	usage
}

// ReconcileKind implements reconciler.Interface, for tenants with a TenantQuota.
func (k *keeper) ReconcileKind(ctx context.Context, own *TenantQuota) error {
	t, err := k.look(ctx, own.Name)
	if err != nil {
		return err
	}
	k.report(own, t)
	if err := k.store(ctx, own.Name, t); err != nil {
		return err
	}
	switch missing := t.missing(); {
	case t.absent != "":
		return requeue.Pending(patience, ReasonNoTenant, t.absent)
	case len(missing) > 0:
		return requeue.Pending(patience, ReasonNotCounted,
			"the API server's quota controller has not counted "+strings.Join(missing, ", ")+" yet")
	case len(t.hard) > 0 && !ready(own):
		return k.seen(ctx, own.Name, t.stored)
	}
	return nil
}

// ready reports whether the bounds of a tenant are said to be in force.
func ready(own *TenantQuota) bool {
	c := apimeta.FindStatusCondition(own.Status.Conditions, reconciler.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == own.Generation
}

// ObserveKind implements reconciler.Observer: limits hold also where this replica does
// not lead, so that they do when it leads.
func (k *keeper) ObserveKind(ctx context.Context, own *TenantQuota) error {
	return k.observe(ctx, own.Name)
}

// observe is a pass that writes nothing.
func (k *keeper) observe(ctx context.Context, name string) error {
	_, err := k.look(ctx, name)
	return err
}

// keep is a pass over a tenant without a TenantQuota.
func (k *keeper) keep(ctx context.Context, name string) error {
	t, err := k.look(ctx, name)
	if err != nil {
		return err
	}
	return k.store(ctx, name, t)
}

// unowned is the innermost link: pass is done over tenants without a TenantQuota, of
// which the reconciler of that kind knows nothing.
func (k *keeper) unowned(pass func(ctx context.Context, name string) error) chain.Link {
	return func(next chain.Func) chain.Func {
		return func(ctx context.Context, req reconcile.Request) error {
			own, err := k.own(ctx, req.Name)
			if own != nil {
				return next(ctx, req)
			}
			if err == nil {
				err = pass(ctx, req.Name)
			}
			o := cause.Classify(ctx, err)
			if o.Ended && o.Interrupted() {
				return chain.CutShort(o.Err)
			}
			return o.Err
		}
	}
}

// look puts the limits of a tenant in force and finds out what it has.
func (k *keeper) look(ctx context.Context, name string) (tenancy, error) {
	namespace, err := k.namespace(ctx, name)
	if err != nil {
		return tenancy{}, err
	}
	bounds, err := k.enforce(ctx, name, namespace)
	if err != nil {
		return tenancy{}, err
	}
	stored, err := k.stored(ctx, name)
	if err != nil {
		return tenancy{}, err
	}
	if absent := k.absent(name, namespace); absent != "" {
		shown.forget(name)
		return tenancy{absent: absent, stored: stored}, nil
	}
	t := tenancy{bounds: bounds, stored: stored, usage: measure(bounds, stored)}
	shown.show(name, t.usage)
	return t, nil
}

// namespace returns the metadata of a namespace, nil if it is not there.
func (k *keeper) namespace(ctx context.Context, name string) (metav1.Object, error) {
	namespace := tenant.NamespaceMetadata()
	err := k.cache.Get(ctx, client.ObjectKey{Name: name}, namespace)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("namespace: %w", err)
	}
	return namespace, nil
}

// absent says why there is no such tenant.
func (k *keeper) absent(name string, namespace metav1.Object) string {
	switch {
	case namespace == nil:
		return "there is no namespace " + name
	case !namespace.GetDeletionTimestamp().IsZero():
		return "namespace " + name + " is being deleted"
	case !k.tenants.Selects(namespace):
		return "namespace " + name + " is no tenant"
	}
	return ""
}

// stored returns the tenant's v1.ResourceQuota, nil if there is none.
func (k *keeper) stored(ctx context.Context, namespace string) (*corev1.ResourceQuota, error) {
	if only := k.tenants.Only(); only != nil && !slices.Contains(only, namespace) {
		return nil, nil // rights may not reach there
	}
	return find(ctx, k.quotas, namespace, k.name)
}

// report puts what was found into the status, and tells of a change of what is left.
func (k *keeper) report(own *TenantQuota, t tenancy) {
	now := t.condition()
	if t.absent != "" {
		now = metav1.Condition{Type: ConditionWithinQuota, Status: metav1.ConditionUnknown, Reason: ReasonNoTenant, Message: t.absent}
	}
	now.ObservedGeneration = own.Generation
	before := apimeta.FindStatusCondition(own.Status.Conditions, ConditionWithinQuota)
	if now.Status != metav1.ConditionUnknown && (before == nil || before.Reason != now.Reason) {
		kind := corev1.EventTypeWarning
		if now.Status == metav1.ConditionTrue {
			kind = corev1.EventTypeNormal
		}
		k.recorder.Eventf(own, nil, kind, now.Reason, "Count", "%s", now.Message)
	}
	apimeta.SetStatusCondition(&own.Status.Conditions, now)
	own.Status.Hard, own.Status.Used = t.hard, t.used
}
