package reconciler_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

func TestStatusIsWrittenInItsReserve(t *testing.T) {
	late := func(d time.Duration) func(context.Context, *widget) error {
		return func(_ context.Context, w *widget) error { w.Status.Serial = 7; time.Sleep(d); return nil }
	}
	for name, test := range map[string]struct {
		work func(context.Context, *widget) error
		left time.Duration
	}{
		"after a timeout":         {func(ctx context.Context, w *widget) error { w.Status.Serial = 7; return hang(ctx, w) }, limit.Reserve},
		"after an overrun":        {late(limit.Work() + 3*time.Second), limit.Reserve - 3*time.Second},
		"after the total is gone": {late(time.Hour), limit.Reserve / 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, `{}`)
				p.BeforePatch = func(ctx context.Context, _ patch) error {
					if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != test.left {
						t.Errorf("status write has a deadline: %t, in %s", ok, time.Until(deadline))
					}
					return nil
				}
				_, f := build(t, p, user(test.work))
				if _, err := f.Reconcile(t.Context(), request); !errors.Is(err, cause.ReconcileDeadline) {
					t.Errorf("error %v", err)
				}
				if got := p.Widget().Status.Serial; got != 7 {
					t.Errorf("status has serial %d", got)
				}
			})
		})
	}
}

func TestAStatusWriteThatHangsEndsWithTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		p.BeforePatch = func(ctx context.Context, _ patch) error { <-ctx.Done(); return ctx.Err() }
		_, f := build(t, p, user(succeed))
		begin := time.Now()
		_, err := f.Reconcile(t.Context(), request)
		if took := time.Since(begin); took != limit.Reserve {
			t.Errorf("took %s", took)
		}
		if !errors.Is(err, cause.StatusDeadline) {
			t.Errorf("error %v", err)
		}
	})
}

// Whatever the pass came to, a status that is not written is an error.
func TestAFailedStatusWriteIsRepeated(t *testing.T) {
	denied := apierrors.NewForbidden(runtimetest.GroupVersion.WithResource("widgets").GroupResource(), "w", errors.New("no"))
	failure := errors.New("boom")
	for name, verdict := range map[string]error{
		"success": nil, "later": requeue.After(time.Minute), "terminal": requeue.Terminal(failure), "failure": failure,
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, `{}`)
			p.BeforePatch = func(context.Context, patch) error { return denied }
			_, f := build(t, p, user(func(context.Context, *widget) error { return verdict }))
			result, err := f.Reconcile(t.Context(), request)
			if !result.IsZero() || !errors.Is(err, denied) || requeue.IsTerminal(err) {
				t.Errorf("result %+v, error %v", result, err)
			}
			if name == "failure" && !errors.Is(err, failure) {
				t.Errorf("error %v hides the pass's own", err)
			}
			if got := p.Recorder.Events(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning StatusRefused") {
				t.Errorf("events %v, want one of the refusal and none of what was not written", got)
			}
		})
	}
}

// At a shutdown nothing is repeated, so the log must tell of it.
func TestAFailedStatusWriteAtShutdownIsLogged(t *testing.T) {
	p := start(t, `{}`)
	p.BeforePatch = func(context.Context, patch) error { return errors.New("no answer") }
	_, f := build(t, p, user(func(ctx context.Context, w *widget) error { p.Stop(cause.Shutdown); return hang(ctx, w) }))
	var lines []string
	logger := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	result, err := f.Reconcile(log.IntoContext(t.Context(), logger), request)
	if err != nil || !result.IsZero() {
		t.Errorf("result %+v, error %v", result, err)
	}
	if len(lines) != 1 || !strings.Contains(lines[0], "Status not written") || !strings.Contains(lines[0], "no answer") {
		t.Errorf("log %q", lines)
	}
}

func TestNothingIsWrittenWhereAFenceFell(t *testing.T) {
	t.Run("before the status", func(t *testing.T) {
		p := start(t, `{}`)
		term, lose := context.WithCancelCause(t.Context())
		_, f := build(t, p, user(func(context.Context, *widget) error { lose(cause.LeadershipLost); return nil }))
		result, err := f.Reconcile(budget.WithFence(t.Context(), term), request)
		if err != nil || !result.IsZero() || len(p.Patches()) != 0 || len(p.Recorder.Events()) != 0 {
			t.Errorf("result %+v, error %v, patches %v, events %v", result, err, p.Patches(), p.Recorder.Events())
		}
	})
	t.Run("during the status", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, `{}`)
			term, lose := context.WithCancelCause(t.Context())
			p.BeforePatch = func(ctx context.Context, _ patch) error {
				lose(cause.LeadershipLost)
				<-ctx.Done()
				return ctx.Err()
			}
			_, f := build(t, p, user(succeed))
			begin := time.Now()
			if _, err := f.Reconcile(budget.WithFence(t.Context(), term), request); err != nil {
				t.Errorf("error %v", err)
			}
			if took := time.Since(begin); took != 0 || len(p.Patches()) != 1 {
				t.Errorf("took %s, %d patches", took, len(p.Patches()))
			}
		})
	})
}

