package reconciler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/freshness"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const wasReady = `"conditions":[{"type":"Ready","status":"True","reason":"Reconciled","message":"","observedGeneration":1,"lastTransitionTime":"2020-01-01T00:00:00Z"}]`

// late is a process whose cache shows the object as it was when it was made.
type late struct {
	*process
	shown *widget
}

func behind(p *process) *late { return &late{p, p.Widget()} }

func (l *late) GetClient() client.Client { return lateClient{l.Server, l} }

type lateClient struct {
	client.Client
	late *late
}

func (c lateClient) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	c.late.shown.DeepCopyInto(obj.(*widget))
	return nil
}

// The first pass fails, and the second one reads what was there before the first.
func TestReadyIsNotComparedWithAnOlderState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{"status":{"observedGeneration":1,"place":{},`+wasReady+`}}`)
		failures := 1
		_, f := build(t, behind(p), user(func(context.Context, *widget) error {
			if failures--; failures == 0 {
				return errors.New("blip")
			}
			return nil
		}))
		for range 2 {
			_, _ = f.Reconcile(t.Context(), request)
		}
		if c := ready(p.Widget()); c.Status != metav1.ConditionTrue {
			t.Errorf("Ready is %s, %s after a pass that succeeded", c.Status, c.Reason)
		}
	})
}

func TestAPassOnWhatStaysLateHasAnOutcomeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		loop, f := build(t, lateAndHung{behind(p)}, user(func(_ context.Context, w *widget) error { w.Status.Serial++; return nil }))
		if err := loop.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		result, err := f.Reconcile(t.Context(), request)
		if !errors.Is(err, freshness.Late) || !result.IsZero() {
			t.Errorf("result %+v, error %v", result, err)
		}
		if got := p.Widget().Status.Serial; got != 1 {
			t.Errorf("%d passes did their work", got)
		}
	})
}

// lateAndHung has a cache that is late and an API server that does not answer reads.
type lateAndHung struct{ *late }

func (lateAndHung) GetAPIReader() client.Reader { return hungReader{} }

type hungReader struct{ client.Reader }

func (hungReader) Get(ctx context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	<-ctx.Done()
	return ctx.Err()
}

// A pass writes into the status what it has made, after the object was deleted. The
// clean-up must see that before the finalizer goes.
func TestTheFinalizerGoesFromWhatFinalizeKindHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, deleting)
		l := behind(p)
		p.Edit(func(o map[string]any) map[string]any {
			o["status"] = map[string]any{"phase": "bucket-7", "place": map[string]any{}}
			return o
		})
		var seen []string
		_, f := build(t, l, finalizing{user: succeed, finalize: func(_ context.Context, w *widget) error {
			seen = append(seen, w.Status.Phase)
			return nil
		}})
		if _, err := f.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if last := seen[len(seen)-1]; last != "bucket-7" {
			t.Errorf("the finalizer is gone, and FinalizeKind has seen %q", seen)
		}
		if got := p.Widget().Finalizers; len(got) != 1 || got[0] != "other.example.com/x" {
			t.Errorf("finalizers %v", got)
		}
	})
}

// What FinalizeKind changes in the object alone is not written, its finalizers neither.
func TestFinalizersChangedInMemoryAreNotWritten(t *testing.T) {
	p := start(t, deleting)
	_, f := build(t, p, finalizing{user: succeed, finalize: func(_ context.Context, w *widget) error { w.Finalizers = nil; return nil }})
	if _, err := f.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := p.Widget(); got == nil || len(got.Finalizers) != 1 {
		t.Errorf("a finalizer of somebody else is gone: %+v", got)
	}
}

func TestWhatIsBeingDeletedIsFinalizedAfterAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		l := behind(p)
		p.Put(deleting)
		finalized := false
		_, f := build(t, l, finalizing{
			user:     func(context.Context, *widget) error { t.Error("reconciled what is being deleted"); return nil },
			finalize: func(context.Context, *widget) error { finalized = true; return nil },
		})
		if _, err := f.Reconcile(t.Context(), request); err != nil || !finalized {
			t.Errorf("error %v, finalized %t", err, finalized)
		}
	})
}

// FinalizeKind writes its object by another Go value, and something new in each call.
func TestWhatFinalizeKindWroteNeedsNoOtherLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, deleting)
		n := noting{p, freshness.Of(p.Server, p.Server)}
		calls := 0
		_, f := build(t, n, finalizing{user: succeed, finalize: func(ctx context.Context, w *widget) error {
			calls++
			return n.client.Status().Patch(ctx, w.DeepCopy(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"serial":%d}}`, calls)))
		}})
		if _, err := f.Reconcile(t.Context(), request); err != nil || calls != 1 {
			t.Errorf("error %v after %d calls", err, calls)
		}
		if got := p.Widget().Finalizers; len(got) != 1 || got[0] != "other.example.com/x" {
			t.Errorf("finalizers %v", got)
		}
	})
}

