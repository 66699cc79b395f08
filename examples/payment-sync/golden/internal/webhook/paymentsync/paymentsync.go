// Package paymentsync has the admission rules of PaymentSync: what defaults and CEL
// in the CRD cannot express. This file is yours.
package paymentsync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"example.com/payment-sync/internal/provider"
	"example.com/payment-sync/internal/runtime/admission"
	"example.com/payment-sync/internal/runtime/budget"
	"example.com/payment-sync/internal/runtime/manager"
	"example.com/payment-sync/internal/runtime/outbound"
)

// consent is the amount, in the currency's smallest unit, from which the provider
// must know of a payment before it is accepted.
const consent = 1_000_000

var errUnknown = errors.New("the provider does not know this payment, and it is too large to be taken on trust")

// Rules are asked before an object is stored.
type Rules struct {
	provider *http.Client
}

// New makes the Rules when the operator starts.
func New(*manager.Runtime) (*Rules, error) {
	// A last resort: the request's own time ends it earlier.
	client, err := provider.Client(outbound.Settings{Call: budget.Operation{Name: "ask the provider", Timeout: 30 * time.Second, Attempt: 30 * time.Second}})
	if err != nil {
		return nil, err
	}
	return &Rules{client}, nil
}

// ValidateCreate asks the provider about large payments. Where it does not answer
// in time nobody has decided, and failurePolicy does.
func (r *Rules) ValidateCreate(ctx context.Context, obj *PaymentSync) (admission.Warnings, error) {
	if obj.Spec.Amount.Value < consent || obj.Spec.Endpoint == nil {
		return nil, nil
	}
	place, err := url.JoinPath(*obj.Spec.Endpoint, "payments", obj.Spec.PaymentID)
	if err != nil {
		return nil, fmt.Errorf("spec.endpoint: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("spec.endpoint: %w", err)
	}
	answer, err := r.provider.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return nil, errUnknown
	case answer.StatusCode >= http.StatusInternalServerError:
		return nil, budget.Transient(fmt.Errorf("the provider answers %s", answer.Status))
	}
	return nil, nil
}
