package tracing_test

import (
	"context"
	"crypto/rand"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tracing"
)

// sampling starts a tracer with a sampler, and a receiver for what it sends.
func sampling(t *testing.T, sampler, argument string) {
	t.Helper()
	listen(t, "http/protobuf")
	t.Setenv("OTEL_TRACES_SAMPLER", sampler)
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", argument)
	stop, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// begin begins an observation that ends with the test.
func begin(ctx context.Context, t *testing.T) (context.Context, trace.SpanContext) {
	t.Helper()
	ctx, call := observe.For(observe.External, "bank").Begin(ctx)
	t.Cleanup(func() { call.End(cause.Judged(nil)) })
	return ctx, trace.SpanContextFromContext(ctx)
}

// parent returns the span context of a caller.
func parent(t *testing.T, flags trace.TraceFlags, remote bool) trace.SpanContext {
	t.Helper()
	state, err := trace.ParseTraceState("shop=1")
	if err != nil {
		t.Fatal(err)
	}
	c := trace.SpanContextConfig{TraceFlags: flags, TraceState: state, Remote: remote}
	_, _ = rand.Read(c.TraceID[:])
	_, _ = rand.Read(c.SpanID[:])
	return trace.NewSpanContext(c)
}

// TestItSamplesAsTheSDKDoes begins operations under every sort of parent and asks
// the SDK, which reads the same environment, for its decision.
func TestItSamplesAsTheSDKDoes(t *testing.T) {
	for _, sampler := range []string{
		"", "always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", " TraceIDRatio ",
	} {
		for _, argument := range []string{"", "0", "0.5", "1"} {
			t.Run(sampler+" "+argument, func(t *testing.T) {
				sampling(t, sampler, argument)
				sdk := sdktrace.NewTracerProvider().Tracer("test")
				decided := func(ctx context.Context, of string) {
					_, span := sdk.Start(ctx, "call")
					if _, got := begin(ctx, t); got.IsSampled() != span.SpanContext().IsSampled() {
						t.Errorf("sampled %s: %t, but the SDK's decision is %t", of, got.IsSampled(), !got.IsSampled())
					}
				}
				if argument != "0.5" {
					decided(t.Context(), "root")
				}
				for range 20 {
					for _, flags := range []trace.TraceFlags{0, trace.FlagsSampled} {
						decided(trace.ContextWithSpanContext(t.Context(), parent(t, flags, false)), "child")
						decided(trace.ContextWithSpanContext(t.Context(), parent(t, flags, true)), "child of a remote span")
					}
				}
			})
		}
	}
}

func TestTheShareOfRootsIsTheRatio(t *testing.T) {
	sampling(t, "traceidratio", "0.5")
	const roots = 2000
	sampler, sampled := sdktrace.TraceIDRatioBased(0.5), 0
	for range roots {
		_, sc := begin(t.Context(), t)
		decision := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: sc.TraceID()}).Decision
		if got := sc.IsSampled(); got != (decision == sdktrace.RecordAndSample) {
			t.Errorf("the root of trace %s is sampled: %t", sc.TraceID(), got)
		}
		if sc.IsSampled() {
			sampled++
		}
	}
	// Six standard deviations. If the SDK drew again, it were a quarter of them.
	if sampled < 866 || sampled > 1134 {
		t.Errorf("%d of %d roots are sampled, want half of them", sampled, roots)
	}
}

func TestWhatIsNotSampledHandsItsTraceOn(t *testing.T) {
	sampling(t, "always_off", "")
	caller := parent(t, 0, true)
	ctx, sc := begin(trace.ContextWithRemoteSpanContext(t.Context(), caller), t)
	if sc.TraceID() != caller.TraceID() || sc.SpanID() == caller.SpanID() || !sc.SpanID().IsValid() || sc.IsRemote() ||
		sc.TraceState().String() != "shop=1" {
		t.Errorf("under %v there is %v, want a span of its own in the same trace", caller, sc)
	}
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	if want := "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-00"; carrier["traceparent"] != want {
		t.Errorf("the trace is handed on as %q, want %q", carrier["traceparent"], want)
	}
	for name, provider := range map[string]trace.TracerProvider{
		"the context's": trace.SpanFromContext(ctx).TracerProvider(), "the process's": otel.GetTracerProvider(),
	} {
		inner, span := provider.Tracer("test").Start(ctx, "inner")
		if span.SpanContext().TraceID() != sc.TraceID() || span.SpanContext().SpanID() == sc.SpanID() {
			t.Errorf("a span by %s tracer is not in the trace, or none of its own", name)
		}
		if _, below := begin(inner, t); below.TraceID() != sc.TraceID() || below.SpanID() == span.SpanContext().SpanID() {
			t.Error("an operation in a span of that has not this trace, or no span of its own")
		}
	}
	_, first := begin(t.Context(), t)
	_, second := begin(t.Context(), t)
	if !first.IsValid() || first.TraceID() == second.TraceID() {
		t.Errorf("roots are of traces %s and %s, want two", first.TraceID(), second.TraceID())
	}
}

func TestANewRootHasATraceOfItsOwn(t *testing.T) {
	sampling(t, "always_on", "")
	ctx, sc := begin(t.Context(), t)
	_, root := otel.Tracer("test").Start(ctx, "root", trace.WithNewRoot())
	if root.SpanContext().TraceID() == sc.TraceID() {
		t.Error("a new root is in the trace it is begun in")
	}
}
