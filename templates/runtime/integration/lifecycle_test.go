//go:build integration

package integration_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// outcomes collects what the passes over one object come to, as an observing
// link sees it.
type outcomes struct {
	name string
	seen chan string
}

func (o *outcomes) link(next chain.Func) chain.Func {
	return func(ctx context.Context, req reconcile.Request) error {
		err := next(ctx, req)
		if req.Name == o.name {
			select {
			case o.seen <- cause.Classify(ctx, err).Name:
			default:
			}
		}
		return err
	}
}

func TestShutdownInMidReconcile(t *testing.T) {
	w := create(t, &widget{})
	running := make(chan struct{})
	seen := outcomes{w.Name, make(chan string, 10)}
	o := run(t, config, manager.Settings{}, user(func(ctx context.Context, o *widget) error {
		if o.Name != w.Name {
			return nil
		}
		o.Status.Phase = "Working"
		close(running)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), cause.Shutdown) {
			t.Errorf("cause %v", context.Cause(ctx))
		}
		return ctx.Err()
	}), seen.link)
	<-running
	took, err := o.end()
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
	t.Logf("shutdown took %s", took)
	if took > 5*time.Second {
		t.Errorf("shutdown took %s", took)
	}
	stored := get(t, w)
	if c := ready(stored); c.Status != metav1.ConditionUnknown || c.Reason != "Shutdown" || stored.Status.Phase != "Working" {
		t.Errorf("status %+v", stored.Status)
	}
	if got := <-seen.seen; got != "shutdown" {
		t.Errorf("outcome %q", got)
	}
}

// finalizing is a user's reconciler that cleans up.
type finalizing struct {
	user
	finalize func(context.Context, *widget) error
}

func (f finalizing) FinalizeKind(ctx context.Context, w *widget) error { return f.finalize(ctx, w) }

func TestLifeOfAFinalizer(t *testing.T) {
	w := create(t, &widget{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{"test.ctxscaffold.dev/other"}}})
	var attempts atomic.Int32
	run(t, config, manager.Settings{}, finalizing{
		user: func(_ context.Context, o *widget) error {
			if stored := get(t, o); len(stored.Finalizers) == 0 || stored.Finalizers[len(stored.Finalizers)-1] != runtimetest.Finalizer {
				t.Errorf("finalizers %v when the work begins", stored.Finalizers)
			}
			return nil
		},
		finalize: func(_ context.Context, o *widget) error {
			if o.Name != w.Name {
				return nil
			}
			switch attempts.Add(1) {
			case 1:
				return errors.New("boom")
			case 2:
				return requeue.Pending(10*time.Millisecond, "Draining", "2 left")
			}
			return nil
		},
	})
	eventually(t, "reconciled", func() bool { return ready(get(t, w)).Reason == "Reconciled" })
	if err := direct(t).Delete(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	eventually(t, "finalized", func() bool {
		f := get(t, w).Finalizers
		return len(f) == 1 && f[0] == "test.ctxscaffold.dev/other"
	})
	if attempts.Load() < 3 {
		t.Errorf("finalized after %d attempts", attempts.Load())
	}
	if c := ready(get(t, w)); c.Reason != "Draining" {
		t.Errorf("Ready %+v", c)
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := direct(t).Patch(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Name: w.Name, Namespace: w.Namespace}}, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "gone", func() bool {
		return apierrors.IsNotFound(direct(t).Get(t.Context(), client.ObjectKeyFromObject(w), &widget{}))
	})
}

// interruptible is a user's reconciler that is to be told of newer objects.
type interruptible struct{ user }

func (interruptible) Interruptible() bool { return true }

