package paymentsync

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	paymentsv1 "example.com/payment-sync/api/payments/v1"
	"example.com/payment-sync/internal/runtime/outbound"
	"example.com/payment-sync/internal/runtime/requeue"
)

// stub answers in process, so that a synctest bubble holds all of it.
type stub func(w http.ResponseWriter, r *http.Request)

func (p stub) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	p(recorder, r)
	return recorder.Result(), r.Context().Err()
}

// asking returns a Reconciler that asks s as it would ask the provider.
func asking(t *testing.T, s stub) *Reconciler {
	t.Helper()
	settings := questions
	settings.Transport = s
	client, err := outbound.HTTP(settings)
	if err != nil {
		t.Fatal(err)
	}
	return &Reconciler{client}
}

func open() *PaymentSync {
	return &PaymentSync{
		Spec:   paymentsv1.PaymentSyncSpec{PaymentID: "payment-1"},
		Status: &paymentsv1.PaymentSyncStatus{},
	}
}

func TestReconcileKind(t *testing.T) {
	answers := func(state string) stub {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"state":"` + state + `"}`)) }
	}
	unavailable := func(times int) stub {
		return func(w http.ResponseWriter, r *http.Request) {
			if times--; times >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			answers("Settled")(w, r)
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

	cases := map[string]struct {
		provider stub
		attempts int32
		want     func(error) bool
	}{
		"settled":        {answers("Settled"), 1, func(err error) bool { return err == nil }},
		"refused":        {answers("Refused"), 1, requeue.IsTerminal},
		"open":           {answers("Pending"), 1, func(err error) bool { _, ok := errors.AsType[*requeue.Later](err); return ok }},
		"busy for a bit": {unavailable(3), 4, func(err error) bool { return err == nil }},
		"busy":           {unavailable(99), 5, func(err error) bool { return err != nil && !requeue.IsTerminal(err) }},
		"silent":         {silent, 3, func(err error) bool { return err != nil && !requeue.IsTerminal(err) }},
		"not found": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, 1,
			func(err error) bool { return err != nil && !requeue.IsTerminal(err) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := asking(t, c.provider)
				obj := open()
				if err := r.ReconcileKind(t.Context(), obj); !c.want(err) {
					t.Errorf("ReconcileKind() = %v", err)
				}
				if got := *obj.Status.Attempts; got != c.attempts {
					t.Errorf("the provider was asked %d times, want %d", got, c.attempts)
				}
			})
		})
	}
}

func TestFinalStatesAreNotAskedFor(t *testing.T) {
	r := asking(t, func(http.ResponseWriter, *http.Request) { t.Error("the provider was asked") })
	for state, terminal := range map[paymentsv1.PaymentSyncStatusState]bool{
		paymentsv1.PaymentSyncStatusStateSettled: false,
		paymentsv1.PaymentSyncStatusStateRefused: true,
	} {
		obj := open()
		obj.Status.State = &state
		if err := r.ReconcileKind(t.Context(), obj); errors.Is(err, reconcile.TerminalError(nil)) != terminal {
			t.Errorf("ReconcileKind() of a payment that is %s = %v", state, err)
		}
	}
}
