package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// soon is after how long the API server is asked again: nothing tells when its cache has
// caught up.
const soon = 200 * time.Millisecond

// probe is what a held quota refuses beside what is bounded: one more ResourceQuota. It can
// be asked for in every namespace, by nearly the rights that the quota itself needs.
var probe = key("resourcequotas")

// store brings the v1.ResourceQuota of a tenant closer to what its bounds say. Bounds of
// others in it stay. There is none where nothing is counted, and where there is no tenant.
//
// New bounds come in two steps. Until admission has a quota in its cache, it neither refuses
// nor counts by it; and whenever bounds change, the quota controller counts from a cache of
// its own, and takes back what has just been created. So the quota is held first: it lets
// nothing be created. It gets its bounds when admission has been seen to refuse: a cache that
// is late is then stricter than the bounds, never laxer.
//
// Each step begins with what is stored, and not before admission has been seen to go by
// that. The steps have the probe in turn, and so a late answer is not taken for one that is
// about this step. Nothing else is remembered: every pass goes on where another ended.
func (k *keeper) store(ctx context.Context, namespace string, t tenancy) error {
	bounds := t.bounds.hard()
	switch {
	case t.stored == nil && len(bounds) == 0:
		return nil
	case t.stored != nil && k.inForce(t.stored, bounds):
		return nil
	}
	stored, err := find(ctx, k.live, namespace, k.name)
	if err != nil {
		return err
	}
	next := held(bounds)
	switch {
	case stored == nil && len(bounds) == 0:
		return nil
	case stored == nil:
	case scoped(stored), len(bounds) == 0 && !k.owns(stored, probe): // a scope cannot be changed
		return k.remove(ctx, stored)
	case k.inForce(stored, bounds): // the cache is behind
		return nil
	case covers(stored.Spec.Hard, next):
		next = bounds
	case k.owns(stored, probe): // for bounds that have changed since
		delete(next, probe)
	}
	if err := k.seen(ctx, namespace, stored); err != nil {
		return err
	}
	if len(bounds) == 0 {
		return k.remove(ctx, stored)
	}
	return k.apply(ctx, namespace, next)
}

// held are the bounds that a quota has before it has others.
func held(bounds corev1.ResourceList) corev1.ResourceList {
	none := corev1.ResourceList{probe: *resource.NewQuantity(0, resource.DecimalSI)}
	for name := range bounds {
		none[name] = none[probe]
	}
	return none
}

// inForce reports whether a quota has these bounds, and no others of ours.
func (k *keeper) inForce(quota *corev1.ResourceQuota, bounds corev1.ResourceList) bool {
	for name := range quota.Spec.Hard {
		if _, wanted := bounds[name]; !wanted && k.owns(quota, name) {
			return false
		}
	}
	return len(bounds) > 0 && !scoped(quota) && covers(quota.Spec.Hard, bounds)
}

// owns reports whether a bound in a quota is ours. Those of others stay.
func (k *keeper) owns(quota *corev1.ResourceQuota, name corev1.ResourceName) bool {
	return slices.ContainsFunc(quota.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == k.name && e.Operation == metav1.ManagedFieldsOperationApply &&
			strings.Contains(e.FieldsV1.GetRawString(), `"f:`+string(name)+`"`)
	})
}

// seen returns nil if admission has been seen to go by a quota, or by none if it is nil.
func (k *keeper) seen(ctx context.Context, namespace string, quota *corev1.ResourceQuota) error {
	if quota != nil && !covers(quota.Status.Hard, quota.Spec.Hard) {
		return requeue.Pending(patience, ReasonNotCounted, "the API server's quota controller has not counted yet")
	}
	refused, err := k.refused(ctx, namespace)
	if err != nil {
		return err
	}
	if refused != (quota != nil && k.owns(quota, probe)) {
		return requeue.Pending(soon, ReasonNotEnforced, "the API server's admission does not go by the quota yet")
	}
	return nil
}

// refused asks admission for the probe, of which nothing is made, and reports whether the
// tenant's quota refuses it. Admission looks at the quotas of a namespace in no order: one
// of somebody else's may hide ours, and the next answer is another.
func (k *keeper) refused(ctx context.Context, namespace string) (bool, error) {
	err := k.client.Apply(ctx, k.managed(k.name+probeSuffix, namespace), client.FieldOwner(k.name), client.DryRunAll)
	switch {
	case err == nil:
		return false, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return true, nil // and all else
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "):
		return strings.Contains(err.Error(), "exceeded quota: "+k.name+","), nil
	}
	return false, fmt.Errorf("ask for a resource quota: %w", err)
}

// apply writes the bounds of a quota.
func (k *keeper) apply(ctx context.Context, namespace string, bounds corev1.ResourceList) error {
	quota := k.managed(k.name, namespace).WithSpec(applycore.ResourceQuotaSpec().WithHard(bounds))
	if err := k.client.Apply(ctx, quota, client.FieldOwner(k.name), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply resource quota: %w", err)
	}
	return nil
}

// managed is a quota of this operator's that bounds nothing.
func (k *keeper) managed(name, namespace string) *applycore.ResourceQuotaApplyConfiguration {
	return applycore.ResourceQuota(name, namespace).WithLabels(map[string]string{"app.kubernetes.io/managed-by": "ctxscaffold"})
}

// find reads a quota, nil if there is none.
func find(ctx context.Context, from client.Reader, namespace, name string) (*corev1.ResourceQuota, error) {
	quota := &corev1.ResourceQuota{}
	err := from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, quota)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("resource quota: %w", err)
	}
	return quota, nil
}

// remove deletes a quota, and no other of its name.
func (k *keeper) remove(ctx context.Context, stored *corev1.ResourceQuota) error {
	err := k.client.Delete(ctx, stored, client.Preconditions{UID: &stored.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete resource quota: %w", err)
	}
	return nil
}

// scoped reports whether a quota counts only some objects, as ours do not.
func scoped(quota *corev1.ResourceQuota) bool {
	return len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil
}

// covers reports whether a list has all that another has.
func covers(list, other corev1.ResourceList) bool {
	for name, want := range other {
		if have, ok := list[name]; !ok || have.Cmp(want) != 0 {
			return false
		}
	}
	return true
}
