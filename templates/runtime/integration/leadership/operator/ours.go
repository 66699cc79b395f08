package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// writer is the user's reconciler: it counts up in each widget and signs.
type writer struct{ sign func() string }

func (w writer) ReconcileKind(_ context.Context, obj *runtimetest.Widget) error {
	obj.Status.Serial++
	obj.Status.Phase = w.sign()
	return requeue.After(pause)
}

func (writer) Configure(b *reconciler.Builder) error {
	b.WithOptions(controller.Options{MaxConcurrentReconciles: workers})
	return nil
}

// ours runs the operator on this repository's runtime.
func ours(ctx context.Context, config *rest.Config, o options, line *network) error {
	rt, err := manager.New(ctx, config, manager.Options{
		Scheme: runtimetest.Scheme(),
		Settings: manager.Settings{
			ReconcileTimeout: 5 * time.Second, MetricsBindAddress: "0", ProbeBindAddress: o.probes,
			LeaderElection: true, LeaderElectionID: o.leader.Name, Leader: o.leader,
		},
		Configure: func(c *ctrl.Options) { c.Cache.DefaultNamespaces = map[string]cache.Config{o.namespace: {}} },
	})
	if err != nil {
		return err
	}
	signature := signer(rt.Election(), o.leader.Identity)
	loop, err := reconciler.New(rt, reconciler.Kind[*runtimetest.Widget]{
		Name:                  "widget",
		New:                   func() *runtimetest.Widget { return &runtimetest.Widget{} },
		Status:                func(w *runtimetest.Widget) any { return &w.Status },
		StatusSubresource:     true,
		Conditions:            func(w *runtimetest.Widget) *[]metav1.Condition { return &w.Status.Conditions },
		SetObservedGeneration: func(w *runtimetest.Widget, g int64) { w.Status.ObservedGeneration = g },
	}, writer{signature})
	if err != nil {
		return err
	}
	links := chain.Wrap(loop.Reconcile, rt.Election().Gate(loop.Observe), loop.Budget)
	if err := loop.Register(rt, links, rt.Gains(&runtimetest.WidgetList{})); err != nil {
		return err
	}
	if err := rt.Add(ctrlmanager.RunnableFunc(func(ctx context.Context) error {
		if term, err := rt.Election().Term(); err == nil { // it is not over already
			name := signature()
			tell(event{Event: "leading", Term: name})
			// When the process is stopped, ctx ends before the term does.
			term.OnEnd(func() { tell(event{Event: "observing", Term: name, Reason: term.Check().Error()}) })
		}
		<-ctx.Done()
		return nil
	})); err != nil {
		return err
	}
	api := rt.Election().HTTP(&api{client: rt.GetClient(), namespace: o.namespace})
	if err := serve(ctx, o.address, api, line); err != nil {
		return err
	}
	return rt.Run(ctx)
}

// signer returns a function that names the process and its term, which it counts.
func signer(election *leader.Election, identity string) func() string {
	var mu sync.Mutex
	var last *leader.Term
	number := 0
	return func() string {
		term, err := election.Term()
		if err != nil {
			return identity + "/over"
		}
		mu.Lock()
		defer mu.Unlock()
		if term != last {
			last = term
			number++
		}
		return fmt.Sprintf("%s/%d", identity, number)
	}
}