// What the pass does not see itself write, or what others write all the time.
func TestAPassThatIsOvertakenAtEachAttemptEnds(t *testing.T) {
	for name, stored := range map[string]string{"Finalize": deleting, "Reconcile": `{}`} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, stored)
				calls := 0
				p.BeforePatch = func(_ context.Context, sent patch) error {
					if sent.Subresource == "" {
						p.Edit(func(o map[string]any) map[string]any { return o })
						calls++
					}
					return nil
				}
				_, f := build(t, p, finalizing{user: succeed, finalize: succeed})
				for range 2 {
					before := calls
					if _, err := f.Reconcile(t.Context(), request); !apierrors.IsConflict(err) || calls != before+6 {
						t.Errorf("error %v after %d attempts", err, calls-before)
					}
				}
				if c := ready(p.Widget()); c == nil || c.Status != metav1.ConditionFalse || c.Reason != reconciler.ReasonConflict {
					t.Errorf("Ready %+v", c)
				}
				if got := p.Recorder.Events(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning Conflict "+name) {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

// Only that the object itself was written meanwhile is routine, and only when nothing
// else is said.
func TestWhichConflictsAreFailures(t *testing.T) {
	widgets := runtimetest.GroupVersion.WithResource("widgets").GroupResource()
	own := apierrors.NewConflict(widgets, "w", errors.New("modified"))
	apply := &apierrors.StatusError{ErrStatus: metav1.Status{
		Code: http.StatusConflict, Reason: metav1.StatusReasonConflict,
		Details: &metav1.StatusDetails{
			Name: "w", Group: widgets.Group, Kind: widgets.Resource, Causes: []metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict}},
		},
	}}
	for name, test := range map[string]struct {
		err    error
		reason string // "" where it is routine
	}{
		"the object itself": {fmt.Errorf("update: %w", own), ""},
		"another object":    {apierrors.NewConflict(widgets, "other", errors.New("modified")), "ReconcileFailed"},
		"of another group":  {apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "widgets"}, "w", errors.New("modified")), "ReconcileFailed"},
		"of another kind": {
			apierrors.NewConflict(runtimetest.GroupVersion.WithResource("gadgets").GroupResource(), "w", errors.New("modified")), "ReconcileFailed",
		},
		"fields of others":   {apply, "ReconcileFailed"},
		"terminal":           {requeue.Terminal(own), "Terminal"},
		"with a reason":      {requeue.Because("FieldTaken", own), "FieldTaken"},
		"beside a failure":   {errors.Join(errors.New("the bank is down"), own), "ReconcileFailed"},
		"joined with itself": {errors.Join(own), "ReconcileFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, `{}`)
			_, f := build(t, p, user(func(context.Context, *widget) error { return test.err }))
			if _, err := f.Reconcile(t.Context(), request); !errors.Is(err, test.err) && !requeue.IsTerminal(err) {
				t.Errorf("error %v", err)
			}
			if c := ready(p.Widget()); c == nil && test.reason != "" || c != nil && c.Reason != test.reason {
				t.Errorf("Ready %+v, want reason %q", c, test.reason)
			}
		})
	}
}

func TestConflictsWithoutEndAreAFailure(t *testing.T) {
	p := start(t, `{}`)
	own := apierrors.NewConflict(runtimetest.GroupVersion.WithResource("widgets").GroupResource(), "w", errors.New("modified"))
	result := error(own)
	_, f := build(t, p, user(func(context.Context, *widget) error { return result }))
	pass := func(times int) *metav1.Condition {
		for range times {
			_, _ = f.Reconcile(t.Context(), request)
		}
		return ready(p.Widget())
	}
	if c := pass(5); c != nil {
		t.Errorf("Ready %+v after five conflicts", c)
	}
	if c := pass(1); c == nil || c.Reason != reconciler.ReasonConflict || c.Status != metav1.ConditionFalse {
		t.Errorf("Ready %+v after six conflicts", c)
	}
	result = nil
	_ = pass(1)
	result = own
	if c := pass(5); c.Status != metav1.ConditionTrue {
		t.Errorf("Ready %+v: conflicts before a success are counted with those after it", c)
	}
}

