package quota

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// rules decide on the bounds of tenants, from what the cache has.
type rules struct {
	cache   client.Reader
	tenants *tenant.Set

	// mu keeps an older reading of the cache from being put in force after a newer one.
	mu sync.Mutex
}

// enforce puts the limits of a tenant in force and returns all of its bounds. Without a
// namespace, which is nil then, only its TenantQuota counts.
func (r *rules) enforce(ctx context.Context, name string, namespace metav1.Object) (Bounds, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bounds, err := r.of(ctx, name, namespace)
	switch {
	case err != nil:
		return Bounds{}, err
	case bounds == nil:
		r.tenants.Release(name)
		return Bounds{}, nil
	}
	r.tenants.Restrict(name, bounds.quota())
	return *bounds, nil
}

// expect puts the limits of a namespace in force before it is a tenant.
func (r *rules) expect(ctx context.Context, namespace metav1.Object) error {
	_, err := r.enforce(ctx, namespace.GetName(), namespace)
	return err
}

// of returns the bounds of a tenant, nil if nobody has given it any.
func (r *rules) of(ctx context.Context, name string, namespace metav1.Object) (*Bounds, error) {
	own, err := r.own(ctx, name)
	if err != nil {
		return nil, err
	}
	if own != nil {
		return &own.Spec.Bounds, nil
	}
	if namespace == nil {
		return nil, nil
	}
	list := &TemplateList{}
	if err := r.cache.List(ctx, list); err != nil {
		return nil, fmt.Errorf("quota templates: %w", err)
	}
	if template := choose(list.Items, namespace.GetLabels()); template != nil {
		return &template.Spec.Bounds, nil
	}
	return nil, nil
}

// own returns the TenantQuota of a tenant, nil if it has none. One that is being deleted
// is none: what a finalizer waits for must not keep a tenant bound.
func (r *rules) own(ctx context.Context, name string) (*TenantQuota, error) {
	own := &TenantQuota{}
	err := r.cache.Get(ctx, client.ObjectKey{Name: name}, own)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("tenant quota: %w", err)
	case !own.DeletionTimestamp.IsZero():
		return nil, nil
	}
	return own, nil
}

// choose returns the template that counts for a namespace with these labels, nil if none
// selects it. A selector that cannot be read selects nothing; the template's own
// reconciler says so.
func choose(templates []Template, namespace labels.Set) *Template {
	var chosen *Template
	for i := range templates {
		t := &templates[i]
		selector, err := metav1.LabelSelectorAsSelector(&t.Spec.NamespaceSelector)
		if err != nil || !t.DeletionTimestamp.IsZero() || !selector.Matches(namespace) {
			continue
		}
		if chosen == nil || t.before(chosen) {
			chosen = t
		}
	}
	return chosen
}

// before reports whether t counts rather than other.
func (t *Template) before(other *Template) bool {
	if t.Spec.Priority != other.Spec.Priority {
		return t.Spec.Priority > other.Spec.Priority
	}
	return t.Name < other.Name
}

// quota is what package tenant keeps of the bounds.
func (b Bounds) quota() tenant.Quota {
	return tenant.Quota{
		Suspended: b.Suspended,
		Limits: tenant.Limits{
			Concurrency: int(b.Limits.Concurrency),
			Rate:        b.Limits.ReconcilesPerSecond.AsApproximateFloat64(),
			Budget:      b.Limits.Budget.Duration,
			Calls:       b.Limits.CallsPerSecond.AsApproximateFloat64(),
		},
	}
}
