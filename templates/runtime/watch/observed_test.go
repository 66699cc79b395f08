package watch_test

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

func TestNamedLoopsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		observe.TraceBy(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
		defer observe.TraceBy(nil)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause.Shutdown)
		defer cancel()
		s := &script{t: t, steps: []step{
			{events: func(w *apiwatch.FakeWatcher) { w.Stop() }},
			{err: apierrors.NewTooManyRequests("slow down", 1)},
			{events: func(*apiwatch.FakeWatcher) {}},
		}}
		if err := (&watch.Loop{Name: "widgets", Source: s, Handler: s}).Start(ctx); err != nil {
			t.Fatal(err)
		}
		outcomes := map[string]int{}
		for _, span := range spans.Ended() {
			for _, a := range span.Attributes() {
				if string(a.Key) == observe.KeyOutcome {
					outcomes[span.Name()+" "+a.Value.String()]++
				}
			}
		}
		want := map[string]int{"watch widgets ok": 1, "watch widgets api_throttled": 1, "watch widgets shutdown": 1}
		if !maps.Equal(outcomes, want) {
			t.Errorf("outcomes %v, want %v", outcomes, want)
		}
	})
}
