package observe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// run observes f under a context that ends after limit.
func run(ctx context.Context, o *observe.Operation, limit time.Duration, f func(context.Context) error) {
	ctx, release := context.WithTimeoutCause(ctx, limit, cause.OperationDeadline)
	defer release()
	ctx, call := o.Begin(ctx)
	call.End(cause.Classify(ctx, f(ctx)))
}

func TestAnObservationIsCountedOnce(t *testing.T) {
	ctx, call := observe.For(observe.External, t.Name()).Begin(t.Context())
	call.End(cause.Classify(ctx, nil))
	call.End(cause.Classify(ctx, errors.New("later")))
	if got := counts(t, t.Name()); !maps.Equal(got, map[string]int{"ok": 1}) {
		t.Errorf("counted %v, want ok once", got)
	}
}

func TestDurationAndBudgetLeft(t *testing.T) {
	for _, test := range []struct {
		name       string
		work, time time.Duration
		left       float64
	}{
		{"early", 250 * time.Millisecond, time.Second, 0.75},
		{"late", 3 * time.Second, time.Second, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run(t.Context(), observe.For(observe.External, t.Name()), test.time, func(context.Context) error {
					time.Sleep(test.work)
					return nil
				})
				took := histogram(t, "operator_operation_duration_seconds")
				if got := took.GetSampleSum(); got != test.work.Seconds() || took.GetSampleCount() != 1 {
					t.Errorf("duration is %v, counted %d times, want %v once", got, took.GetSampleCount(), test.work.Seconds())
				}
				left := histogram(t, "operator_operation_budget_left_ratio")
				if got := left.GetSampleSum(); math.Abs(got-test.left) > 1e-9 || left.GetSampleCount() != 1 {
					t.Errorf("left is %v, counted %d times, want %v once", got, left.GetSampleCount(), test.left)
				}
			})
		})
	}
}

// histogram returns that of the test.
func histogram(t *testing.T, name string) *dto.Histogram {
	t.Helper()
	found := runtimetest.Series(t, name, prometheus.Labels{"target": t.Name()})
	if len(found) != 1 {
		t.Fatalf("%s has %d series of this test, want 1", name, len(found))
	}
	return found[0].GetHistogram()
}

func TestWithoutADeadlineNothingIsLeftOfIt(t *testing.T) {
	_, call := observe.For(observe.External, t.Name()).Begin(t.Context())
	call.End(cause.Judged(nil))
	if n := histogram(t, "operator_operation_budget_left_ratio").GetSampleCount(); n != 0 {
		t.Errorf("the budget of an operation without a deadline is counted %d times", n)
	}
}

// endings are ways to end a context, with the outcome that must be counted.
var endings = func() map[string]func(context.Context) (context.Context, context.CancelFunc) {
	ways := map[string]func(context.Context) (context.Context, context.CancelFunc){
		cause.NameDeadline: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		cause.NameCanceled: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
	}
	for _, c := range []*cause.Cause{cause.ReconcileDeadline, cause.OperationDeadline, cause.AttemptDeadline, cause.StatusDeadline} {
		ways[c.Name()] = func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, c.With("of the test"))
		}
	}
	for _, c := range []*cause.Cause{cause.Shutdown, cause.Superseded, cause.ClientGone, cause.ShutdownEnded, cause.LeadershipLost, cause.TenantGone} {
		ways[c.Name()] = func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(c) })
			return ctx, func() { cancel(nil) }
		}
	}
	return ways
}()

// behaviours are what works do when their context ends.
var behaviours = []func(context.Context) error{
	func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
	func(ctx context.Context) error { <-ctx.Done(); return nil },
	func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("call: %w", ctx.Err()) },
	func(ctx context.Context) error { <-ctx.Done(); return errors.New("connection reset") },
	func(context.Context) error { time.Sleep(time.Minute); return nil }, // deaf, and late
}

// TestEveryCancelHasAName ends 100,000 operations in twelve ways and asks the
// metrics for each of them. Its bubble fails if a goroutine is left.
func TestEveryCancelHasAName(t *testing.T) {
	const cancels, at = 100_000, 500
	names := make([]string, 0, len(endings))
	for name := range endings {
		names = append(names, name)
	}
	want := map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		for first := 0; first < cancels; first += at {
			var running sync.WaitGroup
			for n := first; n < first+at; n++ {
				name, behave := names[n%len(names)], behaviours[n/len(names)%len(behaviours)]
				want[name]++
				running.Go(func() {
					ctx, release := endings[name](t.Context())
					defer release()
					ctx, call := observe.For(observe.External, t.Name()).Begin(ctx)
					call.End(cause.Classify(ctx, behave(ctx)))
				})
			}
			running.Wait()
		}
	})
	if got := counts(t, t.Name()); !maps.Equal(got, want) {
		t.Errorf("counted\n%v, want\n%v", got, want)
	}
}

func TestSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := record(t)
		begun := time.Now()
		o := observe.For(observe.External, "bank")
		run(t.Context(), o, time.Second, func(ctx context.Context) error {
			observe.FromContext(ctx).SetAttributes()
			time.Sleep(time.Minute) // long after the end
			return nil
		})
		span := only(t, spans)
		if span.Name() != "call bank" || span.SpanKind() != trace.SpanKindClient {
			t.Errorf("the span is %q of kind %s", span.Name(), span.SpanKind())
		}
		for k, want := range map[string]string{
			observe.KeyOperation: observe.External,
			observe.KeyTarget:    "bank",
			observe.KeyOutcome:   "operation_deadline",
			observe.KeyCause:     "operation_deadline",
			observe.KeyExpired:   "true",
			observe.KeyDeadline:  begun.Add(time.Second).UTC().Format(time.RFC3339Nano),
		} {
			if got := of(span.Attributes(), k); got != want {
				t.Errorf("attribute %s is %q, want %q", k, got, want)
			}
		}
		if s := span.Status(); s.Code != codes.Error || !strings.Contains(s.Description, "operation budget used up") {
			t.Errorf("the status is %v", s)
		}
		if len(span.Events()) != 1 {
			t.Fatalf("the span has events %v, want one", span.Events())
		}
		event := span.Events()[0]
		if event.Name != observe.EventEnded || !event.Time.Equal(begun.Add(time.Second)) {
			t.Errorf("event %q is at %s, want it a second after %s", event.Name, event.Time, begun)
		}
		if of(event.Attributes, observe.KeyCause) != "operation_deadline" || of(event.Attributes, observe.KeyExpired) != "true" {
			t.Errorf("the event says %v", event.Attributes)
		}
	})
}

func TestTheEventOfACancelIsAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := record(t)
		begun := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		ctx, call := observe.For(observe.External, t.Name()).Begin(ctx)
		time.AfterFunc(time.Second, func() { cancel(cause.Superseded) })
		time.Sleep(time.Minute)
		call.End(cause.Classify(ctx, nil))
		span := only(t, spans)
		if n := len(span.Events()); n != 1 {
			t.Fatalf("the span has %d events, want 1", n)
		}
		if e := span.Events()[0]; !e.Time.Equal(begun.Add(time.Second)) || of(e.Attributes, observe.KeyCause) != "superseded" || of(e.Attributes, observe.KeyExpired) != "false" {
			t.Errorf("event %v at %s, want superseded a second after %s", e.Attributes, e.Time, begun)
		}
		if s := span.Status(); s.Code != codes.Unset || of(span.Attributes(), observe.KeyExpired) != "false" {
			t.Errorf("a decision is shown as a fault: %v", s)
		}
	})
}

// overdue is a context whose deadline has passed and whose timer is late.
type overdue struct{ context.Context }

func (overdue) Deadline() (time.Time, bool) { return time.Unix(1e9, 0), true }

func TestAnEventThatIsToldLateHasItsTime(t *testing.T) {
	spans := record(t)
	ctx, call := observe.For(observe.External, t.Name()).Begin(overdue{t.Context()})
	call.End(cause.Classify(ctx, nil))
	if e := only(t, spans).Events(); len(e) != 1 || !e[0].Time.Equal(time.Unix(1e9, 0)) {
		t.Errorf("the events are %v, want one at the deadline", e)
	}
	if got := counts(t, t.Name()); got[cause.NameDeadline] != 1 {
		t.Errorf("counted %v, want a deadline", got)
	}
}

func TestAnOperationInTimeHasNoEvent(t *testing.T) {
	spans := record(t)
	ctx, release := context.WithTimeout(t.Context(), time.Hour)
	_, call := observe.For(observe.External, t.Name()).Begin(ctx)
	inner, releaseInner := context.WithTimeout(ctx, time.Minute)
	settled := call.Bound(inner)
	settled()
	releaseInner()
	call.End(cause.Judged(nil))
	release()
	if span := only(t, spans); len(span.Events()) != 0 || span.Status().Code != codes.Unset {
		t.Errorf("the span has events %v and status %v, want neither", span.Events(), span.Status())
	}
}

func TestExemplarsNameTheTrace(t *testing.T) {
	spans := record(t)
	run(t.Context(), observe.For(observe.External, t.Name()), time.Minute, func(context.Context) error { return nil })
	id := only(t, spans).SpanContext().TraceID().String()
	for _, name := range []string{"operator_operation_duration_seconds", "operator_operation_budget_left_ratio"} {
		var found []string
		for _, b := range histogram(t, name).GetBucket() {
			for _, l := range b.GetExemplar().GetLabel() {
				if l.GetName() == "trace_id" {
					found = append(found, l.GetValue())
				}
			}
		}
		if len(found) != 1 || found[0] != id {
			t.Errorf("%s has exemplars of traces %v, want %s", name, found, id)
		}
	}
	counted := runtimetest.Series(t, "operator_operations_total", prometheus.Labels{"target": t.Name(), "outcome": "ok"})
	if len(counted) != 1 || counted[0].GetCounter().GetExemplar() == nil {
		t.Error("the counter has no exemplar")
	}
}

