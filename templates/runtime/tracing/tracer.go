package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// provider is the SDK's, with tracers that are an [observe.HeadSampler].
type provider struct {
	*sdktrace.TracerProvider
	sampler sdktrace.Sampler // decides by the trace's ID and the parent alone
}

func newProvider(sampler sdktrace.Sampler, options ...sdktrace.TracerProviderOption) *provider {
	options = append(options, sdktrace.WithSampler(sampler), sdktrace.WithIDGenerator(identifiers{}))
	return &provider{sdktrace.NewTracerProvider(options...), sampler}
}

// Tracer implements trace.TracerProvider.
func (p *provider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return &tracer{p.TracerProvider.Tracer(name, options...), p.sampler}
}

var _ observe.HeadSampler = (*tracer)(nil)

type tracer struct {
	trace.Tracer
	sampler sdktrace.Sampler
}

// Sample implements observe.HeadSampler. What it decides is what the SDK decides,
// which is asked again about what is to be kept: of the same trace's ID.
func (t *tracer) Sample(ctx context.Context) (in context.Context, kept bool, dropped trace.SpanContext) {
	parent := trace.SpanContextFromContext(ctx)
	if parent.IsSampled() {
		return ctx, true, dropped
	}
	if parent.HasTraceID() {
		if t.samples(ctx, parent.TraceID()) {
			return ctx, true, dropped
		}
		return ctx, false, parent.WithSpanID(newSpanID()).WithRemote(false)
	}
	id := newTraceID()
	if t.samples(orphan, id) {
		return context.WithValue(ctx, drawnKey{}, &drawn{id: id}), true, dropped
	}
	return ctx, false, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: newSpanID()})
}

// orphan is a context without a parent, for samplers, which look for one and
// for nothing else. To find none once more in a deep context would be dear.
var orphan context.Context = parentless{}

type parentless struct{ context.Context }

// Value implements context.Context.
func (parentless) Value(any) any { return nil }

func (t *tracer) samples(parent context.Context, id trace.TraceID) bool {
	return t.sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: parent, TraceID: id}).Decision != sdktrace.Drop
}

type drawnKey struct{}

// drawn is the ID of a trace that the sampler has decided on, for the SDK's next
// root alone. Only the call that begins that has it not taken.
type drawn struct {
	id    trace.TraceID
	taken bool
}

// identifiers draws IDs at random.
type identifiers struct{}

// NewIDs implements sdktrace.IDGenerator.
func (identifiers) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if d, ok := ctx.Value(drawnKey{}).(*drawn); ok && !d.taken {
		d.taken = true
		return d.id, newSpanID()
	}
	return newTraceID(), newSpanID()
}

// NewSpanID implements sdktrace.IDGenerator.
func (identifiers) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
