package requeue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

func TestDelaysAreAlwaysPositive(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, 0, 1, time.Second} {
		for name, err := range map[string]error{"After": requeue.After(d), "Pending": requeue.Pending(d, "Waiting", "for it")} {
			later, ok := requeue.AsLater(err)
			if !ok {
				t.Fatalf("%s(%s) is no Later", name, d)
			}
			if want := max(d, requeue.Soonest); later.Delay() != want {
				t.Errorf("%s(%s): delay %s, want %s", name, d, later.Delay(), want)
			}
			if got := later.AtMost(0).Delay(); got != requeue.Soonest {
				t.Errorf("%s(%s).AtMost(0): delay %s", name, d, got)
			}
		}
	}
}

func TestAtMostKeepsTheRest(t *testing.T) {
	later, _ := requeue.AsLater(requeue.Pending(time.Minute, "Waiting", "for it"))
	sooner := later.AtMost(time.Second)
	if sooner.Delay() != time.Second || sooner.Reason() != "Waiting" || sooner.Message() != "for it" {
		t.Errorf("got %v", sooner)
	}
	if same := later.AtMost(time.Hour); same.Delay() != time.Minute {
		t.Errorf("AtMost lengthened the delay to %s", same.Delay())
	}
	if later.Delay() != time.Minute {
		t.Error("AtMost changed the request it was called on")
	}
}

func TestAsLater(t *testing.T) {
	after, failure := requeue.After(time.Second), errors.New("boom")
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil":             {nil, false},
		"itself":          {after, true},
		"wrapped":         {fmt.Errorf("a: %w", fmt.Errorf("b: %w", after)), true},
		"failure":         {failure, false},
		"beside failure":  {errors.Join(failure, after), false},
		"before failure":  {errors.Join(after, failure), false},
		"wrapped with it": {fmt.Errorf("%w, %w", after, failure), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := requeue.AsLater(test.err); got != test.want {
				t.Errorf("AsLater = %t, want %t", got, test.want)
			}
		})
	}
}

func TestPendingIsToldFromAfter(t *testing.T) {
	after, _ := requeue.AsLater(requeue.After(time.Second))
	pending, _ := requeue.AsLater(requeue.Pending(time.Second, "Waiting", "for the bank"))
	if after.Pending() || after.OutcomeName() != "requeue" || after.Error() != "again after 1s" {
		t.Errorf("After: pending %t, %q, %q", after.Pending(), after.OutcomeName(), after)
	}
	if !pending.Pending() || pending.OutcomeName() != "pending" || pending.Error() != "Waiting: for the bank; again after 1s" {
		t.Errorf("Pending: pending %t, %q, %q", pending.Pending(), pending.OutcomeName(), pending)
	}
	for _, reason := range []string{"", "not a reason", "1st", strings.Repeat("R", 129), "Ends:"} {
		if later, _ := requeue.AsLater(requeue.Pending(time.Second, reason, "")); later.Reason() != "Pending" {
			t.Errorf("reason %q became %q", reason, later.Reason())
		}
	}
}

func TestTerminal(t *testing.T) {
	refused := errors.New("card refused")
	err := fmt.Errorf("pay: %w", requeue.Terminal(refused))
	if !requeue.IsTerminal(err) || !errors.Is(err, reconcile.TerminalError(nil)) || !errors.Is(err, refused) {
		t.Errorf("%v is not terminal to everyone", err)
	}
	if requeue.IsTerminal(refused) || requeue.IsTerminal(nil) {
		t.Error("an ordinary error is terminal")
	}
	if requeue.Terminal(nil) != nil || requeue.Because("Reason", nil) != nil {
		t.Error("success became an error")
	}
}

func TestReason(t *testing.T) {
	failure := errors.New("boom")
	tests := map[string]struct {
		err  error
		want string
	}{
		"none":      {failure, ""},
		"given":     {fmt.Errorf("a: %w", requeue.Because("CardRefused", failure)), "CardRefused"},
		"outermost": {requeue.Because("Outer", requeue.Because("Inner", failure)), "Outer"},
		"terminal":  {requeue.Terminal(requeue.Because("CardRefused", failure)), "CardRefused"},
		"invalid":   {requeue.Because("card refused", failure), ""},
		"empty":     {requeue.Because("", failure), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := requeue.Reason(test.err)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("Reason = %q, %t, want %q", got, ok, test.want)
			}
			if !errors.Is(test.err, failure) {
				t.Error("the error itself is lost")
			}
		})
	}
}
