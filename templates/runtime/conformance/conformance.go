//go:build integration

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"
	"sigs.k8s.io/yaml"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
)

// patience bounds every wait for the API server.
const patience = 30 * time.Second

// Subject is the kind to be tested.
type Subject[T client.Object] struct {
	// Kind is the generated description.
	Kind reconciler.Kind[T]
	// Setup is the generated registration.
	Setup func(*manager.Runtime, reconciler.Interface[T], ...source.Source) error
	// AddToScheme adds the kind's API package.
	AddToScheme func(*runtime.Scheme) error
	// Sample is the path of a valid object in YAML.
	Sample string
	// Namespaced is false for a cluster-scoped kind.
	Namespaced bool
}

// Test runs the subject's wiring around reconcilers that succeed, hang, swallow
// their deadline, clean up and get interrupted. What the operator watches is late;
// the first of it is also tested where nothing is.
func Test[T client.Object](t *testing.T, config *rest.Config, s Subject[T]) {
	eachLag(t, config, func(t *testing.T, late *rest.Config) {
		b := newBench(t, late, s)
		t.Run("a success is reported", b.success)
		t.Run("a timeout is reported within the reserve", b.timeout)
		t.Run("a swallowed deadline is no success", b.swallowed)
		t.Run("a finalizer is kept and released", b.finalizer)
		t.Run("a shutdown is reported", b.shutdown)
	})
	t.Run("a success is reported, without lag", newBench(t, config, s).success)
}

type bench[T client.Object] struct {
	Subject[T]
	config *rest.Config // of the operator
	scheme *runtime.Scheme
	client client.Client
}

// newBench returns what a test of s on an API server needs.
func newBench[T client.Object](t *testing.T, config *rest.Config, s Subject[T]) *bench[T] {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, s.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &bench[T]{Subject: s, config: config, scheme: scheme, client: c}
}

// user is a reconciler made of a function.
type user[T client.Object] struct {
	reconcile func(ctx context.Context, obj T) error
}

func (u *user[T]) ReconcileKind(ctx context.Context, obj T) error { return u.reconcile(ctx, obj) }

// hurried is a user with little time.
type hurried[T client.Object] struct{ user[T] }

func (*hurried[T]) Budget() budget.Reconcile {
	return budget.Reconcile{Total: 3 * time.Second, Reserve: 2 * time.Second}
}

// tidy is a user that cleans up.
type tidy[T client.Object] struct {
	user[T]
	finalized atomic.Int64
}

func (u *tidy[T]) FinalizeKind(context.Context, T) error {
	u.finalized.Add(1)
	return nil
}

func (b *bench[T]) success(t *testing.T) {
	var seen atomic.Value
	b.run(t, &user[T]{func(_ context.Context, obj T) error {
		if s := reflect.ValueOf(obj).Elem().FieldByName("Status"); s.Kind() == reflect.Pointer && s.IsNil() && b.hasStatusStruct() {
			t.Error("ReconcileKind got an object without a status to write to")
		}
		seen.Store(client.ObjectKeyFromObject(obj))
		return nil
	}})
	obj := b.create(t)
	eventually(t, "ReconcileKind", func() bool { return seen.Load() == client.ObjectKeyFromObject(obj) })
	b.awaitReady(t, obj, metav1.ConditionTrue, "")
}

// hasStatusStruct reports whether a status can be made; a status of any shape is
// for the user to make.
func (b *bench[T]) hasStatusStruct() bool {
	return b.Kind.Status != nil && reflect.TypeOf(b.Kind.Status(b.Kind.New())).Elem().Kind() == reflect.Struct
}

func (b *bench[T]) timeout(t *testing.T) {
	var calls atomic.Int64
	b.run(t, &hurried[T]{user[T]{func(ctx context.Context, _ T) error {
		calls.Add(1)
		<-ctx.Done()
		return fmt.Errorf("ask the bank: %w", ctx.Err())
	}}})
	obj := b.create(t)
	b.awaitReady(t, obj, metav1.ConditionFalse, cause.ReconcileDeadline.Reason())
	eventually(t, "a second attempt", func() bool { return calls.Load() > 1 })
}

