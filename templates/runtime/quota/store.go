package quota

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// store keeps the v1.ResourceQuota of a tenant as its bounds say. Bounds of others in it
// stay. There is none where nothing is counted, and where there is no tenant.
func (k *keeper) store(ctx context.Context, namespace string, t tenancy) error {
	hard := t.bounds.hard()
	switch {
	case len(hard) == 0:
		return k.remove(ctx, t.stored)
	case t.stored == nil:
	case scoped(t.stored): // which cannot be changed
		if err := k.remove(ctx, t.stored); err != nil {
			return err
		}
	case holds(t.stored, hard):
		return nil
	}
	quota := applycore.ResourceQuota(k.name, namespace).
		WithLabels(map[string]string{"app.kubernetes.io/managed-by": "ctxscaffold"}).
		WithSpec(applycore.ResourceQuotaSpec().WithHard(hard))
	if err := k.client.Apply(ctx, quota, client.FieldOwner(k.name), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply resource quota: %w", err)
	}
	return nil
}

// remove deletes a v1.ResourceQuota, if there is one, and no other of its name.
func (k *keeper) remove(ctx context.Context, stored *corev1.ResourceQuota) error {
	if stored == nil {
		return nil
	}
	err := k.client.Delete(ctx, stored, client.Preconditions{UID: &stored.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete resource quota: %w", err)
	}
	return nil
}

// scoped tells whether a quota counts only some objects, as ours do not.
func scoped(quota *corev1.ResourceQuota) bool {
	return len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil
}

// holds tells whether a quota has all bounds and no older ones of ours.
func holds(quota *corev1.ResourceQuota, hard corev1.ResourceList) bool {
	for name, want := range hard {
		if have, ok := quota.Spec.Hard[name]; !ok || have.Cmp(want) != 0 {
			return false
		}
	}
	return len(quota.Spec.Hard) == len(hard)
}
