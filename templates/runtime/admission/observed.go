package admission

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// observed serves h and observes each request, in the trace that its caller is in. What
// the caller hands on beside the trace stays here.
// It ends with the answer, also where that is given without what makes it.
func observed(operation, path string, h *httpx.Handler) http.Handler {
	o := observe.For(operation, path)
	next, fail := h.Next, h.Fail
	h.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer observe.FromContext(r.Context()).Bound(r.Context())()
		next.ServeHTTP(w, r)
	})
	h.Fail = func(w http.ResponseWriter, r *http.Request, f *httpx.Failure) {
		observe.FromContext(r.Context()).Fail(f)
		fail(w, r, f)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := baggage.ContextWithoutBaggage(otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		ctx, call := o.Begin(ctx)
		outcome := observe.Panicked
		defer func() { call.End(outcome) }()
		h.ServeHTTP(w, r.WithContext(ctx))
		outcome = cause.Judged(call.Failure())
	})
}

// denied is a verdict, which is no fault.
type denied struct{ error }

// OutcomeName implements cause.Namer.
func (denied) OutcomeName() string { return "denied" }

func (d denied) Unwrap() error { return d.error }

// noteDenied tells the observation of a verdict that is still asked for.
func noteDenied(ctx context.Context, verdict error) {
	if ctx.Err() == nil {
		observe.FromContext(ctx).Fail(denied{verdict})
	}
}
