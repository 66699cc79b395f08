package provision

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// controller is the name of the controller. No kind has it: theirs have no hyphen.
const controller = "tenant-provision"

// Setup has rt keep in the namespaces of tenants what the settings say. It is called once,
// before rt runs. Of which says which namespaces tenants are. Where nothing is to be kept,
// nothing is watched either.
func (s Settings) Setup(rt *manager.Runtime, tenants *tenant.Set, which tenant.Settings) error {
	if !s.RBAC && !s.NetworkPolicy {
		return nil
	}
	home, err := s.home(rt.Settings(), which)
	if err != nil {
		return err
	}
	only, err := which.Only()
	if err != nil {
		return err
	}
	objects, err := rt.CacheOf(s.Name, only)
	if err != nil {
		return err
	}
	k := &keeper{name: s.Name, parts: s.parts(home), only: only, objects: objects, client: rt.GetClient(), tenants: tenants}
	loop, err := reconciler.New(rt, reconciler.Kind[*metav1.PartialObjectMetadata]{
		Name: controller, New: tenant.NamespaceMetadata, Workers: tenants.Workers(),
	}, k)
	if err != nil {
		return err
	}
	sources := []source.Source{rt.Gains(tenant.NamespaceMetadataList()), tenants.Turns()}
	for _, p := range k.parts {
		sources = append(sources, source.Kind(objects, p.empty, handler.EnqueueRequestsFromMapFunc(itsNamespace)))
	}
	return loop.Register(rt, chain.Wrap(loop.Reconcile,
		rt.Election().Gate(chain.Wrap(loop.Observe, chain.Observed(observe.Observe, controller))),
		chain.Observed(observe.Reconcile, controller),
		loop.Budget,
		chain.Timed,
	), sources...)
}

// itsNamespace maps an object to its namespace.
func itsNamespace(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: o.GetNamespace()}}}
}
