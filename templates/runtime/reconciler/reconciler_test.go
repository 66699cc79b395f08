package reconciler_test

import (
	"context"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// The names used by most tests, to keep them readable.
type (
	widget  = runtimetest.Widget
	patch   = runtimetest.Patch
	process = runtimetest.Process
)

var limit = budget.Reconcile{Total: 20 * time.Second, Reserve: 5 * time.Second}

func kind() reconciler.Kind[*widget] {
	return reconciler.Kind[*widget]{
		Name:                  "widget",
		New:                   func() *widget { return &widget{} },
		Status:                func(w *widget) any { return &w.Status },
		StatusSubresource:     true,
		Conditions:            func(w *widget) *[]metav1.Condition { return &w.Status.Conditions },
		SetObservedGeneration: func(w *widget, g int64) { w.Status.ObservedGeneration = g },
		Finalizer:             runtimetest.Finalizer,
	}
}

// user is a user's reconciler without optional abilities.
type user func(context.Context, *widget) error

func (u user) ReconcileKind(ctx context.Context, w *widget) error { return u(ctx, w) }

// finalizing is one that cleans up.
type finalizing struct {
	user
	finalize func(context.Context, *widget) error
}

func (f finalizing) FinalizeKind(ctx context.Context, w *widget) error { return f.finalize(ctx, w) }

// succeed does nothing, successfully.
func succeed(context.Context, *widget) error { return nil }

// hang works until it is stopped, and says why it was.
func hang(ctx context.Context, _ *widget) error {
	<-ctx.Done()
	return ctx.Err()
}

// build makes the chain of a kind as generated code does.
func build(t testing.TB, p reconciler.Runtime, u reconciler.Interface[*widget]) (*reconciler.Loop[*widget], chain.Func) {
	t.Helper()
	loop, err := reconciler.New(p, kind(), u)
	if err != nil {
		t.Fatal(err)
	}
	return loop, chain.Wrap(loop.Reconcile, loop.Budget)
}

func start(t *testing.T, stored string) *process {
	t.Helper()
	p := runtimetest.NewProcess(limit)
	p.Put(stored)
	return p
}

var request = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: "w"}}

func ready(w *widget) *metav1.Condition {
	return apimeta.FindStatusCondition(w.Status.Conditions, reconciler.ConditionReady)
}

// quiet keeps the panics that a test makes out of its output.
func quiet(t *testing.T) {
	t.Helper()
	handlers := utilruntime.PanicHandlers
	utilruntime.PanicHandlers = nil
	t.Cleanup(func() { utilruntime.PanicHandlers = handlers })
}