func TestThePassEndsWithTheProcess(t *testing.T) {
	p := start(t, `{}`)
	called := false
	_, f := build(t, p, user(func(context.Context, *widget) error { called = true; return nil }))
	p.Stop(cause.Shutdown)
	if result, err := f.Reconcile(t.Context(), request); err != nil || !result.IsZero() || called {
		t.Errorf("result %+v, error %v, called %t", result, err, called)
	}
}

// Without the runtime's own manager a controller is stopped by a bare cancel.
func TestABareCancelIsNoError(t *testing.T) {
	p := start(t, `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	_, f := build(t, p, user(func(ctx context.Context, w *widget) error { cancel(); return hang(ctx, w) }))
	if result, err := f.Reconcile(ctx, request); err != nil || !result.IsZero() {
		t.Errorf("result %+v, error %v", result, err)
	}
	if got := ready(p.Widget()); got == nil || got.Reason != reconciler.ReasonCanceled {
		t.Errorf("Ready %+v", got)
	}
}

func TestPanicsReachTheHandlers(t *testing.T) {
	quiet(t)
	var got any
	utilruntime.PanicHandlers = append(utilruntime.PanicHandlers, func(_ context.Context, value any) { got = value })
	p := start(t, `{}`)
	_, f := build(t, p, user(func(context.Context, *widget) error { panic("boom") }))
	if _, err := f.Reconcile(t.Context(), request); !is(err, errPanic) || got != "boom" {
		t.Errorf("error %v, handler got %v", err, got)
	}
}

// What a superseded pass began must not be forgotten, such as the name of
// something half made; whether the object is ready is for the next pass to say.
func TestASupersededPassKeepsItsStatusAndLeavesReady(t *testing.T) {
	p := start(t, `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Reconciled","observedGeneration":1}]}}`)
	ctx, cancel := context.WithCancelCause(t.Context())
	_, f := build(t, p, user(func(ctx context.Context, w *widget) error {
		w.Status.Serial = 7
		cancel(cause.Superseded)
		return hang(ctx, w)
	}))
	result, err := f.Reconcile(ctx, request)
	if err != nil || !result.IsZero() {
		t.Errorf("result %+v, error %v", result, err)
	}
	w := p.Widget()
	if c := ready(w); w.Status.Serial != 7 || c.Status != metav1.ConditionTrue || c.Reason != "Reconciled" || w.Status.ObservedGeneration != 0 {
		t.Errorf("status %+v", w.Status)
	}
	if got := p.Recorder.Events(); len(got) != 0 {
		t.Errorf("events %v", got)
	}
}

func TestReading(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		p := runtimetest.NewProcess(limit)
		_, f := build(t, p, user(func(context.Context, *widget) error { t.Error("called"); return nil }))
		if result, err := f.Reconcile(t.Context(), request); err != nil || !result.IsZero() {
			t.Errorf("result %+v, error %v", result, err)
		}
	})
	t.Run("failing", func(t *testing.T) {
		p := start(t, `{}`)
		failure := apierrors.NewInternalError(errors.New("boom"))
		rt := unreadable{process: p, err: failure}
		loop, err := reconciler.New[*widget](rt, kind(), user(succeed))
		if err != nil {
			t.Fatal(err)
		}
		if err := loop.Reconcile(t.Context(), request); !errors.Is(err, failure) {
			t.Errorf("error %v", err)
		}
	})
}

// unreadable is a process whose client cannot read.
type unreadable struct {
	*process
	err error
}

func (u unreadable) GetClient() client.Client { return failingReads{u.process.GetClient(), u.err} }

type failingReads struct {
	client.Client
	err error
}

func (f failingReads) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return f.err
}

func TestOnlyTheStatusIsWritten(t *testing.T) {
	p := start(t, `{"spec":{"size":1}}`)
	_, f := build(t, p, user(func(_ context.Context, w *widget) error {
		w.Spec.Size, w.Status.Phase = 2, "Working"
		w.Labels = map[string]string{"a": "b"}
		return nil
	}))
	if _, err := f.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	w := p.Widget()
	if w.Spec.Size != 1 || w.Labels != nil || w.Status.Phase != "Working" {
		t.Errorf("stored %+v", w)
	}
	if patches := p.Patches(); len(patches) != 1 || strings.Contains(patches[0].Data, "spec") {
		t.Errorf("patches %v", patches)
	}
}

