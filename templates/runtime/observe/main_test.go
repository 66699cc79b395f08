package observe_test

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// lead has what is observed traced by p until the test ends.
func lead(t testing.TB, p trace.TracerProvider) {
	t.Helper()
	observe.TraceBy(p)
	t.Cleanup(func() { observe.TraceBy(nil) })
}

// record records every span until the test ends.
func record(t testing.TB) *tracetest.SpanRecorder {
	t.Helper()
	r := tracetest.NewSpanRecorder()
	lead(t, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)))
	return r
}

// only returns the one span there is.
func only(t testing.TB, r *tracetest.SpanRecorder) sdktrace.ReadOnlySpan {
	t.Helper()
	if n := len(r.Ended()); n != 1 {
		t.Fatalf("%d spans have ended, want 1", n)
	}
	return r.Ended()[0]
}

// of returns an attribute of a list as text, "" if it is not there.
func of(attributes []attribute.KeyValue, k string) string {
	i := slices.IndexFunc(attributes, func(a attribute.KeyValue) bool { return string(a.Key) == k })
	if i < 0 {
		return ""
	}
	return attributes[i].Value.String()
}

// counts returns the number of operations on target by outcome.
func counts(t testing.TB, target string) map[string]int {
	t.Helper()
	return runtimetest.Outcomes(t, prometheus.Labels{"target": target})
}
