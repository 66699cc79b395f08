package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// TestRequestsAreObserved has one request end in each of several ways, all in the
// trace of their caller.
func TestRequestsAreObserved(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	spans := tracetest.NewSpanRecorder()
	observe.TraceBy(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() {
		observe.TraceBy(nil)
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
	})
	s := Settings{MaxTimeout: 50 * time.Millisecond, ConversionTimeout: time.Minute}
	left := make(chan struct{})
	hooks := map[string]func(context.Context){
		"/allowed":     func(context.Context) {},
		"/denied":      func(ctx context.Context) { _ = settle(ctx, errors.New("no")) },
		"/undecided":   func(ctx context.Context) { _ = settle(ctx, Undecided(errors.New("who knows"))) },
		"/late":        func(ctx context.Context) { <-ctx.Done() },
		"/deaf":        func(context.Context) { <-left },
		"/denied-late": func(ctx context.Context) { <-ctx.Done(); _ = settle(ctx, errors.New("no")) },
		ConversionPath: func(context.Context) {},
	}
	server := NewServer(s)
	for path, hook := range hooks {
		server.Register(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hook(r.Context())
			w.WriteHeader(http.StatusOK)
		}))
	}
	for path := range hooks {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://webhook.example"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", parent)
		server.WebhookMux().ServeHTTP(discard{http.Header{}}, r)
	}
	close(left)
	outcomes, events := map[string]string{}, map[string]int{}
	for _, span := range spans.Ended() {
		for _, a := range span.Attributes() {
			if string(a.Key) == observe.KeyOutcome {
				outcomes[span.Name()] = a.Value.String()
			}
		}
		events[span.Name()] = len(span.Events())
		if got := span.Parent().SpanID().String(); got != "b7ad6b7169203331" {
			t.Errorf("%s has parent %s, not its caller's span", span.Name(), got)
		}
	}
	want := map[string]string{
		"admission /allowed":     "ok",
		"admission /denied":      "denied",
		"admission /undecided":   "error",
		"admission /late":        httpx.RequestDeadline.Name(),
		"admission /deaf":        httpx.RequestDeadline.Name(),
		"admission /denied-late": httpx.RequestDeadline.Name(),
		"conversion /convert":    "ok",
	}
	if !maps.Equal(outcomes, want) {
		t.Errorf("outcomes\n%v, want\n%v", outcomes, want)
	}
	if events["admission /late"] != 1 || events["admission /deaf"] != 1 || events["admission /allowed"] != 0 {
		t.Errorf("events %v, want one where time ran out", events)
	}
}

// TestRulesLogTheTraceTheyAreIn: whoever calls them has given ctx a logger that
// knows nothing of it.
func TestRulesLogTheTraceTheyAreIn(t *testing.T) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(tracetest.NewSpanRecorder()))
	ctx, span := provider.Tracer(t.Name()).Start(t.Context(), "request")
	defer span.End()
	var lines []string
	ctx = log.IntoContext(ctx, funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}))
	user, w := &rules{}, &widget{}
	a := &adapter[*widget]{user, user, user, user}
	_ = a.Default(ctx, w)
	_, _ = a.ValidateCreate(ctx, w)
	_, _ = a.ValidateUpdate(ctx, w, w)
	_, _ = a.ValidateDelete(ctx, w)
	if len(lines) != 4 {
		t.Fatalf("the log is %q, want a line of each rule", lines)
	}
	for _, line := range lines {
		if want := fmt.Sprintf(`"traceID"=%q`, span.SpanContext().TraceID()); !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