func TestLogsNameTheTraceIfItIsRecorded(t *testing.T) {
	var lines strings.Builder
	logger := funcr.New(func(_, args string) { lines.WriteString(args + "\n") }, funcr.Options{})
	ctx := log.IntoContext(t.Context(), logger)
	o := observe.For(observe.External, t.Name())
	say := func(ctx context.Context) error { log.FromContext(ctx).Info("said"); return nil }

	run(ctx, o, time.Minute, say)
	if strings.Contains(lines.String(), "traceID") {
		t.Errorf("a trace that is not recorded is named: %s", lines.String())
	}
	spans := record(t)
	run(ctx, o, time.Minute, say)
	if id := only(t, spans).SpanContext().TraceID().String(); !strings.Contains(lines.String(), `"traceID"="`+id+`"`) {
		t.Errorf("trace %s is not in the log: %s", id, lines.String())
	}
}

func TestForgottenSeriesAreGone(t *testing.T) {
	o := observe.For(observe.External, t.Name())
	_, late := o.Begin(t.Context())
	run(t.Context(), o, time.Minute, func(context.Context) error { return nil })
	observe.Forget(t.Name())
	late.End(cause.Judged(errors.New("what is new after the end")))
	for _, m := range observe.Metrics() {
		if n := len(runtimetest.Series(t, m.Name, prometheus.Labels{"target": t.Name()})); n != 0 {
			t.Errorf("%s has %d series of a target that is gone", m.Name, n)
		}
	}
	run(t.Context(), observe.For(observe.External, t.Name()), time.Minute, func(context.Context) error { return nil })
	if got := counts(t, t.Name()); got["ok"] != 1 {
		t.Errorf("a target that came back counts %v", got)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	for n := range 1500 {
		_, call := observe.For("bounded", fmt.Sprint("target-", n)).Begin(t.Context())
		call.End(cause.Judged(nil))
	}
	if n := len(runtimetest.Series(t, "operator_operation_duration_seconds", prometheus.Labels{"operation": "bounded"})); n != 1001 {
		t.Errorf("there are series of %d targets, want 1000 and one for the others", n)
	}
	if got := counts(t, observe.Other)["ok"]; got != 500 {
		t.Errorf("%d operations are counted as others, want 500", got)
	}
	for n := range 100 {
		_, call := observe.For(observe.External, t.Name()).Begin(t.Context())
		call.End(cause.Outcome{Name: fmt.Sprint("outcome_", n)})
	}
	got := counts(t, t.Name())
	if len(got) != 64 || got[observe.Other] == 0 {
		t.Errorf("there are %d outcomes, of which %d are others", len(got), got[observe.Other])
	}
	if sum := total(got); sum != 100 {
		t.Errorf("%d operations are counted, want 100", sum)
	}
}

func total(by map[string]int) (sum int) {
	for _, n := range by {
		sum += n
	}
	return sum
}

func TestFailureIsTheLast(t *testing.T) {
	ctx, _ := observe.For(observe.External, t.Name()).Begin(t.Context())
	last := errors.New("last")
	observe.FromContext(ctx).Fail(errors.New("first"))
	observe.FromContext(ctx).Fail(last)
	if got := observe.FromContext(ctx).Failure(); got != last {
		t.Errorf("Failure() = %v, want the last", got)
	}
}

func TestNoObservationIsNoObstacle(t *testing.T) {
	c := observe.FromContext(t.Context())
	c.Bound(t.Context())()
	c.Fail(errors.New("nobody sees this"))
	c.SetAttributes()
	c.End(cause.Judged(nil))
	if c.Failure() != nil || c.Recording() {
		t.Error("an observation that is not there says something")
	}
}

// TestUnsampledAllocatesLittle asks for the allocations that are promised in docs.
func TestUnsampledAllocatesLittle(t *testing.T) {
	bare := testing.AllocsPerRun(1000, func() {
		_, release := context.WithTimeout(t.Context(), time.Minute)
		release()
	})
	o := observe.For(observe.External, t.Name())
	added := func() float64 {
		return testing.AllocsPerRun(1000, func() {
			ctx, release := context.WithTimeout(t.Context(), time.Minute)
			ctx, call := o.Begin(ctx)
			call.End(cause.Classify(ctx, nil))
			release()
		}) - bare
	}
	if n := added(); n > 1 {
		t.Errorf("without a tracer an observation adds %.0f allocations, want 1", n)
	}
	sampleNothing(t)
	if n := added(); n > 1 {
		t.Errorf("unsampled an observation adds %.0f allocations, want 1", n)
	}
	lead(t, sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	if n := added(); n > 4 {
		t.Errorf("unsampled by a tracer that is asked by Start an observation adds %.0f allocations, want at most 4", n)
	}
}
