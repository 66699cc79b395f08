package apicalls_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apicalls"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// tripper answers in the place of an API server.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// send sends a request through an observed transport that ends in f.
func send(ctx context.Context, t *testing.T, method, path string, f tripper) {
	t.Helper()
	cfg, err := apicalls.Config(&rest.Config{Host: "https://api.example/root"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://api.example/root"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := cfg.WrapTransport(f).RoundTrip(r)
	if err == nil {
		_ = response.Body.Close()
	}
}

func answer(code int) tripper {
	return func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.WriteHeader(code)
		return w.Result(), nil
	}
}

func fail(err error) tripper {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// counts returns the number of writes to a resource by outcome.
func counts(t *testing.T, resource string) map[string]int {
	t.Helper()
	return runtimetest.Outcomes(t, prometheus.Labels{"operation": observe.Write, "target": resource})
}

func TestWritesAreCountedByResourceAndOutcome(t *testing.T) {
	const path = "/apis/shop.example/v1/namespaces/a/payments/p"
	for _, f := range []tripper{
		answer(http.StatusOK),
		answer(http.StatusConflict),
		answer(http.StatusTooManyRequests),
		answer(http.StatusGatewayTimeout),
		answer(http.StatusUnprocessableEntity),
		fail(errors.New("connection refused")),
		fail(&fence.RefusedError{Reason: cause.LeadershipLost}),
		fail(&fence.RefusedError{Reason: errors.New("not leading")}),
	} {
		send(t.Context(), t, http.MethodPut, path, f)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, release := context.WithTimeoutCause(t.Context(), time.Second, cause.ReconcileDeadline)
		defer release()
		send(ctx, t, http.MethodPut, path, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
	})
	send(t.Context(), t, http.MethodGet, path, answer(http.StatusOK))
	want := map[string]int{
		"ok": 1, "conflict": 1, "api_throttled": 1, "api_timeout": 1, "error": 2,
		"leadership_lost": 1, "refused": 1, "reconcile_deadline": 1,
	}
	if got := counts(t, "payments.shop.example"); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestRequestsCarryTheTrace(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	observe.TraceBy(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	defer func() {
		observe.TraceBy(nil)
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
	}()
	ctx, span := provider.Tracer("test").Start(t.Context(), "reconcile")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		sent := ""
		send(ctx, t, method, "/api/v1/namespaces/a/pods", func(r *http.Request) (*http.Response, error) {
			sent = r.Header.Get("Traceparent")
			return answer(http.StatusOK)(r)
		})
		if id := span.SpanContext().TraceID().String(); !strings.Contains(sent, id) {
			t.Errorf("%s has Traceparent %q, want trace %s", method, sent, id)
		}
		if own := strings.Contains(sent, span.SpanContext().SpanID().String()); own != (method == http.MethodGet) {
			t.Errorf("%s has Traceparent %q; a write is a span of its own, a read is not", method, sent)
		}
	}
}

func TestTheSpanOfAWriteSaysWhatWasAsked(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	observe.TraceBy(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	defer observe.TraceBy(nil)
	send(t.Context(), t, http.MethodPatch, "/api/v1/namespaces/a/pods/p", answer(http.StatusConflict))
	got := map[string]string{}
	for _, a := range spans.Ended()[0].Attributes() {
		got[string(a.Key)] = a.Value.String()
	}
	for key, want := range map[string]string{
		"http.request.method":       "PATCH",
		"url.path":                  "/root/api/v1/namespaces/a/pods/p",
		"http.response.status_code": "409",
	} {
		if got[key] != want {
			t.Errorf("attribute %s is %q, want %q", key, got[key], want)
		}
	}
}
