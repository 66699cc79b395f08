package chain_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

func returns(err error) chain.Func {
	return func(context.Context, reconcile.Request) error { return err }
}

func TestResults(t *testing.T) {
	failure := errors.New("boom")
	tests := map[string]struct {
		err     error
		after   time.Duration
		wantErr error
	}{
		"success":               {nil, 0, nil},
		"again later":           {requeue.After(time.Minute), time.Minute, nil},
		"pending, wrapped":      {fmt.Errorf("pay: %w", requeue.Pending(time.Second, "Waiting", "")), time.Second, nil},
		"never never":           {requeue.After(-1), requeue.Soonest, nil},
		"failure":               {failure, 0, failure},
		"failure beside later":  {errors.Join(requeue.After(time.Minute), failure), 0, failure},
		"terminal":              {requeue.Terminal(failure), 0, reconcile.TerminalError(nil)},
		"deadline":              {cause.ReconcileDeadline, 0, cause.ReconcileDeadline},
		"cut short":             {chain.CutShort(cause.Shutdown), 0, nil},
		"cut short, wrapped":    {fmt.Errorf("gate: %w", chain.CutShort(cause.LeadershipLost)), 0, nil},
		"cancelled by nobody":   {context.Canceled, 0, context.Canceled},
		"a cause out of place":  {fmt.Errorf("call: %w", cause.Shutdown), 0, cause.Shutdown},
		"cut short for nothing": {chain.CutShort(nil), 0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			result, err := returns(test.err).Reconcile(t.Context(), reconcile.Request{})
			if result.RequeueAfter != test.after {
				t.Errorf("RequeueAfter = %s, want %s", result.RequeueAfter, test.after)
			}
			if !errors.Is(err, test.wantErr) {
				t.Errorf("error = %v, want %v", err, test.wantErr)
			}
			if later := test.after > 0; later != (result.Priority != nil) || later && *result.Priority != 0 {
				t.Errorf("priority %v, want that of events for what is due later, and nothing else", result.Priority)
			}
			if err != nil && !result.IsZero() {
				t.Errorf("result %+v beside error %v", result, err)
			}
		})
	}
}

func TestCutShortKeepsTheCause(t *testing.T) {
	err := chain.CutShort(cause.Superseded)
	if !errors.Is(err, cause.Superseded) || cause.Classify(t.Context(), err).Cause != cause.Superseded {
		t.Errorf("%v does not carry its cause", err)
	}
	if !chain.IsCutShort(fmt.Errorf("gate: %w", err)) || chain.IsCutShort(cause.Superseded) || chain.IsCutShort(nil) {
		t.Error("IsCutShort does not tell what CutShort made")
	}
	if chain.CutShort(nil) != nil {
		t.Error("success became an error")
	}
}

func TestWrapPutsTheFirstLinkOutermost(t *testing.T) {
	var order []string
	link := func(name string) chain.Link {
		return func(next chain.Func) chain.Func {
			return func(ctx context.Context, req reconcile.Request) error {
				order = append(order, name+" in")
				defer func() { order = append(order, name+" out") }()
				return next(ctx, req)
			}
		}
	}
	core := func(context.Context, reconcile.Request) error {
		order = append(order, "core")
		return nil
	}
	if err := chain.Wrap(core, link("outer"), link("inner"))(t.Context(), reconcile.Request{}); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(order), "[outer in inner in core inner out outer out]"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func ExampleWrap() {
	logged := func(next chain.Func) chain.Func {
		return func(ctx context.Context, req reconcile.Request) error {
			err := next(ctx, req)
			fmt.Println(req, err)
			return err
		}
	}
	core := func(context.Context, reconcile.Request) error { return requeue.After(time.Minute) }

	var request reconcile.Request
	request.Namespace, request.Name = "default", "example"
	result, err := chain.Wrap(core, logged).Reconcile(context.Background(), request)
	fmt.Println(result.RequeueAfter, err)
	// Output:
	// default/example again after 1m0s
	// 1m0s <nil>
}