func TestASecondPassWritesNothing(t *testing.T) {
	for _, inSpec := range []bool{false, true} {
		p := start(t, `{}`)
		p.StatusInSpec = inSpec
		k := kind()
		k.StatusSubresource = !inSpec
		loop, err := reconciler.New(p, k, user(succeed))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := loop.Reconcile(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(p.Patches()); n != 1 {
			t.Errorf("without subresource %t: %d writes in three passes", inSpec, n)
		}
	}
}

func TestKindsWithoutParts(t *testing.T) {
	failure := errors.New("boom")
	for name, change := range map[string]func(*reconciler.Kind[*widget]){
		"no status":             func(k *reconciler.Kind[*widget]) { k.Status, k.Conditions, k.SetObservedGeneration = nil, nil, nil },
		"no conditions":         func(k *reconciler.Kind[*widget]) { k.Conditions = nil },
		"no observedGeneration": func(k *reconciler.Kind[*widget]) { k.SetObservedGeneration = nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, `{}`)
			k := kind()
			change(&k)
			result := failure
			loop, err := reconciler.New(p, k, user(func(_ context.Context, w *widget) error { w.Status.Serial++; return result }))
			if err != nil {
				t.Fatal(err)
			}
			if err := loop.Reconcile(t.Context(), request); !errors.Is(err, failure) {
				t.Errorf("error %v", err)
			}
			if events := p.Recorder.Events(); len(events) != 1 {
				t.Errorf("events of a failure %v", events)
			}
			if result = nil; loop.Reconcile(t.Context(), request) != nil {
				t.Error("second pass failed")
			}
			w := p.Widget()
			if wrote := w.Status.Serial != 0; wrote != (k.Status != nil) {
				t.Errorf("status written: %t", wrote)
			}
			if has := ready(w) != nil; has != (k.Conditions != nil) {
				t.Errorf("Ready condition: %t", has)
			}
			if k.Conditions == nil && len(p.Recorder.Events()) != 1 {
				t.Errorf("events %v: success is no transition where no state is kept", p.Recorder.Events())
			}
		})
	}
}

// A status that is a pointer in the Go type is made before the user's code runs.
func TestTheUsersCodeHasAStatusToWriteTo(t *testing.T) {
	for _, stored := range []string{`{}`, deleting} {
		p := start(t, stored)
		k := kind()
		k.Status = func(w *widget) any { w.Annotations = map[string]string{"status": "made"}; return &w.Status }
		check := func(_ context.Context, w *widget) error {
			if w.Annotations["status"] != "made" {
				t.Errorf("%s: no status", stored)
			}
			return nil
		}
		loop, err := reconciler.New(p, k, finalizing{user: check, finalize: check})
		if err != nil {
			t.Fatal(err)
		}
		if err := loop.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		watcher, err := reconciler.New(p, k, observing{user: check, observe: check})
		if err != nil {
			t.Fatal(err)
		}
		if err := watcher.Observe(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheLoggerIsEnrichedNotReplaced(t *testing.T) {
	p := start(t, `{"metadata":{"generation":4}}`)
	_, f := build(t, p, user(func(ctx context.Context, _ *widget) error { log.FromContext(ctx).Info("here"); return nil }))
	var lines []string
	logger := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}).WithValues("reconcileID", "id-1")
	if _, err := f.Reconcile(log.IntoContext(t.Context(), logger), request); err != nil {
		t.Fatal(err)
	}
	want := []string{`"level"=0 "msg"="here" "reconcileID"="id-1" "generation"=4`}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// observing sees objects while its replica does not lead.
type observing struct {
	user
	observe func(context.Context, *widget) error
}

func (o observing) ObserveKind(ctx context.Context, w *widget) error { return o.observe(ctx, w) }

func TestObserveWritesNothing(t *testing.T) {
	quiet(t)
	failure := errors.New("boom")
	tests := map[string]struct {
		user    reconciler.Interface[*widget]
		stored  string
		wantErr error
	}{
		"seen":            {observing{observe: func(_ context.Context, w *widget) error { w.Status.Serial = 7; return nil }}, `{}`, nil},
		"failed":          {observing{observe: func(context.Context, *widget) error { return failure }}, `{}`, failure},
		"panicked":        {observing{observe: func(context.Context, *widget) error { panic("boom") }}, `{}`, errPanic},
		"nobody observes": {user(func(context.Context, *widget) error { panic("ReconcileKind") }), `{}`, nil},
		"gone":            {observing{observe: func(context.Context, *widget) error { panic("called") }}, ``, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := runtimetest.NewProcess(limit)
			if test.stored != "" {
				p.Put(test.stored)
			}
			loop, _ := build(t, p, test.user)
			if err := chain.Wrap(loop.Observe, loop.Budget)(t.Context(), request); !is(err, test.wantErr) {
				t.Errorf("error %v, want %v", err, test.wantErr)
			}
			if len(p.Patches()) != 0 || len(p.Recorder.Events()) != 0 {
				t.Errorf("patches %v, events %v", p.Patches(), p.Recorder.Events())
			}
		})
	}
}

// A test, or a reader, can leave a link out.
func TestTheCoreStandsAlone(t *testing.T) {
	p := start(t, `{}`)
	loop, _ := build(t, p, user(func(ctx context.Context, _ *widget) error {
		if _, ok := ctx.Deadline(); ok {
			t.Error("has a deadline without the Budget link")
		}
		return nil
	}))
	if _, err := chain.Func(loop.Reconcile).Reconcile(t.Context(), request); err != nil {
		t.Error(err)
	}
}