func TestSupersededWorkEndsEarly(t *testing.T) {
	t.Run("by a newer generation", func(t *testing.T) {
		w := create(t, &widget{})
		running := make(chan struct{}, 10)
		seen := outcomes{w.Name, make(chan string, 10)}
		run(t, config, manager.Settings{ReconcileTimeout: time.Minute}, interruptible{func(ctx context.Context, o *widget) error {
			if o.Name != w.Name || o.Spec.Size == 2 {
				return nil
			}
			o.Status.Serial = 1 // such as the id of something half made
			running <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}, seen.link)
		<-running
		begin := time.Now()
		changed := get(t, w)
		changed.Spec.Size = 2
		if err := direct(t).Update(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		if got := <-seen.seen; got != "superseded" {
			t.Errorf("outcome %q", got)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("superseded after %s", took)
		}
		eventually(t, "the next pass is recorded", func() bool {
			stored := get(t, w)
			return ready(stored).Reason == "Reconciled" && stored.Status.ObservedGeneration == 2 && stored.Status.Serial == 1
		})
	})
	t.Run("by deletion", func(t *testing.T) {
		w := create(t, &widget{})
		running := make(chan struct{}, 10)
		seen := outcomes{w.Name, make(chan string, 10)}
		run(t, config, manager.Settings{ReconcileTimeout: time.Minute}, interruptible{func(ctx context.Context, o *widget) error {
			if o.Name == w.Name {
				running <- struct{}{}
				<-ctx.Done()
			}
			return ctx.Err()
		}}, seen.link)
		<-running
		if err := direct(t).Delete(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if got := <-seen.seen; got != "superseded" {
			t.Errorf("outcome %q", got)
		}
	})
	t.Run("not unless it is asked for", func(t *testing.T) {
		w := create(t, &widget{})
		running := make(chan struct{}, 10)
		seen := outcomes{w.Name, make(chan string, 10)}
		run(t, config, manager.Settings{ReconcileTimeout: 2 * time.Second}, user(func(ctx context.Context, o *widget) error {
			if o.Name != w.Name || o.Spec.Size == 2 {
				return nil
			}
			running <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}), seen.link)
		<-running
		changed := get(t, w)
		changed.Spec.Size = 2
		if err := direct(t).Update(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		if got := <-seen.seen; got != "reconcile_deadline" {
			t.Errorf("outcome %q", got)
		}
	})
}

// gadget is a kind without the status subresource.
type gadget struct {
	widget `json:",inline"`
}

func (g *gadget) DeepCopyObject() runtime.Object { return &gadget{*g.DeepCopy()} }

type gadgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []gadget `json:"items"`
}

func (l *gadgetList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = nil
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*gadget))
	}
	return &c
}

type gadgetUser struct{ passes, size atomic.Int64 }

func (u *gadgetUser) ReconcileKind(_ context.Context, g *gadget) error {
	g.Status.Serial = u.passes.Add(1) // another status in each pass
	u.size.Store(g.Spec.Size)
	g.Status.Phase = "Ready"
	return nil
}

// Without the status subresource a status write makes a new generation, which is no
// reason for another pass, whatever the status says.
func TestAKindWithoutStatusSubresourceComesToRest(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := addGadgets(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	g := &gadget{widget{ObjectMeta: metav1.ObjectMeta{Name: "g", Namespace: "default"}}}
	if err := c.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	u := runGadgets(t, scheme)
	stored := &gadget{}
	eventually(t, "the pass is recorded", func() bool {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(g), stored); err != nil {
			t.Fatal(err)
		}
		return ready(&stored.widget).Reason == "Reconciled"
	})
	stored.Spec.Size++
	if err := c.Update(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pass over the new size", func() bool { return u.size.Load() == stored.Spec.Size })
	if got := u.passes.Load(); got > 3 { // one more if the update came in the middle of one
		t.Errorf("%d passes of an object that was changed once", got)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(g), stored); err != nil {
		t.Fatal(err)
	}
	if stored.Status.ObservedGeneration != 0 || ready(&stored.widget).ObservedGeneration != 0 || stored.Status.Phase != "Ready" {
		t.Errorf("status %+v", stored.Status)
	}
}

func addGadgets(scheme *runtime.Scheme) error {
	gv := runtimetest.GroupVersion
	scheme.AddKnownTypeWithName(gv.WithKind("Gadget"), &gadget{})
	scheme.AddKnownTypeWithName(gv.WithKind("GadgetList"), &gadgetList{})
	metav1.AddToGroupVersion(scheme, gv)
	return nil
}

func runGadgets(t *testing.T, scheme *runtime.Scheme) *gadgetUser {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	rt, err := manager.New(ctx, config, manager.Options{Scheme: scheme, Settings: manager.Settings{MetricsBindAddress: "0", ProbeBindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	u := &gadgetUser{}
	loop, err := reconciler.New(rt, reconciler.Kind[*gadget]{
		Name:                  "gadget",
		New:                   func() *gadget { return &gadget{} },
		Status:                func(g *gadget) any { return &g.Status },
		Conditions:            func(g *gadget) *[]metav1.Condition { return &g.Status.Conditions },
		SetObservedGeneration: func(g *gadget, n int64) { g.Status.ObservedGeneration = n },
	}, u)
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Register(rt, chain.Wrap(loop.Reconcile, loop.Budget)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return u
}
