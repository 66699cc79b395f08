package observe

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Attributes of spans.
const (
	KeyOperation   = "operation"
	KeyTarget      = "target"
	KeyNamespace   = "k8s.namespace.name"
	KeyObject      = "k8s.object.name"
	KeyReconcileID = "reconcile.id"
	KeyAttempt     = "reconcile.attempt" // 1 more than failures in a row before
	KeyLink        = "link.reason"       // of a link: what the other span is
	KeyOutcome     = "ctx.outcome"
	KeyDeadline    = "ctx.deadline" // RFC 3339, in UTC
	KeyCause       = "ctx.cause"    // name of what ended the operation
	KeyExpired     = "ctx.expired"  // whether time ran out

	// EventEnded is the event at the moment at which the context ended, with
	// KeyCause and KeyExpired.
	EventEnded = "context ended"
)

// tracer makes spans.
type tracer struct {
	trace.Tracer
	sampler  HeadSampler // nil if it is asked by Start alone
	provider trace.TracerProvider
}

// traced is the tracer there is, nil if there is none.
var traced atomic.Pointer[tracer]

// TraceBy has what begins from now on traced by provider, by nobody if that is
// nil. Without it an observation is no more than metrics. What a tracer of
// provider that is a [HeadSampler] drops never reaches Start.
func TraceBy(provider trace.TracerProvider) {
	if provider == nil {
		traced.Store(nil)
		return
	}
	t := &tracer{Tracer: provider.Tracer("operator/observe"), provider: provider}
	t.sampler, _ = t.Tracer.(HeadSampler)
	traced.Store(t)
}

func spanKind(operation string) trace.SpanKind {
	switch operation {
	case External, Write:
		return trace.SpanKindClient
	case Admission, Conversion:
		return trace.SpanKindServer
	}
	return trace.SpanKindInternal
}

// IntoLog returns a copy of ctx whose logger names the trace that ctx is in, if
// that is recorded.
func IntoLog(ctx context.Context) context.Context {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsSampled() {
		return ctx
	}
	logger := log.FromContext(ctx)
	if logger.IsZero() {
		return ctx
	}
	return log.IntoContext(ctx, logger.WithValues("traceID", sc.TraceID().String(), "spanID", sc.SpanID().String()))
}

// watch adds an event to span when ctx ends. The returned function ends that; it
// does not return before the event of a context that has ended is there.
func watch(ctx context.Context, span trace.Span) (settle func()) {
	note := sync.OnceFunc(func() { noteEnd(ctx, span) })
	stop := context.AfterFunc(ctx, note)
	return func() {
		// A deadline that has passed counts, even if its timer is late.
		deadline, ok := ctx.Deadline()
		if !stop() || ok && !time.Now().Before(deadline) {
			note()
		}
	}
}

func noteEnd(ctx context.Context, span trace.Span) {
	at := time.Now()
	o := cause.Classify(ctx, nil)
	// A deadline that came first was the end, however late this is told.
	if deadline, ok := ctx.Deadline(); ok && o.Expired() && deadline.Before(at) {
		at = deadline
	}
	span.AddEvent(EventEnded, trace.WithTimestamp(at),
		trace.WithAttributes(attribute.String(KeyCause, o.Name), attribute.Bool(KeyExpired, o.Expired())))
}

// conclude writes what an operation came to on its span and ends it. It returns
// what names the span in metrics, nil if nobody keeps the span.
func conclude(span trace.Span, o cause.Outcome, deadline time.Time) (exemplar prometheus.Labels) {
	span.SetAttributes(attribute.String(KeyOutcome, o.Name), attribute.Bool(KeyExpired, o.Expired()))
	if o.Cause != nil {
		span.SetAttributes(attribute.String(KeyCause, o.Cause.Name()))
	}
	if !deadline.IsZero() {
		span.SetAttributes(attribute.String(KeyDeadline, deadline.UTC().Format(time.RFC3339Nano)))
	}
	if o.Failed() {
		span.SetStatus(codes.Error, o.Err.Error())
	}
	span.End()
	sc := span.SpanContext()
	if !sc.IsSampled() {
		return nil
	}
	return prometheus.Labels{"trace_id": sc.TraceID().String(), "span_id": sc.SpanID().String()}
}
