package budget_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

func TestNamedOperationsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tracetest.NewSpanRecorder()
		observe.TraceBy(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)))
		defer observe.TraceBy(nil)
		var within []trace.SpanID
		fail := func(ctx context.Context) error {
			within = append(within, trace.SpanContextFromContext(ctx).SpanID())
			<-ctx.Done()
			return errors.New("gave up")
		}
		_ = budget.Operation{Name: "bank", Timeout: time.Second}.Do(t.Context(), fail)
		_ = budget.Operation{Timeout: time.Second}.Do(t.Context(), fail)
		if len(r.Ended()) != 1 {
			t.Fatalf("there are %d spans, want one of the operation with a name", len(r.Ended()))
		}
		span := r.Ended()[0]
		outcome := ""
		for _, a := range span.Attributes() {
			if string(a.Key) == observe.KeyOutcome {
				outcome = a.Value.String()
			}
		}
		if span.Name() != "call bank" || outcome != "operation_deadline" || within[0] != span.SpanContext().SpanID() {
			t.Errorf("span %q came to %q; the work was in span %s, want %s", span.Name(), outcome, within[0], span.SpanContext().SpanID())
		}
	})
}
