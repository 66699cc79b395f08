package observe

import (
	"context"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// HeadSampler is implemented by tracers that know before a span begins whether it
// is to be kept. Most are not, and these then cost a part of what they cost
// through Start.
type HeadSampler interface {
	// Sample reports whether the span of what begins under ctx is to be kept. Then in
	// is the context to start it in, else dropped is its span context.
	Sample(ctx context.Context) (in context.Context, kept bool, dropped trace.SpanContext)
}

// unsampledScope is the scope of an operation whose span nobody keeps, and that
// span. One type for all spares the allocations.
type unsampledScope struct {
	scope
	span unsampled
}

// Value implements context.Context.
func (s *unsampledScope) Value(k any) any {
	if k == spanKey {
		return &s.span
	}
	return s.scope.Value(k)
}

// spanKey is the key of the span in a context. OpenTelemetry keeps it to itself,
// but asks contexts for it.
var spanKey = func() any {
	asked := &keyProbe{}
	trace.SpanFromContext(asked)
	return asked.key
}()

// keyProbe is a context that notes the key it is asked for. It is asked for nothing
// else.
type keyProbe struct {
	context.Context
	key any
}

// Value implements context.Context.
func (p *keyProbe) Value(k any) any {
	p.key = k
	return nil
}

// unsampled is a span that nobody keeps. It hands its trace on.
type unsampled struct {
	*noop.Span // inert, by reference because it is large
	tracer     *tracer
	context    trace.SpanContext
}

var inert noop.Span

// SpanContext implements trace.Span.
func (s *unsampled) SpanContext() trace.SpanContext { return s.context }

// TracerProvider implements trace.Span.
func (s *unsampled) TracerProvider() trace.TracerProvider { return s.tracer.provider }
