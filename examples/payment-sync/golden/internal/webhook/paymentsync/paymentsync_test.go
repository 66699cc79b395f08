package paymentsync

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/payment-sync/internal/provider"
	"example.com/payment-sync/internal/runtime/budget"
)

// answering returns rules and a large payment at a provider that answers by handler.
func answering(t *testing.T, handler http.HandlerFunc) (*Rules, *PaymentSync) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv(provider.NetworksVariable, "127.0.0.0/8")
	rules, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	obj := &PaymentSync{}
	obj.Spec.PaymentID = "payment-1"
	obj.Spec.Amount.Value = consent
	obj.Spec.Endpoint = new(server.URL)
	return rules, obj
}

func TestTheProviderIsAskedAboutLargePayments(t *testing.T) {
	status := http.StatusOK
	rules, obj := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/payments/payment-1" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	})
	if _, err := rules.ValidateCreate(t.Context(), obj); err != nil {
		t.Errorf("a payment that the provider knows: %v", err)
	}
	status = http.StatusNotFound
	if _, err := rules.ValidateCreate(t.Context(), obj); !errors.Is(err, errUnknown) {
		t.Errorf("one that it does not know: %v", err)
	}
	status = http.StatusServiceUnavailable
	if _, err := rules.ValidateCreate(t.Context(), obj); !budget.Retryable(err) {
		t.Errorf("a provider at fault: %v, which would deny", err)
	}
	obj.Spec.Amount.Value = consent - 1
	if _, err := rules.ValidateCreate(t.Context(), obj); err != nil {
		t.Errorf("a small payment: %v", err)
	}
}

func TestTheQuestionEndsWithTheRequest(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	rules, obj := answering(t, func(http.ResponseWriter, *http.Request) { <-over })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := rules.ValidateCreate(ctx, obj); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
}
