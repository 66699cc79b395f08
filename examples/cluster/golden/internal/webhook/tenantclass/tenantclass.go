// Package tenantclass has the admission rules of TenantClass: what defaults and CEL in the
// CRD cannot express. This file is yours.
package tenantclass

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"example.com/cluster/internal/runtime/admission"
	"example.com/cluster/internal/runtime/manager"
)

// Rules are asked before an object is stored. Its methods are optional, and
// package admission lists them all. Their contexts end a little before the API
// server gives up: hand them on to every call.
type Rules struct {
	client client.Client
}

// New makes the Rules when the operator starts.
func New(rt *manager.Runtime) (*Rules, error) {
	return &Rules{client: rt.GetClient()}, nil
}

// Default fills in what was left out of obj. It may see the same object twice.
func (r *Rules) Default(ctx context.Context, obj *TenantClass) error {
	return nil
}

// ValidateCreate judges a new object. An error denies the request; what
// admission.Undecided marks, and a call that ran out of time, leaves the decision
// to failurePolicy.
func (r *Rules) ValidateCreate(ctx context.Context, obj *TenantClass) (admission.Warnings, error) {
	return nil, nil
}

// ValidateUpdate judges a change. It is not asked about an object that is being
// deleted.
func (r *Rules) ValidateUpdate(ctx context.Context, old, obj *TenantClass) (admission.Warnings, error) {
	return nil, nil
}
