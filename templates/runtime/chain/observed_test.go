package chain_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// record records every span until the test ends.
func record(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	r := tracetest.NewSpanRecorder()
	observe.TraceBy(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)))
	t.Cleanup(func() { observe.TraceBy(nil) })
	return r
}

func of(span sdktrace.ReadOnlySpan, k string) string {
	i := slices.IndexFunc(span.Attributes(), func(a attribute.KeyValue) bool { return string(a.Key) == k })
	if i < 0 {
		return ""
	}
	return span.Attributes()[i].Value.String()
}

var observed = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "w"}}

func TestAPassIsASpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := record(t)
		begun := time.Now()
		limit := budget.Reconcile{Total: 20 * time.Second, Reserve: 5 * time.Second}
		timed := func(next chain.Func) chain.Func {
			return func(ctx context.Context, req reconcile.Request) error {
				ctx, release := limit.Begin(ctx)
				defer release()
				return next(ctx, req)
			}
		}
		f := chain.Wrap(func(ctx context.Context, _ reconcile.Request) error {
			<-ctx.Done()
			time.Sleep(time.Second) // the write of the status
			return context.Cause(ctx)
		}, chain.Observed(observe.Reconcile, "widget"), timed, chain.Timed)
		_ = f(t.Context(), observed)
		span := spans.Ended()[0]
		for k, want := range map[string]string{
			observe.KeyNamespace: "shop",
			observe.KeyObject:    "w",
			observe.KeyTarget:    "widget",
			observe.KeyAttempt:   "1",
			observe.KeyCause:     "reconcile_deadline",
			observe.KeyDeadline:  begun.Add(limit.Work()).UTC().Format(time.RFC3339Nano),
		} {
			if got := of(span, k); got != want {
				t.Errorf("attribute %s is %q, want %q", k, got, want)
			}
		}
		if e := span.Events(); len(e) != 1 || !e[0].Time.Equal(begun.Add(limit.Work())) {
			t.Errorf("the events are %v, want one at the deadline of the work", e)
		}
	})
}

// TestAPassHasTheIDOfItsLog has a real controller call the link: the ID is its own.
func TestAPassHasTheIDOfItsLog(t *testing.T) {
	spans := record(t)
	ids := make(chan types.UID, 1)
	pass := chain.Observed(observe.Reconcile, "widget")(func(ctx context.Context, _ reconcile.Request) error {
		ids <- controller.ReconcileIDFromContext(ctx)
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	c, err := controller.NewTypedUnmanaged("widget", controller.Options{
		SkipNameValidation: new(true),
		LogConstructor:     func(*reconcile.Request) logr.Logger { return logr.Discard() },
		Reconciler: reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, pass(ctx, req)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Watch(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(observed)
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- c.Start(ctx) }()
	id := <-ids
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := of(spans.Ended()[0], observe.KeyReconcileID); got == "" || got != string(id) {
		t.Errorf("the span has ID %q, the log %q", got, id)
	}
}

func TestWorkThatEndedInTimeIsCountedSo(t *testing.T) {
	spans := record(t)
	ended, end := context.WithCancelCause(t.Context())
	f := chain.Observed(observe.Reconcile, "widget")(func(context.Context, reconcile.Request) error {
		end(cause.LeadershipLost) // after the work has been judged
		return nil
	})
	if err := f(ended, observed); err != nil {
		t.Fatal(err)
	}
	if got := of(spans.Ended()[0], observe.KeyOutcome); got != cause.NameOK {
		t.Errorf("the outcome is %q, want ok", got)
	}
}

func TestAttemptsAreCountedAndLinked(t *testing.T) {
	failing := errors.New("failing")
	for _, test := range []struct {
		name     string
		errors   []error
		attempts []string
	}{
		{"failures in a row", []error{failing, failing, failing}, []string{"1", "2", "3"}},
		{"success ends it", []error{failing, nil, failing}, []string{"1", "2", "1"}},
		{"later ends it", []error{failing, requeue.After(time.Second), failing}, []string{"1", "2", "1"}},
		{"cut short ends it", []error{failing, chain.CutShort(cause.Superseded), failing}, []string{"1", "2", "1"}},
		{"terminal ends it", []error{failing, requeue.Terminal(failing), failing}, []string{"1", "2", "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			spans := record(t)
			pass := 0
			f := chain.Observed(observe.Reconcile, "widget")(func(context.Context, reconcile.Request) error {
				pass++
				return test.errors[pass-1]
			})
			for range test.errors {
				_ = f(t.Context(), observed)
			}
			for n, span := range spans.Ended() {
				if got := of(span, observe.KeyAttempt); got != test.attempts[n] {
					t.Errorf("pass %d is attempt %s, want %s", n+1, got, test.attempts[n])
				}
				linked := len(span.Links()) == 1 && span.Links()[0].SpanContext.SpanID() == spans.Ended()[max(n-1, 0)].SpanContext().SpanID()
				if want := test.attempts[n] != "1"; linked != want {
					t.Errorf("pass %d has links %v; to the one before: %t, want %t", n+1, span.Links(), linked, want)
				}
				if span.Parent().IsValid() {
					t.Errorf("pass %d has a parent", n+1)
				}
			}
		})
	}
}

func TestAPanicIsCountedAndGoesOn(t *testing.T) {
	spans := record(t)
	f := chain.Observed(observe.Reconcile, "widget")(func(context.Context, reconcile.Request) error { panic("on purpose") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		_ = f(t.Context(), observed)
	}()
	if got := of(spans.Ended()[0], observe.KeyOutcome); got != "panic" {
		t.Errorf("the outcome is %q, want panic", got)
	}
}
