package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// payments is what a user writes: one method, one return value.
type payments struct{ bank func(context.Context) error }

var charge = budget.Operation{Name: "charge", Timeout: time.Second, Attempt: 100 * time.Millisecond, Backoff: budget.Backoff{Attempts: 3}}

func (p payments) ReconcileKind(ctx context.Context, w *runtimetest.Widget) error {
	if err := charge.Do(ctx, p.bank); err != nil {
		return requeue.Because("BankUnreachable", err)
	}
	w.Status.Phase = "Charged"
	return nil
}

// What generated code does for a kind, around the user's reconciler.
func ExampleLoop() {
	process := runtimetest.NewProcess(budget.Reconcile{Total: 20 * time.Second, Reserve: 5 * time.Second}) // a *manager.Runtime
	process.Put(`{"metadata":{"name":"w","namespace":"default"}}`)

	answer := errors.New("connection refused")
	loop, err := reconciler.New(process, reconciler.Kind[*runtimetest.Widget]{
		Name:              "widget",
		New:               func() *runtimetest.Widget { return &runtimetest.Widget{} },
		Status:            func(w *runtimetest.Widget) any { return &w.Status },
		StatusSubresource: true,
		Conditions:        func(w *runtimetest.Widget) *[]metav1.Condition { return &w.Status.Conditions },
	}, payments{bank: func(context.Context) error { return answer }})
	if err != nil {
		fmt.Println(err)
		return
	}
	handle := chain.Wrap(loop.Reconcile, loop.Budget) // what loop.Register gives to the controller

	for range 2 {
		result, err := handle.Reconcile(context.Background(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: "w"}})
		w := process.Widget()
		ready := apimeta.FindStatusCondition(w.Status.Conditions, reconciler.ConditionReady)
		fmt.Printf("%v, %v; Ready=%s %s; phase %q\n", result.RequeueAfter, err, ready.Status, ready.Reason, w.Status.Phase)
		answer = nil
	}
	// Output:
	// 0s, charge: connection refused; Ready=False BankUnreachable; phase ""
	// 0s, <nil>; Ready=True Reconciled; phase "Charged"
}
