package quota

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// Names of the controllers. No kind has them: theirs have no hyphen.
const (
	tenantQuotas   = "tenant-quota"
	quotaTemplates = "quota-template"
)

// Setup has rt keep the bounds of tenants as the custom resources of a group say. It is
// called once, before rt runs. The scheme of rt has the types already, by [AddToScheme].
func Setup(rt *manager.Runtime, tenants *tenant.Set, group string) error {
	stored, err := rt.CacheOf(Name(group), tenants.Only())
	if err != nil {
		return err
	}
	k := &keeper{
		rules: rules{cache: rt.GetClient(), tenants: tenants}, name: Name(group), quotas: stored,
		client: rt.GetClient(), live: rt.GetAPIReader(), recorder: rt.GetEventRecorder(tenantQuotas),
	}
	tenants.Expect(k.expect)
	if err := setUpTenantQuotas(rt, k); err != nil {
		return err
	}
	return setUpQuotaTemplates(rt)
}

// Name is the name of the v1.ResourceQuota that is kept in a tenant's namespace.
func Name(group string) string { return tenant.BoundsPrefix + group }

// probeSuffix ends the name of the one that is asked for, and never made, to see whether
// the first is enforced.
const probeSuffix = ".probe"

func setUpTenantQuotas(rt *manager.Runtime, k *keeper) error {
	loop, err := reconciler.New(rt, reconciler.Kind[*TenantQuota]{
		Name:                  tenantQuotas,
		New:                   func() *TenantQuota { return &TenantQuota{} },
		Status:                func(q *TenantQuota) any { return &q.Status },
		StatusSubresource:     true,
		Conditions:            func(q *TenantQuota) *[]metav1.Condition { return &q.Status.Conditions },
		SetObservedGeneration: func(q *TenantQuota, generation int64) { q.Status.ObservedGeneration = generation },
		Workers:               k.tenants.Workers(),
	}, k)
	if err != nil {
		return err
	}
	return register(rt, loop, tenantQuotas, []source.Source{
		rt.Gains(&TenantQuotaList{}), rt.Gains(tenant.NamespaceMetadataList()),
		source.Kind(k.quotas, client.Object(&corev1.ResourceQuota{}), handler.EnqueueRequestsFromMapFunc(itsTenant)),
	}, k.unowned(k.observe), k.unowned(k.keep))
}

func setUpQuotaTemplates(rt *manager.Runtime) error {
	loop, err := reconciler.New(rt, reconciler.Kind[*Template]{
		Name:                  quotaTemplates,
		New:                   func() *Template { return &Template{} },
		Status:                func(t *Template) any { return &t.Status },
		StatusSubresource:     true,
		Conditions:            func(t *Template) *[]metav1.Condition { return &t.Status.Conditions },
		SetObservedGeneration: func(t *Template, generation int64) { t.Status.ObservedGeneration = generation },
	}, templates{})
	if err != nil {
		return err
	}
	return register(rt, loop, quotaTemplates, []source.Source{rt.Gains(&TemplateList{})}, unchanged, unchanged)
}

// unchanged is a link that changes nothing.
func unchanged(next chain.Func) chain.Func { return next }

// register adds a controller with the links of every kind's chain; observing and
// reconciling are the innermost ones of the two modes.
func register[T client.Object](rt *manager.Runtime, loop *reconciler.Loop[T], name string, sources []source.Source, observing, reconciling chain.Link) error {
	return loop.Register(rt, chain.Wrap(loop.Reconcile,
		rt.Election().Gate(chain.Wrap(loop.Observe, chain.Observed(observe.Observe, name), observing)),
		chain.Observed(observe.Reconcile, name),
		loop.Budget,
		chain.Timed,
		reconciling,
	), sources...)
}

// Configure implements reconciler.Configurer: passes are also caused by namespaces and
// templates. Those that only the status of a TenantQuota causes are not left out: one may
// have begun before the cache had the status that the one before it wrote, found nothing
// to change, and left a number that is wrong.
func (k *keeper) Configure(b *reconciler.Builder) error {
	b.Watches(&TenantQuota{}, &handler.EnqueueRequestForObject{}).
		WatchesMetadata(&corev1.Namespace{}, &handler.EnqueueRequestForObject{}).
		Watches(&Template{}, handler.EnqueueRequestsFromMapFunc(k.everyNamespace), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	return nil
}

// itsTenant maps a ResourceQuota of ours to its tenant.
func itsTenant(_ context.Context, quota client.Object) []reconcile.Request {
	return []reconcile.Request{request(quota.GetNamespace())}
}

// everyNamespace maps a template to all namespaces, which it selects or did.
func (k *keeper) everyNamespace(ctx context.Context, _ client.Object) []reconcile.Request {
	list := tenant.NamespaceMetadataList()
	if err := k.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Namespaces of a quota template cannot be read")
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i] = request(list.Items[i].Name)
	}
	return requests
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}
