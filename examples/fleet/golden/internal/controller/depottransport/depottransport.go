// Package depottransport reconciles Depot objects. This file is yours.
package depottransport

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"example.com/fleet/internal/runtime/manager"
)

// Reconciler does the work for Depot objects. Give it a method FinalizeKind to
// clean up when an object is deleted: ReconcileKind is not called then, so it must
// keep no finalizer by hand. Every is to look at objects regularly, ObserveKind to
// look at them while another replica leads, Configure to watch what it owns: package
// reconciler lists all it can have. A method of such a name with another signature
// is refused when the operator starts.
type Reconciler struct {
	client client.Client
}

// New makes the Reconciler when the operator starts.
func New(rt *manager.Runtime) (*Reconciler, error) {
	return &Reconciler{client: rt.GetClient()}, nil
}

// ReconcileKind brings the world into the state that obj asks for. What it
// changes in the status is written when it returns, even if it fails; what its
// error may say is in package requeue. It must return soon after ctx ends. Only
// the leader gets here, and the client it has stops writing when it no longer
// leads; before a side effect elsewhere, such as a payment, call leader.Join.
func (r *Reconciler) ReconcileKind(ctx context.Context, obj *Depot) error {
	log.FromContext(ctx).V(1).Info("Nothing to do yet", "generation", obj.GetGeneration())
	return nil
}
