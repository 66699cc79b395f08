//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// work is what both operators do about a widget.
func work(_ context.Context, w *widget) error {
	w.Status.Phase = fmt.Sprintf("Size%d", w.Spec.Size)
	return nil
}

// plain is the same on controller-runtime alone, by a careful hand: it writes
// the status only if that has changed, and records an event when Ready changes,
// which costs more than everything else beside the status.
type plain struct {
	client.Client
	events recorder.EventRecorder
}

func (p plain) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	w := &widget{}
	if err := p.Get(ctx, req.NamespacedName, w); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := w.DeepCopy()
	if err := work(ctx, w); err != nil {
		return reconcile.Result{}, err
	}
	w.Status.ObservedGeneration = w.Generation
	apimeta.SetStatusCondition(&w.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Reconciled", ObservedGeneration: w.Generation,
	})
	if equality.Semantic.DeepEqual(before.Status, w.Status) {
		return reconcile.Result{}, nil
	}
	if err := p.Status().Update(ctx, w); err != nil {
		return reconcile.Result{}, err
	}
	if ready(before).Status != metav1.ConditionTrue {
		p.events.Eventf(w, nil, corev1.EventTypeNormal, "Reconciled", "Reconcile", "")
	}
	return reconcile.Result{}, nil
}

// startPlain runs an operator on controller-runtime alone.
func startPlain(ctx context.Context, b *testing.B, namespace string) (stopped <-chan error) {
	b.Helper()
	options := ctrl.Options{Scheme: runtimetest.Scheme()}
	limitTo(namespace, &options)
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		b.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(mgr).For(&widget{}).Complete(plain{mgr.GetClient(), mgr.GetEventRecorder("widget")}); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	return done
}

// startOurs runs an operator on this runtime.
func startOurs(ctx context.Context, b *testing.B, namespace string) (stopped <-chan error) {
	b.Helper()
	rt, err := manager.New(ctx, config, manager.Options{
		Scheme:    runtimetest.Scheme(),
		Configure: func(o *ctrl.Options) { limitTo(namespace, o) },
	})
	if err != nil {
		b.Fatal(err)
	}
	loop, err := reconciler.New(rt, kind(), user(work))
	if err != nil {
		b.Fatal(err)
	}
	if err := loop.Register(rt, wrap(rt, loop), rt.Gains(&runtimetest.WidgetList{})); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	return done
}

// BenchmarkThroughput changes many objects at once and takes the time until
// their status tells of it, with one worker each, turn by turn in one run: ours
// and plain controller-runtime with the same logic.
func BenchmarkThroughput(b *testing.B) {
	const objects, rounds = 200, 10
	type operator struct {
		start func(context.Context, *testing.B, string) <-chan error
		took  time.Duration
	}
	operators := map[string]*operator{"plain": {start: startPlain}, "ours": {start: startOurs}}
	for range b.N {
		for round := range rounds {
			for _, name := range []string{"plain", "ours"} {
				namespace := fmt.Sprintf("throughput-%s-%d-%d", name, names.Add(1), round)
				operators[name].took += settle(b, operators[name].start, namespace, objects)
			}
		}
	}
	rate := func(name string) float64 { return float64(b.N*rounds*objects) / operators[name].took.Seconds() }
	b.ReportMetric(rate("plain"), "plain-objects/s")
	b.ReportMetric(rate("ours"), "our-objects/s")
	b.ReportMetric(rate("ours")/rate("plain"), "ratio")
}

// settle creates objects, starts an operator and returns how long it takes from
// the first status to the last.
func settle(b *testing.B, start func(context.Context, *testing.B, string) <-chan error, namespace string, objects int) time.Duration {
	b.Helper()
	c := direct(b)
	createNamespace(b, c, namespace)
	for i := range objects {
		w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("w%d", i)}, Spec: runtimetest.WidgetSpec{Size: 1}}
		if err := c.Create(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		b.Fatal(err)
	}
	list := &runtimetest.WidgetList{}
	if err := c.List(b.Context(), list, client.InNamespace(namespace)); err != nil {
		b.Fatal(err)
	}
	watch, err := watcher.Watch(b.Context(), &runtimetest.WidgetList{}, client.InNamespace(namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Stop()

	ctx, stop := context.WithCancel(b.Context())
	done := start(ctx, b, namespace)
	settled := map[string]bool{}
	var first time.Time
	for event := range watch.ResultChan() {
		if w := event.Object.(*widget); w.Status.Phase == "Size1" && ready(w).Status == metav1.ConditionTrue {
			if settled[w.Name] = true; len(settled) == 1 {
				first = time.Now()
			}
		}
		if len(settled) == objects {
			break
		}
	}
	took := time.Since(first)
	stop()
	if err := <-done; err != nil {
		b.Error(err)
	}
	if err := c.DeleteAllOf(b.Context(), &widget{}, client.InNamespace(namespace)); err != nil {
		b.Fatal(err)
	}
	return took
}