// What kstatus, and whoever builds on it, takes from the object after a pass.
func TestWhatBecomesOfTheObject(t *testing.T) {
	failure := errors.New("boom")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"success":    {nil, ""},
		"look again": {requeue.After(time.Minute), ""},
		"pending":    {requeue.Pending(time.Minute, "Draining", "2 left"), "Reconciling"},
		"failure":    {failure, "Reconciling"},
		"terminal":   {requeue.Terminal(failure), "Stalled"},
	} {
		for _, before := range []string{"Reconciling", "Stalled"} {
			t.Run(name+" after "+before, func(t *testing.T) {
				p := start(t, `{"status":{"place":{},"conditions":[{"type":"`+before+`","status":"True","reason":"Old","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"}]}}`)
				_, f := build(t, p, user(func(context.Context, *widget) error { return test.err }))
				_, _ = f.Reconcile(t.Context(), request)
				for _, c := range p.Widget().Status.Conditions {
					if c.Type != "Ready" && c.Type != test.want {
						t.Errorf("there is a condition %s", c.Type)
					}
					if c.Type == test.want && (c.Status != metav1.ConditionTrue || c.Reason != ready(p.Widget()).Reason || c.ObservedGeneration != 1) {
						t.Errorf("condition %+v", c)
					}
				}
				if test.want != "" && apimeta.FindStatusCondition(p.Widget().Status.Conditions, test.want) == nil {
					t.Errorf("no condition %s", test.want)
				}
			})
		}
	}
}

