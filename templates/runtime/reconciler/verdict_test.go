package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// Every way in which the user's code can end, and what comes of it.
func TestVerdicts(t *testing.T) {
	quiet(t)
	failure := errors.New("boom")
	conflict := apierrors.NewConflict(runtimetest.GroupVersion.WithResource("widgets").GroupResource(), "w", failure)
	tests := map[string]struct {
		user func(ctx context.Context, w *widget) error
		stop error // asked of the process after a second

		ready    *metav1.Condition // nil for none
		observed bool
		events   []string
		after    time.Duration
		err      error
	}{
		"success": {
			user:     succeed,
			ready:    &metav1.Condition{Status: metav1.ConditionTrue, Reason: "Reconciled"},
			observed: true,
			events:   []string{"Normal Reconciled Reconcile: "},
		},
		"look again": {
			user:     func(context.Context, *widget) error { return requeue.After(time.Minute) },
			ready:    &metav1.Condition{Status: metav1.ConditionTrue, Reason: "Reconciled"},
			observed: true,
			events:   []string{"Normal Reconciled Reconcile: "},
			after:    time.Minute,
		},
		"pending": {
			user: func(context.Context, *widget) error {
				return fmt.Errorf("pay: %w", requeue.Pending(time.Second, "PaymentProcessing", "the bank has not decided"))
			},
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "PaymentProcessing", Message: "the bank has not decided"},
			observed: true,
			events:   []string{"Normal PaymentProcessing Reconcile: the bank has not decided"},
			after:    time.Second,
		},
		"failure": {
			user:     func(context.Context, *widget) error { return failure },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "ReconcileFailed", Message: "boom"},
			observed: true,
			events:   []string{"Warning ReconcileFailed Reconcile: boom"},
			err:      failure,
		},
		"failure with a reason": {
			user:     func(context.Context, *widget) error { return requeue.Because("BankClosed", failure) },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "BankClosed", Message: "boom"},
			observed: true,
			events:   []string{"Warning BankClosed Reconcile: boom"},
			err:      failure,
		},
		"terminal": {
			user:     func(context.Context, *widget) error { return requeue.Terminal(failure) },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "Terminal", Message: "terminal error: boom"},
			observed: true,
			events:   []string{"Warning Terminal Reconcile: terminal error: boom"},
			err:      reconcile.TerminalError(nil),
		},
		"terminal with a reason": {
			user:     func(context.Context, *widget) error { return requeue.Because("CardRefused", requeue.Terminal(failure)) },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "CardRefused", Message: "terminal error: boom"},
			observed: true,
			events:   []string{"Warning CardRefused Reconcile: terminal error: boom"},
			err:      reconcile.TerminalError(nil),
		},
		"conflict": {
			user: func(context.Context, *widget) error { return conflict },
			err:  conflict,
		},
		"deadline": {
			user:     hang,
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "ReconcileDeadline", Message: "reconcile budget used up"},
			observed: true,
			events:   []string{"Warning ReconcileDeadline Reconcile: reconcile budget used up"},
			err:      cause.ReconcileDeadline,
		},
		"deadline swallowed": {
			user:     func(ctx context.Context, w *widget) error { _ = hang(ctx, w); return nil },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "ReconcileDeadline", Message: "reconcile budget used up"},
			observed: true,
			events:   []string{"Warning ReconcileDeadline Reconcile: reconcile budget used up"},
			err:      cause.ReconcileDeadline,
		},
		"deadline swallowed, look again": {
			user:     func(ctx context.Context, w *widget) error { _ = hang(ctx, w); return requeue.After(time.Hour) },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "ReconcileDeadline", Message: "reconcile budget used up: again after 1h0m0s"},
			observed: true,
			events:   []string{"Warning ReconcileDeadline Reconcile: reconcile budget used up: again after 1h0m0s"},
			err:      cause.ReconcileDeadline,
		},
		"deadline ignored": {
			user:     func(context.Context, *widget) error { time.Sleep(time.Minute); return nil },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "ReconcileDeadline", Message: "reconcile budget used up"},
			observed: true,
			events:   []string{"Warning ReconcileDeadline Reconcile: reconcile budget used up"},
			err:      cause.ReconcileDeadline,
		},
		"deadline of an operation": {
			user: func(ctx context.Context, w *widget) error {
				op := budget.Operation{Name: "bank", Timeout: time.Second}
				return op.Do(ctx, func(ctx context.Context) error { return hang(ctx, w) })
			},
			ready: &metav1.Condition{Status: metav1.ConditionFalse, Reason: "OperationDeadline",
				Message: "bank: operation budget used up: bank, 1s"},
			observed: true,
			events:   []string{"Warning OperationDeadline Reconcile: bank: operation budget used up: bank, 1s"},
			err:      cause.OperationDeadline,
		},
		"panic": {
			user:     func(context.Context, *widget) error { panic("nil map") },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "Panicked", Message: "panic: nil map"},
			observed: true,
			events:   []string{"Warning Panicked Reconcile: panic: nil map"},
			err:      errPanic,
		},
		"panic with an error, late": {
			user:     func(ctx context.Context, w *widget) error { _ = hang(ctx, w); panic(requeue.Terminal(failure)) },
			ready:    &metav1.Condition{Status: metav1.ConditionFalse, Reason: "Panicked", Message: "panic: terminal error: boom"},
			observed: true,
			events:   []string{"Warning Panicked Reconcile: panic: terminal error: boom"},
			err:      errPanic,
		},
		"shutdown": {
			user:   hang,
			stop:   cause.Shutdown,
			ready:  &metav1.Condition{Status: metav1.ConditionUnknown, Reason: "Shutdown", Message: "operator is shutting down"},
			events: []string{"Normal Shutdown Reconcile: operator is shutting down"},
		},
		"shutdown swallowed": {
			user:   func(ctx context.Context, w *widget) error { _ = hang(ctx, w); return nil },
			stop:   cause.Shutdown,
			ready:  &metav1.Condition{Status: metav1.ConditionUnknown, Reason: "Shutdown", Message: "operator is shutting down"},
			events: []string{"Normal Shutdown Reconcile: operator is shutting down"},
		},
		"leadership lost": {
			user: hang,
			stop: cause.LeadershipLost,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, `{"metadata":{"generation":3}}`)
				_, f := build(t, p, user(test.user))
				if test.stop != nil {
					time.AfterFunc(time.Second, func() { p.Stop(test.stop) })
				}
				result, err := f.Reconcile(t.Context(), request)
				if result.RequeueAfter != test.after {
					t.Errorf("RequeueAfter = %s, want %s", result.RequeueAfter, test.after)
				}
				if !is(err, test.err) {
					t.Errorf("error = %v, want %v", err, test.err)
				}
				if err != nil && test.err != reconcile.TerminalError(nil) && requeue.IsTerminal(err) != requeue.IsTerminal(test.err) {
					t.Errorf("error %v would not be repeated", err)
				}
				w := p.Widget()
				if test.ready != nil {
					test.ready.Type, test.ready.ObservedGeneration = "Ready", 3
				}
				if diff := cmp.Diff(test.ready, ready(w), cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")); diff != "" {
					t.Errorf("Ready (-want +got):\n%s", diff)
				}
				if want := map[bool]int64{true: 3}[test.observed]; w.Status.ObservedGeneration != want {
					t.Errorf("observedGeneration %d, want %d", w.Status.ObservedGeneration, want)
				}
				if diff := cmp.Diff(test.events, p.Recorder.Events()); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// errPanic stands for an error that is a panic and not terminal.
