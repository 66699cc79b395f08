//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

func TestStatusIsWrittenAfterATimeout(t *testing.T) {
	for name, swallow := range map[string]bool{"reported": false, "swallowed": true} {
		t.Run(name, func(t *testing.T) {
			w := create(t, &widget{})
			var passes atomic.Int32
			run(t, config, manager.Settings{ReconcileTimeout: 400 * time.Millisecond, StatusReserve: 200 * time.Millisecond},
				user(func(ctx context.Context, o *widget) error {
					if o.Name != w.Name {
						return nil
					}
					o.Status.Serial = int64(passes.Add(1))
					<-ctx.Done()
					if swallow {
						return nil
					}
					return ctx.Err()
				}))
			eventually(t, "Ready tells of the timeout", func() bool {
				c := ready(get(t, w))
				return c.Status == metav1.ConditionFalse && c.Reason == "ReconcileDeadline"
			})
			if got := get(t, w); got.Status.Serial == 0 || got.Status.ObservedGeneration != 1 {
				t.Errorf("status %+v", got.Status)
			}
			eventually(t, "the pass is repeated", func() bool { return passes.Load() > 1 })
		})
	}
}

// patchStatus writes what the Go types do not know, as a newer client would.
func patchStatus(t testing.TB, w *widget, patch string) {
	t.Helper()
	err := direct(t).Status().Patch(t.Context(), &widget{ObjectMeta: w.ObjectMeta}, client.RawPatch(types.MergePatchType, []byte(patch)))
	if err != nil {
		t.Fatal(err)
	}
}

func storedStatus(t testing.TB, obj client.Object, kind string) map[string]any {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(runtimetest.GroupVersion.WithKind(kind))
	if err := direct(t).Get(t.Context(), client.ObjectKeyFromObject(obj), u); err != nil {
		t.Fatal(err)
	}
	status, _, _ := unstructured.NestedMap(u.Object, "status")
	return status
}

const novelStatus = `{"status":{"novel":"kept","place":{"novel":"kept"},
	"parts":[{"name":"a","novel":"kept"},{"name":"b","novel":"kept"}],
	"conditions":[{"type":"Ready","status":"False","reason":"Old","message":"","lastTransitionTime":"2020-01-01T00:00:00Z","novel":"kept"}]}}`

