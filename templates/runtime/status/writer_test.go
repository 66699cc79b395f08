package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/status"
)

func writer(s *runtimetest.Server) *status.Writer[*runtimetest.Widget] {
	return &status.Writer[*runtimetest.Widget]{
		Client: s, Live: s, Subresource: !s.StatusInSpec,
		Status: func(w *runtimetest.Widget) any { return &w.Status },
	}
}

// statusOf returns the stored status.
func statusOf(t *testing.T, s *runtimetest.Server) any {
	t.Helper()
	return decode(t, s.JSON()).(map[string]any)["status"]
}

func decode(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // or big integers would be compared rounded
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// What the stored objects of these tests call "new" and "x" is unknown to the
// Go types.
func TestWriteKeepsWhatItDoesNotKnow(t *testing.T) {
	tests := map[string]struct {
		stored string
		change func(*runtimetest.WidgetStatus)
		// meanwhile changes the stored object after it was read.
		meanwhile func(status map[string]any)
		want      string
		types     []types.PatchType // of the patches, in order
		gets      int               // live reads
	}{
		"first status": {
			stored: `{}`,
			change: func(s *runtimetest.WidgetStatus) { s.Phase = "Ready"; s.Place.Rack = "r1" },
			want:   `{"phase":"Ready","place":{"rack":"r1"}}`,
			types:  []types.PatchType{types.MergePatchType},
		},
		"first list": {
			stored: `{"status":{"new":1}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts = []runtimetest.Part{{Name: "a"}} },
			want:   `{"new":1,"parts":[{"name":"a"}]}`,
			types:  []types.PatchType{types.MergePatchType},
		},
		"unknown fields beside and below": {
			stored: `{"status":{"new":{"deep":[1,2]},"place":{"rack":"r1","new":true},"phase":"Old"}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Phase = "Ready"; s.Place.Rack = "" },
			want:   `{"new":{"deep":[1,2]},"place":{"new":true},"phase":"Ready"}`,
			types:  []types.PatchType{types.MergePatchType},
		},
		"unknown fields of list elements": {
			stored: `{"status":{"place":{},"parts":[{"name":"a","state":"old","x":1},{"name":"b","x":2}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts[0].State = "new" },
			want:   `{"place":{},"parts":[{"name":"a","state":"new","x":1},{"name":"b","x":2}]}`,
			types:  []types.PatchType{types.JSONPatchType},
		},
		"element appended": {
			stored: `{"status":{"parts":[{"name":"a","x":1}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts = append(s.Parts, runtimetest.Part{Name: "b"}) },
			want:   `{"parts":[{"name":"a","x":1},{"name":"b"}]}`,
			types:  []types.PatchType{types.JSONPatchType},
		},
		"element removed": {
			stored: `{"status":{"parts":[{"name":"a","x":1},{"name":"b","x":2},{"name":"c","x":3}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts = append(s.Parts[:1], s.Parts[2]) },
			want:   `{"parts":[{"name":"a","x":1},{"name":"c","x":3}]}`,
			types:  []types.PatchType{types.JSONPatchType},
		},
		"element removed and another put in its place": {
			stored: `{"status":{"parts":[{"name":"a","x":1},{"name":"b","x":2}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts[0] = runtimetest.Part{Name: "c"} },
			want:   `{"parts":[{"name":"c"},{"name":"b","x":2}]}`,
			types:  []types.PatchType{types.JSONPatchType},
		},
		"elements change places": {
			stored: `{"status":{"parts":[{"name":"a","x":1},{"name":"b","x":2}]}}`,
			change: func(s *runtimetest.WidgetStatus) {
				s.Parts[0], s.Parts[1] = runtimetest.Part{Name: "b", State: "new"}, s.Parts[0]
			},
			want:  `{"parts":[{"name":"b","state":"new","x":2},{"name":"a","x":1}]}`,
			types: []types.PatchType{types.MergePatchType},
			gets:  1,
		},
		"list emptied": {
			stored: `{"status":{"parts":[{"name":"a","x":1}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts = nil },
			want:   `{}`,
			types:  []types.PatchType{types.JSONPatchType},
		},
		"list and a struct that was not stored": {
			stored: `{"status":{"parts":[{"name":"a","x":1}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts[0].State = "new"; s.Place.Rack = "r1" },
			want:   `{"parts":[{"name":"a","state":"new","x":1}],"place":{"rack":"r1"}}`,
			types:  []types.PatchType{types.JSONPatchType, types.MergePatchType},
			gets:   1,
		},
		"big integers": {
			stored: `{"status":{"serial":9007199254740992,"parts":[{"name":"a","x":9007199254740995}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Serial++; s.Parts = append(s.Parts, runtimetest.Part{Name: "b"}) },
			want:   `{"serial":9007199254740993,"parts":[{"name":"a","x":9007199254740995},{"name":"b"}]}`,
			types:  []types.PatchType{types.JSONPatchType},
		},
		"conflict on another field": {
			stored:    `{"status":{"phase":"Old"}}`,
			change:    func(s *runtimetest.WidgetStatus) { s.Phase = "Ready" },
			meanwhile: func(status map[string]any) { status["serial"] = json.Number("7") },
			want:      `{"phase":"Ready","serial":7}`,
			types:     []types.PatchType{types.MergePatchType, types.MergePatchType},
			gets:      1,
		},
		"conflict on the same field": {
			stored:    `{"status":{"phase":"Old"}}`,
			change:    func(s *runtimetest.WidgetStatus) { s.Phase = "Ready" },
			meanwhile: func(status map[string]any) { status["phase"] = "Theirs" },
			want:      `{"phase":"Ready"}`,
			types:     []types.PatchType{types.MergePatchType, types.MergePatchType},
			gets:      1,
		},
		"conflict in a list": {
			stored: `{"status":{"parts":[{"name":"a","x":1},{"name":"b","x":2}]}}`,
			change: func(s *runtimetest.WidgetStatus) { s.Parts[0].State = "mine" },
			meanwhile: func(status map[string]any) {
				parts := status["parts"].([]any)
				status["parts"] = append([]any{map[string]any{"name": "first"}}, parts...)
			},
			want:  `{"parts":[{"name":"first"},{"name":"a","state":"mine","x":1},{"name":"b","x":2}]}`,
			types: []types.PatchType{types.JSONPatchType, types.MergePatchType},
			gets:  1,
		},
		"conflict where no name tells elements apart": {
			stored: `{"status":{"parts":[{"name":"a","state":"1","x":1},{"name":"a","state":"2","x":2}]}}`,
			change: func(s *runtimetest.WidgetStatus) {
				s.Parts = append(s.Parts[1:], runtimetest.Part{Name: "a", State: "3"})
			},
			meanwhile: func(status map[string]any) {
				parts := status["parts"].([]any)
				status["parts"] = append([]any{map[string]any{"name": "a", "state": "0", "x": json.Number("0")}}, parts...)
			},
			want:  `{"parts":[{"name":"a","state":"0","x":0},{"name":"a","state":"2","x":2},{"name":"a","state":"3"}]}`,
			types: []types.PatchType{types.JSONPatchType, types.MergePatchType},
			gets:  1,
		},
		"somebody wrote the same": {
			stored:    `{"status":{"phase":"Old"}}`,
			change:    func(s *runtimetest.WidgetStatus) { s.Phase = "Ready" },
			meanwhile: func(status map[string]any) { status["phase"] = "Ready" },
			want:      `{"phase":"Ready"}`,
			types:     []types.PatchType{types.MergePatchType},
			gets:      1,
		},
	}
	for name, test := range tests {
		for _, inSpec := range []bool{false, true} {
			if inSpec {
				name += ", no subresource"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &runtimetest.Server{StatusInSpec: inSpec}
					s.Put(test.stored)
					before := s.Widget()
					after := before.DeepCopy()
					test.change(&after.Status)
					if test.meanwhile != nil {
						s.Edit(func(stored map[string]any) map[string]any {
							test.meanwhile(stored["status"].(map[string]any))
							return stored
						})
					}
					_, err := writer(s).Write(t.Context(), before, after)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(decode(t, test.want), statusOf(t, s)); diff != "" {
						t.Errorf("stored status (-want +got):\n%s", diff)
					}
					var sent []types.PatchType
					for _, p := range s.Patches() {
						sent = append(sent, p.Type)
						if want := map[bool]string{false: "status", true: ""}[inSpec]; p.Subresource != want {
							t.Errorf("patched subresource %q", p.Subresource)
						}
					}
					if diff := cmp.Diff(test.types, sent); diff != "" {
						t.Errorf("patches (-want +got):\n%s", diff)
					}
					if s.Gets() != test.gets {
						t.Errorf("%d live reads, want %d", s.Gets(), test.gets)
					}
				})
			})
		}
	}
}

func TestWriteNothing(t *testing.T) {
	s := &runtimetest.Server{}
	s.Put(`{"status":{"phase":"Ready","parts":[{"name":"a"}]}}`)
	before := s.Widget()
	after := before.DeepCopy()
	after.Spec.Size++ // not ours to write
	written, err := writer(s).Write(t.Context(), before, after)
	if written || err != nil || len(s.Patches()) != 0 {
		t.Errorf("written %t, error %v, patches %v", written, err, s.Patches())
	}
	// A difference that only Go sees.
	after.Status.Conditions = []metav1.Condition{}
	if _, err := writer(s).Write(t.Context(), before, after); err != nil || len(s.Patches()) != 0 {
		t.Errorf("error %v, patches %v", err, s.Patches())
	}
}

func TestWriteReturnsWhatIsStored(t *testing.T) {
	s := &runtimetest.Server{}
	s.Put(`{}`)
	before := s.Widget()
	after := before.DeepCopy()
	apimeta.SetStatusCondition(&after.Status.Conditions, metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Reconciled"})
	written, err := writer(s).Write(t.Context(), before, after)
	if !written || err != nil {
		t.Fatalf("written %t, error %v", written, err)
	}
	if diff := cmp.Diff(s.Widget(), after); diff != "" {
		t.Errorf("object (-stored +returned):\n%s", diff)
	}
}

// The user's code has written the object itself, so that the read state is not
// what its status differs from.
func TestWriteAfterTheObjectWasWritten(t *testing.T) {
	s := &runtimetest.Server{}
	s.Put(`{"status":{"parts":[{"name":"a","x":1}]}}`)
	before := s.Widget()
	s.Edit(func(stored map[string]any) map[string]any {
		stored["status"].(map[string]any)["parts"] = []any{
			map[string]any{"name": "a", "x": json.Number("1")}, map[string]any{"name": "b", "x": json.Number("2")},
		}
		return stored
	})
	after := s.Widget()
	after.Status.Phase = "Ready"
	if _, err := writer(s).Write(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	if len(s.Patches()) != 1 {
		t.Errorf("%d patches, of which the first must fail", len(s.Patches()))
	}
	want := `{"phase":"Ready","parts":[{"name":"a","x":1},{"name":"b","x":2}]}`
	if diff := cmp.Diff(decode(t, want), statusOf(t, s)); diff != "" {
		t.Errorf("stored status (-want +got):\n%s", diff)
	}
}

func TestWriteToAnObjectThatIsGone(t *testing.T) {
	for name, replace := range map[string]string{"gone": "", "replaced": `{"metadata":{"uid":"uid-2"},"status":{"phase":"Theirs"}}`} {
		t.Run(name, func(t *testing.T) {
			s := &runtimetest.Server{}
			s.Put(`{}`)
			before := s.Widget()
			after := before.DeepCopy()
			after.Status.Phase = "Ready"
			s.Edit(func(map[string]any) map[string]any { return nil })
			if replace != "" {
				s.Put(replace)
			}
			written, err := writer(s).Write(t.Context(), before, after)
			if written || err != nil {
				t.Errorf("written %t, error %v", written, err)
			}
			if w := s.Widget(); w != nil && w.Status.Phase != "Theirs" {
				t.Errorf("wrote %q into another object", w.Status.Phase)
			}
		})
	}
}

func TestWriteTriesAgain(t *testing.T) {
	outage := apierrors.NewServiceUnavailable("restarting")
	invalid := apierrors.NewInvalid(runtimetest.GroupVersion.WithKind("Widget").GroupKind(), "w", nil)
	denied := apierrors.NewForbidden(runtimetest.GroupVersion.WithResource("widgets").GroupResource(), "w", errors.New("no"))
	tests := map[string]struct {
		fail    func(call int) error
		calls   int
		wantErr error
	}{
		"after an outage":         {func(call int) error { return map[bool]error{true: outage}[call < 5] }, 5, nil},
		"not after a refusal":     {func(int) error { return denied }, 1, denied},
		"once after invalid data": {func(int) error { return invalid }, 2, invalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &runtimetest.Server{}
				s.Put(`{}`)
				calls := 0
				s.BeforePatch = func(context.Context, runtimetest.Patch) error { calls++; return test.fail(calls) }
				before := s.Widget()
				after := before.DeepCopy()
				after.Status.Phase = "Ready"
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := writer(s).Write(ctx, before, after)
				if !errors.Is(err, test.wantErr) || calls != test.calls {
					t.Errorf("error %v after %d calls", err, calls)
				}
			})
		})
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &runtimetest.Server{}
		s.Put(`{}`)
		s.BeforePatch = func(context.Context, runtimetest.Patch) error { // conflicts for ever
			s.Edit(func(stored map[string]any) map[string]any { return stored })
			return nil
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause.StatusDeadline)
		defer cancel()
		before := s.Widget()
		after := before.DeepCopy()
		after.Status.Phase = "Ready"
		_, err := writer(s).Write(ctx, before, after)
		if err == nil || !strings.Contains(err.Error(), "the object has been modified") {
			t.Errorf("error %v does not tell of the last conflict", err)
		}
		if n := len(s.Patches()); n < 60 || n > 300 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

// The pass has written the object by another pointer than the one it goes on with.
func TestWritingOverWhatThePassHasWritten(t *testing.T) {
	s := &runtimetest.Server{}
	s.Put(`{"status":{"phase":"Old","serial":1,"parts":[{"name":"a"}]}}`)
	before := s.Widget()
	after := before.DeepCopy()
	after.Status.Phase = "Mine"
	s.Edit(func(stored map[string]any) map[string]any {
		stored["status"].(map[string]any)["serial"] = json.Number("7")
		return stored
	})
	gets := s.Gets()
	if written, err := writer(s).WriteOver(t.Context(), before, s.Widget(), after); !written || err != nil {
		t.Fatalf("written %t, error %v", written, err)
	}
	if s.Gets() != gets || len(s.Patches()) != 1 {
		t.Errorf("%d reads and %d writes, want none and 1", s.Gets()-gets, len(s.Patches()))
	}
	if got := s.Widget().Status; got.Phase != "Mine" || got.Serial != 7 {
		t.Errorf("stored status %+v", got)
	}
}

func TestWriteCannotEncode(t *testing.T) {
	s := &runtimetest.Server{}
	s.Put(`{}`)
	w := writer(s)
	w.Status = func(o *runtimetest.Widget) any { return map[string]any{o.Status.Phase: make(chan int)} }
	after := s.Widget()
	after.Status.Phase = "Ready"
	if _, err := w.Write(t.Context(), s.Widget(), after); err == nil || !strings.Contains(err.Error(), "encode status") {
		t.Errorf("error %v", err)
	}
}

// Whatever a pass makes of a status is what is stored afterwards, and an element
// that it keeps keeps its unknown fields.
func TestWriteAnyChange(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		s := &runtimetest.Server{}
		was := randomStatus(random)
		text, err := json.Marshal(map[string]any{"status": was})
		if err != nil {
			t.Fatal(err)
		}
		s.Put(string(text))
		before := s.Widget()
		s.Edit(func(stored map[string]any) map[string]any { mark(stored["status"]); return stored })
		if i%2 == 0 {
			before = s.Widget() // no conflict
		}
		after := before.DeepCopy()
		after.Status = randomStatus(random)
		want := after.DeepCopy().Status
		if _, err := writer(s).Write(t.Context(), before, after); err != nil {
			t.Fatalf("%+v to %+v: %v", was, want, err)
		}
		got := s.Widget().Status
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b runtimetest.Part) bool { return a.Name < b.Name })); diff != "" {
			t.Fatalf("%+v to %+v (-want +got):\n%s", was, want, diff)
		}
		stored := statusOf(t, s).(map[string]any)
		if stored["new"] != true {
			t.Fatalf("%+v to %+v lost an unknown field: %s", was, want, s.JSON())
		}
		parts, _ := stored["parts"].([]any)
		for _, part := range parts {
			part := part.(map[string]any)
			kept := slices.ContainsFunc(was.Parts, func(p runtimetest.Part) bool { return p.Name == part["name"] })
			if kept && part["new"] != true {
				t.Fatalf("%+v to %+v lost an unknown field of an element: %s", was, want, s.JSON())
			}
		}
	}
}

// mark adds an unknown field to every object in v.
func mark(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			mark(e)
		}
		v["new"] = true
	case []any:
		for _, e := range v {
			mark(e)
		}
	}
}

func randomStatus(random *rand.Rand) runtimetest.WidgetStatus {
	word := func() string { return []string{"", "a", "b"}[random.IntN(3)] }
	s := runtimetest.WidgetStatus{Phase: word(), Serial: random.Int64N(2), Place: runtimetest.Place{Rack: word()}}
	for _, i := range random.Perm(4)[:random.IntN(4)] {
		s.Parts = append(s.Parts, runtimetest.Part{Name: string(rune('a' + i)), State: word()})
	}
	return s
}
