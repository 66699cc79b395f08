// Package paymentsync keeps PaymentSync objects in step with the provider that
// carries the payment out. This file is yours.
package paymentsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	paymentsv1 "example.com/payment-sync/api/payments/v1"
	"example.com/payment-sync/internal/provider"
	"example.com/payment-sync/internal/runtime/budget"
	"example.com/payment-sync/internal/runtime/manager"
	"example.com/payment-sync/internal/runtime/outbound"
	"example.com/payment-sync/internal/runtime/requeue"
)

// questions are how the provider is asked: a fault that passes is tried again
// within the budget of a question, which ends before the reconcile does.
var questions = outbound.Settings{
	Call: budget.Operation{
		Name:    "ask the provider",
		Timeout: 5 * time.Second,
		Attempt: 2 * time.Second,
		Backoff: budget.Backoff{Attempts: 5, Base: 100 * time.Millisecond, Max: time.Second},
	},
	MaxAnswer: 64 << 10,
}

// defaultEndpoint is asked for payments that name no other.
const defaultEndpoint = "http://payments.example.com"

var errRefused = errors.New("the provider refused the payment")

// Reconciler does the work for PaymentSync objects.
type Reconciler struct {
	provider *http.Client
}

// New makes the Reconciler when the operator starts.
func New(*manager.Runtime) (*Reconciler, error) {
	client, err := provider.Client(questions)
	if err != nil {
		return nil, err
	}
	return &Reconciler{client}, nil
}

// ConfigureOptions lets some payments wait for their provider while others go on,
// where nothing else has said how many may.
func (r *Reconciler) ConfigureOptions(o *controller.Options) {
	if o.MaxConcurrentReconciles == 0 {
		o.MaxConcurrentReconciles = 8
	}
}

// ReconcileKind asks the provider for the state of the payment until that is
// final. Faults of the network are tried again, first within the budget of the
// question and then with the work queue's backoff. A refusal is final: it is no
// fault, and nothing tries it again.
func (r *Reconciler) ReconcileKind(ctx context.Context, obj *PaymentSync) error {
	if obj.Status.State == nil || *obj.Status.State == paymentsv1.PaymentSyncStatusStatePending {
		if err := r.ask(ctx, obj); err != nil {
			return err
		}
	}
	switch *obj.Status.State {
	case paymentsv1.PaymentSyncStatusStateSettled:
		return nil
	case paymentsv1.PaymentSyncStatusStateRefused:
		return requeue.Terminal(requeue.Because("PaymentRefused", errRefused))
	default:
		return requeue.Pending(interval(obj), "PaymentOpen", "the provider has not settled the payment yet")
	}
}

// ask puts the provider's answer into the status.
func (r *Reconciler) ask(ctx context.Context, obj *PaymentSync) error {
	ctx, attempts := outbound.Counting(ctx)
	state, err := r.fetch(ctx, obj)
	obj.Status.Attempts = new(attempts.Load())
	if err != nil {
		return requeue.Because("ProviderUnavailable", err)
	}
	now := metav1.Now()
	obj.Status.State, obj.Status.LastSyncTime = &state, &now
	return nil
}

// fetch asks for the state of the payment.
func (r *Reconciler) fetch(ctx context.Context, obj *PaymentSync) (paymentsv1.PaymentSyncStatusState, error) {
	endpoint := defaultEndpoint
	if obj.Spec.Endpoint != nil {
		endpoint = *obj.Spec.Endpoint
	}
	address, err := url.JoinPath(endpoint, "payments", obj.Spec.PaymentID)
	if err != nil {
		return "", requeue.Terminal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", requeue.Terminal(err)
	}
	response, err := r.provider.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the provider answers %s", response.Status)
	}
	var answer struct {
		State paymentsv1.PaymentSyncStatusState `json:"state"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("read the provider's answer: %w", err)
	}
	return answer.State, nil
}

// interval is the time from one question to the next while the payment is open.
func interval(obj *PaymentSync) time.Duration {
	if obj.Spec.Interval != nil {
		if d, err := time.ParseDuration(*obj.Spec.Interval); err == nil {
			return d
		}
	}
	return 30 * time.Second
}
