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
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// work is what an operator does about a widget, with a client to write with.
type work func(client.Client) user

// writesStatus writes only the status.
func writesStatus(client.Client) user {
	return func(_ context.Context, w *widget) error {
		w.Status.Phase = fmt.Sprintf("Size%d", w.Spec.Size)
		return nil
	}
}

// writesObject writes the object too.
func writesObject(c client.Client) user {
	write := writesStatus(c)
	return func(ctx context.Context, w *widget) error {
		if size := fmt.Sprint(w.Spec.Size); w.Annotations["size"] != size {
			before := w.DeepCopy()
			metav1.SetMetaDataAnnotation(&w.ObjectMeta, "size", size)
			if err := c.Patch(ctx, w, client.MergeFrom(before)); err != nil {
				return err
			}
		}
		return write(ctx, w)
	}
}

// plain is the same on controller-runtime alone, by a careful hand: it writes
// the status only if that has changed, and records an event when Ready changes,
// which costs more than everything else beside the status.
type plain struct {
	client.Client
	events recorder.EventRecorder
	work   user
}

func (p plain) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	w := &widget{}
	if err := p.Get(ctx, req.NamespacedName, w); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := w.DeepCopy()
	if err := p.work(ctx, w); err != nil {
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
func startPlain(ctx context.Context, b testing.TB, cfg *rest.Config, namespace string, work work) (stopped <-chan error) {
	b.Helper()
	options := ctrl.Options{Scheme: runtimetest.Scheme()}
	limitTo(namespace, &options)
	mgr, err := ctrl.NewManager(cfg, options)
	if err != nil {
		b.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(mgr).For(&widget{}).Complete(plain{mgr.GetClient(), mgr.GetEventRecorder("widget"), work(mgr.GetClient())}); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	return done
}

// startOurs runs an operator on this runtime.
func startOurs(ctx context.Context, b testing.TB, cfg *rest.Config, namespace string, work work) (stopped <-chan error) {
	b.Helper()
	rt, err := manager.New(ctx, cfg, manager.Options{
		Scheme:    runtimetest.Scheme(),
		Configure: func(o *ctrl.Options) { limitTo(namespace, o) },
	})
	if err != nil {
		b.Fatal(err)
	}
	loop, err := reconciler.New(rt, kind(), work(rt.GetClient()))
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

// starts are how the operators that are compared are started, the plain one first.
var starts = []func(context.Context, testing.TB, *rest.Config, string, work) (stopped <-chan error){startPlain, startOurs}

// BenchmarkThroughput lets both operators loose on as many objects each, at the
// same time and on the same API server, so that whatever else the machine does
// is shared, and counts how many each has settled when the first of them has
// settled all. Each has one worker.
func BenchmarkThroughput(b *testing.B) {
	for name, work := range map[string]work{"status": writesStatus, "object": writesObject} {
		b.Run(name, func(b *testing.B) { throughput(b, work) })
	}
}

func throughput(b *testing.B, work work) {
	const objects, rounds = 300, 6
	settled := make([]int, len(starts))
	var took time.Duration
	for range b.N {
		for range rounds {
			ctx, stop := context.WithCancel(b.Context())
			var events []<-chan apiwatch.Event
			var ended []<-chan error
			namespace := fmt.Sprintf("throughput-%d-", names.Add(1))
			for i := range starts {
				events = append(events, prepare(ctx, b, fmt.Sprint(namespace, i), objects))
			}
			for i, start := range starts {
				ended = append(ended, start(ctx, b, config, fmt.Sprint(namespace, i), work))
			}
			counts, window := race(b, events, objects)
			for i := range counts {
				settled[i] += counts[i]
			}
			took += window
			stop()
			for _, end := range ended {
				if err := <-end; err != nil {
					b.Error(err)
				}
			}
		}
	}
	b.ReportMetric(float64(settled[0])/took.Seconds(), "plain-objects/s")
	b.ReportMetric(float64(settled[1])/took.Seconds(), "our-objects/s")
	b.ReportMetric(float64(settled[1])/float64(settled[0]), "ratio")
}

// prepare creates objects in a namespace of their own and returns what happens
// to them from then on.
func prepare(ctx context.Context, b *testing.B, namespace string, objects int) <-chan apiwatch.Event {
	b.Helper()
	c := direct(b)
	createNamespace(b, c, namespace)
	for i := range objects {
		w := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("w%d", i)}, Spec: runtimetest.WidgetSpec{Size: 1}}
		if err := c.Create(ctx, w); err != nil {
			b.Fatal(err)
		}
	}
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		b.Fatal(err)
	}
	list := &runtimetest.WidgetList{}
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
		b.Fatal(err)
	}
	w, err := watcher.Watch(ctx, &runtimetest.WidgetList{}, client.InNamespace(namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.Stop)
	return w.ResultChan()
}

// race counts the objects that either side settles between the moment when both
// have begun and the moment when one has settled all of its own.
func race(b *testing.B, events []<-chan apiwatch.Event, objects int) (counts []int, window time.Duration) {
	b.Helper()
	seen := []map[string]bool{{}, {}}
	note := func(side int, event apiwatch.Event) {
		if event.Object == nil {
			b.Fatal("a watch has ended")
		}
		if w, ok := event.Object.(*widget); ok && w.Status.Phase == "Size1" && ready(w).Status == metav1.ConditionTrue {
			seen[side][w.Name] = true
		}
	}
	var begin time.Time
	var before []int
	for len(seen[0]) < objects && len(seen[1]) < objects {
		select {
		case event := <-events[0]:
			note(0, event)
		case event := <-events[1]:
			note(1, event)
		}
		if before == nil && len(seen[0]) > 0 && len(seen[1]) > 0 {
			begin, before = time.Now(), []int{len(seen[0]), len(seen[1])}
		}
	}
	return []int{len(seen[0]) - before[0], len(seen[1]) - before[1]}, time.Since(begin)
}