func (b *bench[T]) swallowed(t *testing.T) {
	var calls atomic.Int64
	b.run(t, &hurried[T]{user[T]{func(ctx context.Context, _ T) error {
		calls.Add(1)
		<-ctx.Done()
		return nil
	}}})
	obj := b.create(t)
	b.awaitReady(t, obj, metav1.ConditionFalse, cause.ReconcileDeadline.Reason())
	eventually(t, "a second attempt", func() bool { return calls.Load() > 1 })
}

func (b *bench[T]) finalizer(t *testing.T) {
	u := &tidy[T]{user: user[T]{func(context.Context, T) error { return nil }}}
	b.run(t, u)
	obj := b.create(t)
	eventually(t, "the finalizer", func() bool { return len(b.get(t, obj).GetFinalizers()) > 0 })
	if err := b.client.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the object", func() bool {
		return apierrors.IsNotFound(b.client.Get(t.Context(), client.ObjectKeyFromObject(obj), b.Kind.New()))
	})
	if u.finalized.Load() == 0 {
		t.Error("the object is gone and FinalizeKind was never called")
	}
}

func (b *bench[T]) shutdown(t *testing.T) {
	running := make(chan struct{}, 100)
	stop := b.run(t, &user[T]{func(ctx context.Context, _ T) error {
		running <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	obj := b.create(t)
	<-running
	if err := stop(); err != nil {
		t.Errorf("Run() = %v after a shutdown in mid-reconcile, want nil", err)
	}
	b.awaitReady(t, obj, metav1.ConditionUnknown, cause.Shutdown.Reason())
}

// run starts an operator with u as the kind's reconciler. The operator ends
// with the test or when the returned function is called, which returns what
// Run returned.
func (b *bench[T]) run(t *testing.T, u reconciler.Interface[T]) func() error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	rt, err := manager.New(ctx, b.config, manager.Options{
		Scheme:   b.scheme,
		Settings: manager.Settings{MetricsBindAddress: "0", ProbeBindAddress: "0"},
		Configure: func(o *ctrl.Options) {
			reused := true // one process, several operators, one controller name
			o.Controller.SkipNameValidation = &reused
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(rt, u); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	var ended bool
	stop := func() error {
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !ended {
			if err := stop(); err != nil {
				t.Errorf("Run() = %v", err)
			}
		}
	})
	return stop
}

// create puts the sample into the cluster, under a name of its own, until the
// test ends.
func (b *bench[T]) create(t *testing.T) T {
	t.Helper()
	text, err := os.ReadFile(b.Sample)
	if err != nil {
		t.Fatal(err)
	}
	obj := b.Kind.New()
	if err := yaml.UnmarshalStrict(text, obj); err != nil {
		t.Fatalf("%s: %v", b.Sample, err)
	}
	obj.SetName("")
	obj.SetGenerateName("conformance-")
	if b.Namespaced {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}
		if err := b.client.Create(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		obj.SetNamespace(namespace.Name)
	}
	if err := b.client.Create(t.Context(), obj); err != nil {
		t.Fatalf("create %s: %v", b.Sample, err)
	}
	t.Cleanup(func() {
		ctx, cancel := detached(t)
		defer cancel()
		if err := client.IgnoreNotFound(b.client.Delete(ctx, obj)); err != nil {
			t.Error(err)
		}
	})
	return obj
}

func (b *bench[T]) get(t *testing.T, obj T) T {
	t.Helper()
	now := b.Kind.New()
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(obj), now); err != nil {
		t.Fatal(err)
	}
	return now
}

// awaitReady waits for a Ready condition with the status and, unless empty, the
// reason given. A kind without conditions has nothing to show.
func (b *bench[T]) awaitReady(t *testing.T, obj T, status metav1.ConditionStatus, reason string) {
	t.Helper()
	if b.Kind.Conditions == nil {
		return
	}
	var last *metav1.Condition
	defer func() {
		if t.Failed() {
			t.Logf("the last Ready condition: %+v", last)
		}
	}()
	eventually(t, fmt.Sprintf("Ready=%s %s", status, reason), func() bool {
		now := b.get(t, obj)
		last = meta.FindStatusCondition(*b.Kind.Conditions(now), reconciler.ConditionReady)
		return last != nil && last.Status == status && (reason == "" || last.Reason == reason) &&
			last.ObservedGeneration == now.GetGeneration()
	})
}

// detached returns a context for cleaning up, when the test's own has ended.
func detached(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.Context()), patience)
}

// eventually polls until the condition holds or patience ends.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("waited in vain for "+what))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
}