func TestAnInterruptedPassSaysNothingOfTheObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{"status":{"observedGeneration":1,"place":{},`+wasReady+`}}`)
		was := ready(p.Widget())
		_, f := build(t, p, user(hang))
		time.AfterFunc(time.Second, func() { p.Stop(cause.Shutdown) })
		if _, err := f.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if c := ready(p.Widget()); *c != *was {
			t.Errorf("Ready %+v, was %+v", c, was)
		}
		c := apimeta.FindStatusCondition(p.Widget().Status.Conditions, reconciler.ConditionReconciling)
		if c == nil || c.Reason != cause.Shutdown.Reason() {
			t.Errorf("Reconciling %+v", c)
		}
		_, next := build(t, &process{Server: p.Server, Limit: limit}, user(succeed))
		if _, err := next.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if c := p.Widget().Status.Conditions; len(c) != 1 || c[0] != *was {
			t.Errorf("conditions %+v after the next pass", c)
		}
	})
}

// Of a kind without conditions nothing else is left to write.
func TestAFenceEndsEventsToo(t *testing.T) {
	p := start(t, `{}`)
	k := kind()
	k.Conditions, k.SetObservedGeneration = nil, nil
	ctx, gone := context.WithCancelCause(t.Context())
	loop, err := reconciler.New(p, k, user(func(ctx context.Context, w *widget) error { gone(cause.TenantGone); return hang(ctx, w) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Reconcile(ctx, request); !errors.Is(err, cause.TenantGone) || len(p.Recorder.Events()) != 0 || len(p.Patches()) != 0 {
		t.Errorf("error %v, events %v, patches %v", err, p.Recorder.Events(), p.Patches())
	}
}

func TestARefusedStatusIsToldOf(t *testing.T) {
	internal := func(text string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusInternalServerError, Message: text}}
	}
	for name, answer := range map[string]error{
		"invalid":               apierrors.NewInvalid(schema.GroupKind{Kind: "Widget"}, "w", nil),
		"forbidden by a policy": apierrors.NewForbidden(schema.GroupResource{Resource: "widgets"}, "w", errors.New("no such phase")),
		"too large":             apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
		"too large for etcd":    internal("etcdserver: request is too large"),
		"too large to send":     internal("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2500512 vs. 2097152)"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, `{"status":{"phase":"Good","place":{},`+wasReady+`}}`)
				p.BeforePatch = func(_ context.Context, sent patch) error {
					if strings.Contains(sent.Data, "Refused at all times") {
						return answer
					}
					return nil
				}
				_, f := build(t, p, user(func(_ context.Context, w *widget) error {
					w.Status.Phase = "Refused at all times"
					return errors.New("boom")
				}))
				if _, err := f.Reconcile(t.Context(), request); !errors.Is(err, answer) {
					t.Errorf("error %v", err)
				}
				w := p.Widget()
				if c := ready(w); c.Status != metav1.ConditionFalse || c.Reason != reconciler.ReasonStatusRefused || w.Status.Phase != "Good" {
					t.Errorf("Ready %+v, phase %s", c, w.Status.Phase)
				}
				if got := p.Recorder.Events(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning StatusRefused") {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

// What passes is no refusal: another attempt may be accepted.
func TestAStatusThatIsNotAcceptedForNowIsNotRefused(t *testing.T) {
	for name, answer := range map[string]error{
		"conflict": apierrors.NewConflict(runtimetest.GroupVersion.WithResource("widgets").GroupResource(), "w", errors.New("modified")),
		"overload": apierrors.NewTooManyRequests("later", 0),
		"fault":    apierrors.NewInternalError(errors.New("etcd has no leader")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, `{}`)
				p.BeforePatch = func(context.Context, patch) error { return answer }
				_, f := build(t, p, user(succeed))
				if _, err := f.Reconcile(t.Context(), request); err == nil {
					t.Error("no error")
				}
				if got := p.Recorder.Events(); len(got) != 0 {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

// noting is a process whose client the user's code has too.
type noting struct {
	*process
	client *freshness.Client
}

func (n noting) GetClient() client.Client { return n.client }

// applying has server-side apply, of which a merge will do here.
type applying struct{ *runtimetest.Server }

func (a applying) Apply(ctx context.Context, obj runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	text, err := json.Marshal(obj)
	if err != nil {
		return err
	}
	w := a.Widget()
	if err := a.Patch(ctx, w, client.RawPatch(types.MergePatchType, text)); err != nil {
		return err
	}
	return json.Unmarshal([]byte(a.JSON()), obj)
}

// The user's code writes the object itself, by the pointer it was given or by another.
func TestAPassThatWritesItsObjectNeedsNoLiveRead(t *testing.T) {
	for _, name := range []string{"given", "copy", "applied"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, `{"status":{"parts":[{"name":"a","novel":"kept"}],"place":{}}}`)
			n := noting{p, freshness.Of(applying{p.Server}, p.Server)}
			_, f := build(t, n, user(func(ctx context.Context, w *widget) error {
				of := w
				if name == "copy" {
					of = w.DeepCopy()
				}
				if name == "applied" {
					text := fmt.Appendf(nil, `{"apiVersion":"%s","kind":"Widget","metadata":{"name":"%s","namespace":"%s","labels":{"a":"b"}}}`,
						runtimetest.GroupVersion, of.Name, of.Namespace)
					u := &unstructured.Unstructured{}
					if err := u.UnmarshalJSON(text); err != nil {
						return err
					}
					if err := n.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u)); err != nil {
						return err
					}
				} else if err := n.client.Patch(ctx, of, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))); err != nil {
					return err
				}
				w.Status.Phase = "Working"
				w.Status.Parts[0].State = "new"
				return nil
			}))
			if _, err := f.Reconcile(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if p.Gets() != 1 || len(p.Patches()) != 2 {
				t.Errorf("%d reads and %d writes, want 1 and 2: %v", p.Gets(), len(p.Patches()), p.Patches())
			}
			w := p.Widget()
			if w.Status.Phase != "Working" || w.Labels["a"] != "b" || ready(w) == nil {
				t.Errorf("stored %s", p.JSON())
			}
			if want := `"novel":"kept"`; !strings.Contains(p.JSON(), want) {
				t.Errorf("an unknown field is lost: %s", p.JSON())
			}
		})
	}
}

// What others removed after a pass had read its object again is not what it says.
func TestAPassThatReadsItsObjectAgainBringsNothingBack(t *testing.T) {
	for name, readsOn := range map[string]bool{"again": false, "and once more by another pointer": true} {
		t.Run(name, func(t *testing.T) {
			p := start(t, `{"status":{"place":{}}}`)
			n := noting{p, freshness.Of(p.Server, p.Server)}
			parts := func(names ...any) {
				p.Edit(func(stored map[string]any) map[string]any {
					list := []any{}
					for _, name := range names {
						list = append(list, map[string]any{"name": name})
					}
					stored["status"].(map[string]any)["parts"] = list
					return stored
				})
			}
			_, f := build(t, n, user(func(ctx context.Context, w *widget) error {
				parts("a", "b")
				if err := n.client.Get(ctx, request.NamespacedName, w); err != nil {
					return err
				}
				w.Status.Phase = "Working"
				parts("b")
				if readsOn {
					return n.client.Get(ctx, request.NamespacedName, &widget{})
				}
				return nil
			}))
			if _, err := f.Reconcile(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			w := p.Widget()
			if len(w.Status.Parts) != 1 || w.Status.Parts[0].Name != "b" || w.Status.Phase != "Working" {
				t.Errorf("stored %s", p.JSON())
			}
		})
	}
}

// second is a second controller of the kind, whose passes end with err.
func second(t *testing.T, p *process, err error) *reconciler.Loop[*widget] {
	t.Helper()
	k := kind()
	k.Name, k.ConditionType, k.FieldManager = "widget-backup", "BackedUp", "widget-backup"
	loop, failed := reconciler.New(p, k, user(func(context.Context, *widget) error { return err }))
	if failed != nil {
		t.Fatal(failed)
	}
	return loop
}

// secondPass makes a pass and reports whether the object rests then.
func secondPass(t *testing.T, p *process, loop *reconciler.Loop[*widget]) bool {
	t.Helper()
	_ = loop.Reconcile(t.Context(), request)
	return loop.Rests(p.Widget())
}

// What one controller of a kind has stalled, the other one has to look at, and of a
// generation that only the second one has seen Ready says nothing.
func TestControllersOfOneKindRestEachForItself(t *testing.T) {
	p := start(t, `{"metadata":{"generation":2},"status":{"observedGeneration":1,"place":{},`+wasReady+`}}`)
	refused := requeue.Terminal(errors.New("refused"))
	backup := second(t, p, refused)
	if !secondPass(t, p, backup) {
		t.Errorf("its own terminal error does not rest: %+v", p.Widget().Status.Conditions)
	}
	if got := p.Widget().Status.ObservedGeneration; got != 1 {
		t.Errorf("observedGeneration %d with Ready of generation 1", got)
	}
	first, _ := build(t, p, user(func(context.Context, *widget) error { return refused }))
	if first.Rests(p.Widget()) {
		t.Error("what the second controller has stalled rests for the first")
	}
	if !secondPass(t, p, first) || !backup.Rests(p.Widget()) {
		t.Errorf("does not rest for both: %+v", p.Widget().Status.Conditions)
	}
	if rests := secondPass(t, p, second(t, p, nil)); rests || !first.Rests(p.Widget()) {
		t.Errorf("rests for the second after a success: %+v", p.Widget().Status.Conditions)
	}
	if got := p.Widget().Status.ObservedGeneration; got != 2 {
		t.Errorf("observedGeneration %d after a pass of the first", got)
	}
}

// Two controllers of one kind, each with a condition of its own.
func TestASecondControllerHasAConditionOfItsOwn(t *testing.T) {
	p := start(t, `{"status":{"observedGeneration":1,"place":{},`+wasReady+`}}`)
	loop := second(t, p, errors.New("no space"))
	if rests := secondPass(t, p, loop); rests {
		t.Error("what is tried again rests")
	}
	conditions := p.Widget().Status.Conditions
	if len(conditions) != 2 || ready(p.Widget()).Status != metav1.ConditionTrue {
		t.Errorf("conditions %+v", conditions)
	}
	if c := apimeta.FindStatusCondition(conditions, "BackedUp"); c == nil || c.Status != metav1.ConditionFalse {
		t.Errorf("BackedUp %+v", c)
	}
}

func TestObservingEndsWithTheProcessAndItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		loop, _ := build(t, p, observing{observe: func(ctx context.Context, w *widget) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("ObserveKind has no deadline")
			}
			time.AfterFunc(time.Second, func() { p.Stop(cause.Shutdown) })
			_ = hang(ctx, w)
			if why := context.Cause(ctx); !errors.Is(why, cause.Shutdown) {
				t.Errorf("ended by %v", why)
			}
			return nil
		}})
		if err := loop.Observe(t.Context(), request); !errors.Is(err, cause.Shutdown) {
			t.Errorf("error %v", err)
		}
	})
}
