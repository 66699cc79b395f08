package observe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Call is an operation that has begun. Its methods may be called from several
// goroutines, and on nil.
type Call struct {
	operation *Operation
	begun     time.Duration // after epoch
	span      trace.Span    // nil unless it is recorded

	mu       sync.Mutex
	ended    bool
	deadline time.Time // zero if there is none
	settle   func()    // nil while no end is waited for
	failure  error
}

// Panicked is the outcome of an operation that does not return.
var Panicked = cause.Outcome{Name: "panic", Err: errors.New("panicked")}

// epoch is what beginnings are counted from. The time since then reads one clock,
// the monotonic one, where time.Now reads two.
var epoch = time.Now()

type callKey struct{}

// scope is the context of an operation. One type for both spares an allocation.
type scope struct {
	context.Context
	call Call
}

// Value implements context.Context.
func (s *scope) Value(k any) any {
	if k == (callKey{}) {
		return &s.call
	}
	return s.Context.Value(k)
}

// Begin begins an observation. The returned context is ctx with the
// observation's span, and with a logger that names the trace if it is recorded;
// it ends with ctx. links are spans that led to this operation without being its
// parent.
func (o *Operation) Begin(ctx context.Context, links ...trace.Link) (context.Context, *Call) {
	t, in := traced.Load(), ctx
	if t != nil && t.sampler != nil {
		var kept bool
		var dropped trace.SpanContext
		if in, kept, dropped = t.sampler.Sample(ctx); !kept {
			s := &unsampledScope{span: unsampled{&inert, t, dropped}}
			s.begin(ctx, o)
			return s, &s.call
		}
	}
	s := &scope{}
	s.begin(ctx, o)
	if t != nil {
		s.trace(in, t, links)
	}
	return s, &s.call
}

func (s *scope) begin(ctx context.Context, o *Operation) {
	s.Context = ctx
	s.call.operation = o
	s.call.begun = time.Since(epoch)
	s.call.deadline, _ = ctx.Deadline()
}

// trace begins the span, in a context that ends as the scope's does.
func (s *scope) trace(in context.Context, t *tracer, links []trace.Link) {
	options := s.call.operation.start
	if len(links) > 0 {
		options = append(options[:len(options):len(options)], trace.WithLinks(links...))
	}
	started, span := t.Start(in, s.call.operation.span, options...)
	s.Context = started
	if span.IsRecording() {
		s.Context = IntoLog(started)
		s.call.span = span
		s.call.settle = watch(in, span)
	}
}

// FromContext returns the innermost observation that ctx is part of, nil if
// there is none.
func FromContext(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// Bound tells the time of the operation, where that is set only after its
// beginning: by the deadline of ctx. The returned function must be called before
// ctx is released, and says that its end is the operation's end no more.
func (c *Call) Bound(ctx context.Context) (settled func()) {
	if c == nil {
		return nothing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nothing
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.deadline = deadline
	}
	if c.span == nil {
		return nothing
	}
	c.settled()
	c.settle = watch(ctx, c.span)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settled()
	}
}

func nothing() {}

// settled ends the wait for the end of a context. It is called with mu.
func (c *Call) settled() {
	if c.settle != nil {
		c.settle()
		c.settle = nil
	}
}

// SetAttributes adds to the span.
func (c *Call) SetAttributes(attributes ...attribute.KeyValue) {
	if c.Recording() {
		c.span.SetAttributes(attributes...)
	}
}

// Recording reports whether attributes are kept.
func (c *Call) Recording() bool { return c != nil && c.span != nil }

// Fail notes why the operation failed, where whoever calls End does not get to
// know. The last failure stays.
func (c *Call) Fail(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
}

// Failure returns what Fail has noted.
func (c *Call) Failure() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// End counts the operation, which came to o, and ends its span. Only the first
// call counts. Call it before the operation's context is released.
func (c *Call) End(o cause.Outcome) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	took := time.Since(epoch) - c.begun
	var exemplar prometheus.Labels
	if c.span != nil {
		c.settled()
		exemplar = conclude(c.span, o, c.deadline)
	}
	c.operation.add(took, o.Name, exemplar)
	if !c.deadline.IsZero() {
		measure(c.operation.left, left(took, c.deadline.Sub(epoch)-c.begun), exemplar)
	}
}

// left is the share that is left of all of an operation's time, from 0 to 1.
func left(took, all time.Duration) float64 {
	if all <= 0 || took >= all {
		return 0
	}
	return float64(all-took) / float64(all)
}