func TestUnknownFieldsSurvive(t *testing.T) {
	tests := map[string]struct {
		change func(*runtimetest.WidgetStatus)
		parts  []any
	}{
		"fields changed": {
			func(s *runtimetest.WidgetStatus) { s.Phase, s.Place.Rack = "Working", "r1"; s.Parts[1].State = "new" },
			[]any{map[string]any{"name": "a", "novel": "kept"}, map[string]any{"name": "b", "state": "new", "novel": "kept"}},
		},
		"element added": {
			func(s *runtimetest.WidgetStatus) { s.Parts = append(s.Parts, runtimetest.Part{Name: "c"}) },
			[]any{map[string]any{"name": "a", "novel": "kept"}, map[string]any{"name": "b", "novel": "kept"}, map[string]any{"name": "c"}},
		},
		"element removed": {
			func(s *runtimetest.WidgetStatus) { s.Parts = s.Parts[1:] },
			[]any{map[string]any{"name": "b", "novel": "kept"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := create(t, &widget{})
			patchStatus(t, w, novelStatus)
			run(t, config, manager.Settings{}, user(func(_ context.Context, o *widget) error {
				if o.Name == w.Name && ready(o).Reason == "Old" {
					test.change(&o.Status)
				}
				return nil
			}))
			eventually(t, "the pass is recorded", func() bool { return ready(get(t, w)).Reason == "Reconciled" })
			status := storedStatus(t, w, "Widget")
			if status["novel"] != "kept" || status["place"].(map[string]any)["novel"] != "kept" {
				t.Errorf("unknown fields are lost: %v", status)
			}
			if diff := cmp.Diff(test.parts, status["parts"]); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if c := status["conditions"].([]any)[0].(map[string]any); c["novel"] != "kept" {
				t.Errorf("unknown field of a condition is lost: %v", c)
			}
		})
	}
}

// Another writer comes in between, once for each pass.
func TestConflictOnStatus(t *testing.T) {
	w := create(t, &widget{})
	patchStatus(t, w, novelStatus)
	run(t, config, manager.Settings{}, user(func(_ context.Context, o *widget) error {
		if o.Name != w.Name || ready(o).Reason == "Reconciled" {
			return nil
		}
		o.Status.Phase = "Mine"
		o.Status.Parts[0].State = "mine"
		patchStatus(t, w, `{"status":{"serial":7,"parts":[{"name":"b","novel":"kept"},{"name":"a","novel":"kept"},{"name":"theirs"}],
			"conditions":[{"type":"Theirs","status":"True","reason":"T","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"},
			{"type":"Ready","status":"False","reason":"Old","message":"","lastTransitionTime":"2020-01-01T00:00:00Z","novel":"kept"}]}}`)
		return nil
	}))
	eventually(t, "the pass is recorded", func() bool { return ready(get(t, w)).Reason == "Reconciled" })
	status := storedStatus(t, w, "Widget")
	want := []any{
		map[string]any{"name": "b", "novel": "kept"},
		map[string]any{"name": "a", "state": "mine", "novel": "kept"},
		map[string]any{"name": "theirs"},
	}
	if diff := cmp.Diff(want, status["parts"]); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	conditions := status["conditions"].([]any)
	if len(conditions) != 2 || conditions[1].(map[string]any)["novel"] != "kept" {
		t.Errorf("conditions %v", conditions)
	}
	if status["serial"] != int64(7) || status["phase"] != "Mine" || status["novel"] != "kept" {
		t.Errorf("status %v", status)
	}
}

func TestAPassThatChangesNothingWritesNothing(t *testing.T) {
	w := create(t, &widget{})
	var passes atomic.Int32
	o := run(t, config, manager.Settings{}, user(func(_ context.Context, o *widget) error {
		if o.Name == w.Name {
			passes.Add(1)
			return requeue.After(20 * time.Millisecond)
		}
		return nil
	}))
	eventually(t, "a few passes", func() bool { return passes.Load() > 3 })
	version := get(t, w).ResourceVersion
	eventually(t, "more passes", func() bool { return passes.Load() > 13 })
	if got := get(t, w).ResourceVersion; got != version {
		t.Errorf("resource version went from %s to %s", version, got)
	}
	if _, err := o.end(); err != nil {
		t.Error(err)
	}
}

// A status that the CRD forbids is an error, and the rest goes on.
func TestAStatusThatIsRefused(t *testing.T) {
	w := create(t, &widget{})
	var passes atomic.Int32
	run(t, config, manager.Settings{}, user(func(_ context.Context, o *widget) error {
		if o.Name == w.Name && passes.Add(1) < 3 {
			o.Status.Conditions = append(o.Status.Conditions, metav1.Condition{Type: "Bad", Status: "Perhaps", Reason: "R"})
			return errors.New("boom")
		}
		return nil
	}))
	eventually(t, "a later pass is recorded", func() bool { return ready(get(t, w)).Reason == "Reconciled" })
}

func TestEventsAreRecorded(t *testing.T) {
	w := create(t, &widget{})
	run(t, config, manager.Settings{}, user(func(context.Context, *widget) error { return requeue.Because("BankClosed", errors.New("boom")) }))
	eventually(t, "an event", func() bool {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("events.k8s.io/v1")
		list.SetKind("EventList")
		if err := direct(t).List(t.Context(), list, client.InNamespace("default")); err != nil {
			t.Fatal(err)
		}
		for _, event := range list.Items {
			text, err := json.Marshal(event.Object)
			if err != nil {
				t.Fatal(err)
			}
			regarding, _, _ := unstructured.NestedString(event.Object, "regarding", "uid")
			if regarding == string(w.UID) {
				if event.Object["reason"] != "BankClosed" || event.Object["note"] != "boom" || event.Object["reportingController"] != "widget" {
					t.Errorf("event %s", text)
				}
				return true
			}
		}
		return false
	})
}
