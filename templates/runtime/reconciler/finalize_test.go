package reconciler_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const deleting = `{"metadata":{"deletionTimestamp":"2030-01-01T00:00:00Z","finalizers":["other.example.com/x","` + runtimetest.Finalizer + `"]}}`

func TestTheFinalizerIsThereBeforeTheWork(t *testing.T) {
	p := start(t, `{"metadata":{"finalizers":["other.example.com/x"]}}`)
	_, f := build(t, p, finalizing{user: func(_ context.Context, w *widget) error {
		want := []string{"other.example.com/x", runtimetest.Finalizer}
		if diff := cmp.Diff(want, p.Widget().Finalizers); diff != "" {
			t.Errorf("stored finalizers when the work begins (-want +got):\n%s", diff)
		}
		w.Status.Phase = "Working"
		return nil
	}})
	for range 2 {
		if _, err := f.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	patches := p.Patches()
	if len(patches) != 2 || patches[0].Subresource != "" || patches[0].Type != types.MergePatchType || patches[1].Subresource != "status" {
		t.Errorf("patches %v, want one of the finalizers and one of the status", patches)
	}
	if got := p.Gets(); got != 2 {
		t.Errorf("%d reads in two passes", got)
	}
}

func TestNoFinalizerWithoutFinalizeKind(t *testing.T) {
	p := start(t, `{}`)
	_, f := build(t, p, user(succeed))
	if _, err := f.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := p.Widget().Finalizers; got != nil {
		t.Errorf("finalizers %v", got)
	}
}

func TestFinalizing(t *testing.T) {
	quiet(t)
	failure := errors.New("boom")
	tests := map[string]struct {
		finalize func(context.Context, *widget) error
		stop     error

		kept   bool // the finalizer
		reason string
		events []string
		after  time.Duration
		err    error
	}{
		"done":    {finalize: succeed},
		"failed":  {finalize: func(context.Context, *widget) error { return failure }, kept: true, reason: "FinalizeFailed", events: []string{"Warning FinalizeFailed Finalize: boom"}, err: failure},
		"panic":   {finalize: func(context.Context, *widget) error { panic("boom") }, kept: true, reason: "Panicked", events: []string{"Warning Panicked Finalize: panic: boom"}, err: errPanic},
		"timeout": {finalize: hang, kept: true, reason: "ReconcileDeadline", events: []string{"Warning ReconcileDeadline Finalize: reconcile budget used up"}, err: cause.ReconcileDeadline},
		"timeout swallowed": {
			finalize: func(ctx context.Context, w *widget) error { _ = hang(ctx, w); return nil },
			kept:     true, reason: "ReconcileDeadline", events: []string{"Warning ReconcileDeadline Finalize: reconcile budget used up"}, err: cause.ReconcileDeadline,
		},
		"pending": {
			finalize: func(context.Context, *widget) error { return requeue.Pending(time.Second, "Draining", "2 left") },
			kept:     true, reason: "Draining", events: []string{"Normal Draining Finalize: 2 left"}, after: time.Second,
		},
		"later": {
			finalize: func(context.Context, *widget) error { return requeue.After(time.Second) },
			kept:     true, reason: "Finalizing", events: []string{"Normal Finalizing Finalize: "}, after: time.Second,
		},
		"shutdown":        {finalize: hang, stop: cause.Shutdown, kept: true, reason: "Shutdown", events: []string{"Normal Shutdown Finalize: operator is shutting down"}},
		"leadership lost": {finalize: hang, stop: cause.LeadershipLost, kept: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, deleting)
				_, f := build(t, p, finalizing{
					user:     func(context.Context, *widget) error { t.Error("reconciled what is being deleted"); return nil },
					finalize: test.finalize,
				})
				if test.stop != nil {
					time.AfterFunc(time.Second, func() { p.Stop(test.stop) })
				}
				result, err := f.Reconcile(t.Context(), request)
				if result.RequeueAfter != test.after || !is(err, test.err) {
					t.Errorf("result %+v, error %v", result, err)
				}
				w := p.Widget()
				want := []string{"other.example.com/x"}
				if test.kept {
					want = append(want, runtimetest.Finalizer)
				}
				if diff := cmp.Diff(want, w.Finalizers); diff != "" {
					t.Errorf("finalizers (-want +got):\n%s", diff)
				}
				if c := ready(w); c == nil && test.reason != "" || c != nil && c.Reason != test.reason {
					t.Errorf("Ready %+v, want reason %q", c, test.reason)
				}
				if diff := cmp.Diff(test.events, p.Recorder.Events()); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestFinalizingWhatIsNotOurs(t *testing.T) {
	called := false
	finalizer := finalizing{user: succeed, finalize: func(context.Context, *widget) error { called = true; return nil }}
	t.Run("finalizer removed already", func(t *testing.T) {
		p := start(t, `{"metadata":{"deletionTimestamp":"2030-01-01T00:00:00Z","finalizers":["other.example.com/x"]}}`)
		_, f := build(t, p, finalizer)
		if _, err := f.Reconcile(t.Context(), request); err != nil || called || len(p.Patches()) != 0 {
			t.Errorf("error %v, called %t, patches %v", err, called, p.Patches())
		}
	})
	t.Run("nobody finalizes any more", func(t *testing.T) {
		p := start(t, deleting)
		_, f := build(t, p, user(func(context.Context, *widget) error { called = true; return nil }))
		if _, err := f.Reconcile(t.Context(), request); err != nil || called || len(p.Patches()) != 0 {
			t.Errorf("error %v, called %t, patches %v", err, called, p.Patches())
		}
		want := []string{"Warning Orphaned Finalize: finalizer " + runtimetest.Finalizer + " has no handler any more; remove it by hand"}
		if diff := cmp.Diff(want, p.Recorder.Events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestAFenceKeepsTheFinalizer(t *testing.T) {
	p := start(t, deleting)
	term, lose := context.WithCancelCause(t.Context())
	_, f := build(t, p, finalizing{finalize: func(context.Context, *widget) error { lose(cause.LeadershipLost); return nil }})
	if _, err := f.Reconcile(budget.WithFence(t.Context(), term), request); err != nil || len(p.Patches()) != 0 {
		t.Errorf("error %v, patches %v", err, p.Patches())
	}
}

// The list of finalizers is replaced, so a conflict must not wipe those that
// others have added.
func TestFinalizersOfOthersSurviveAConflict(t *testing.T) {
	for name, test := range map[string]struct {
		stored string
		want   []string
	}{
		"adding":   {`{"metadata":{"finalizers":["a/x"]}}`, []string{"a/x", "b/x", runtimetest.Finalizer}},
		"removing": {deleting, []string{"other.example.com/x", "b/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, test.stored)
				once := true
				p.BeforePatch = func(context.Context, patch) error {
					if once {
						once = false
						p.Edit(func(stored map[string]any) map[string]any {
							metadata := stored["metadata"].(map[string]any)
							finalizers := metadata["finalizers"].([]any)
							metadata["finalizers"] = append(finalizers[:1:1], append([]any{"b/x"}, finalizers[1:]...)...)
							return stored
						})
					}
					return nil
				}
				_, f := build(t, p, finalizing{user: succeed, finalize: succeed})
				if _, err := f.Reconcile(t.Context(), request); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, p.Widget().Finalizers); diff != "" {
					t.Errorf("finalizers (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAnObjectReplacedMeanwhileIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		once := true
		p.BeforePatch = func(context.Context, patch) error {
			if once {
				once = false
				p.Put(`{"metadata":{"uid":"uid-2"}}`)
			}
			return nil
		}
		_, f := build(t, p, finalizing{user: func(context.Context, *widget) error { t.Error("called"); return nil }})
		if _, err := f.Reconcile(t.Context(), request); err == nil {
			t.Error("no error, so no further pass")
		}
		if got := p.Widget().Finalizers; got != nil {
			t.Errorf("finalizers %v on another object", got)
		}
	})
}

func TestTheObjectGoesWithItsLastFinalizer(t *testing.T) {
	p := start(t, `{}`)
	_, f := build(t, p, finalizing{user: succeed, finalize: succeed})
	if _, err := f.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), p.Widget()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if w := p.Widget(); w != nil {
		t.Errorf("still there: %+v", w)
	}
}