var errPanic = errors.New("a panic")

func is(err, want error) bool {
	switch want {
	case nil:
		return err == nil
	case errPanic:
		return err != nil && strings.HasPrefix(err.Error(), "panic: ")
	}
	return errors.Is(err, want)
}

func TestEventsTellOfTransitionsOnly(t *testing.T) {
	p := start(t, `{}`)
	var next error
	_, f := build(t, p, user(func(context.Context, *widget) error { return next }))
	for _, next = range []error{
		nil, nil, errors.New("a"), errors.New("b"), requeue.Terminal(errors.New("c")), nil, requeue.After(time.Second),
	} {
		_, _ = f.Reconcile(t.Context(), request)
	}
	want := []string{
		"Normal Reconciled Reconcile: ",
		"Warning ReconcileFailed Reconcile: a",
		"Warning Terminal Reconcile: terminal error: c",
		"Normal Reconciled Reconcile: ",
	}
	if diff := cmp.Diff(want, p.Recorder.Events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	p := start(t, `{}`)
	_, f := build(t, p, user(func(context.Context, *widget) error { return errors.New("a" + strings.Repeat("é", 40_000)) }))
	_, _ = f.Reconcile(t.Context(), request)
	message := ready(p.Widget()).Message
	if len(message) > 1024 || !utf8.ValidString(message) || !strings.HasSuffix(message, "é …") {
		t.Errorf("message of %d bytes ends in %q", len(message), message[len(message)-8:])
	}
	if event := p.Recorder.Events()[0]; len(event) > 1100 {
		t.Errorf("event of %d bytes", len(event))
	}
}
