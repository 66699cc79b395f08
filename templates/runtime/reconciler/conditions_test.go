package reconciler_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
)

type verdict string

// plainest is a condition with no more than a type and a status.
type plainest struct {
	Type   string  `json:"type"`
	Status verdict `json:"status"`
}

func readPlainest(c *plainest) metav1.Condition {
	return metav1.Condition{Type: c.Type, Status: metav1.ConditionStatus(c.Status)}
}

func writePlainest(c metav1.Condition, _ metav1.Time) plainest {
	return plainest{Type: c.Type, Status: verdict(c.Status)}
}

// richest has everything optional, a time as text, one more time and a severity.
type richest struct {
	Type               string       `json:"type"`
	Status             *verdict     `json:"status,omitempty"`
	Reason             *string      `json:"reason,omitempty"`
	Message            *string      `json:"message,omitempty"`
	ObservedGeneration *int32       `json:"observedGeneration,omitempty"`
	LastTransitionTime *string      `json:"lastTransitionTime,omitempty"`
	LastUpdateTime     *metav1.Time `json:"lastUpdateTime,omitempty"`
	Severity           *string      `json:"severity,omitempty"`
}

func readRichest(c *richest) metav1.Condition {
	return metav1.Condition{
		Type:               c.Type,
		Status:             metav1.ConditionStatus(reconciler.Value(c.Status)),
		Reason:             reconciler.Value(c.Reason),
		Message:            reconciler.Value(c.Message),
		ObservedGeneration: int64(reconciler.Value(c.ObservedGeneration)),
		LastTransitionTime: reconciler.ParseTime(reconciler.Value(c.LastTransitionTime)),
	}
}

func writeRichest(c metav1.Condition, now metav1.Time) richest {
	return richest{
		Type:               c.Type,
		Status:             reconciler.Optional(verdict(c.Status)),
		Reason:             reconciler.Optional(c.Reason),
		Message:            reconciler.Optional(c.Message),
		ObservedGeneration: reconciler.Optional(int32(c.ObservedGeneration)),
		LastTransitionTime: reconciler.Optional(reconciler.FormatTime(c.LastTransitionTime)),
		LastUpdateTime:     reconciler.Optional(now),
	}
}

// whatever is a list of conditions of one of the types that CRDs have.
type whatever struct {
	list reconciler.Conditions
	// stored sends the list through JSON, as a write and a read do.
	stored func()
	// times reports whether the type says when the status changed.
	times bool
}

func lists() map[string]func() whatever {
	return map[string]func() whatever{
		"standard": func() whatever {
			list := &[]metav1.Condition{}
			return whatever{reconciler.Standard(list), func() { throughJSON(list) }, true}
		},
		"plainest": func() whatever {
			list := &[]plainest{}
			return whatever{reconciler.Own(list, readPlainest, writePlainest), func() { throughJSON(list) }, false}
		},
		"richest": func() whatever {
			list := &[]richest{}
			return whatever{reconciler.Own(list, readRichest, writeRichest), func() { throughJSON(list) }, true}
		},
	}
}

func throughJSON[L any](list *L) {
	data, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	var read L
	if err := json.Unmarshal(data, &read); err != nil {
		panic(err)
	}
	*list = read
}

// TestConditionsOfAnyTypeAreKeptAlike runs the life of a condition over lists of
// every kind: what apimeta does for the standard type holds for all.
func TestConditionsOfAnyTypeAreKeptAlike(t *testing.T) {
	condition := func(status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: "Ready", Status: status, Reason: "Because", Message: "text"}
	}
	for name, list := range lists() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := list()
				if _, found := w.list.Find("Ready"); found {
					t.Fatal("Find() in an empty list found something")
				}
				if !w.list.Set(condition(metav1.ConditionFalse)) {
					t.Error("Set() of a new condition changed nothing")
				}
				w.list.Set(metav1.Condition{Type: "Other", Status: metav1.ConditionTrue, Reason: "Else"})
				first, _ := w.list.Find("Ready")
				time.Sleep(time.Hour)
				w.stored()
				if w.list.Set(condition(metav1.ConditionFalse)) {
					t.Error("Set() of what is stored changed something")
				}
				w.list.Set(metav1.Condition{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Else", ObservedGeneration: 3})
				second, _ := w.list.Find("Ready")
				if w.times && !second.LastTransitionTime.Equal(ptr(first.LastTransitionTime.Rfc3339Copy())) {
					t.Errorf("the transition moved from %v to %v with no change of the status", first.LastTransitionTime, second.LastTransitionTime)
				}
				if second.Message != "" {
					t.Errorf("Set() left the former message %q", second.Message)
				}
				if !w.list.Set(condition(metav1.ConditionTrue)) {
					t.Error("Set() of another status changed nothing")
				}
				third, _ := w.list.Find("Ready")
				if third.Status != metav1.ConditionTrue || w.times == third.LastTransitionTime.IsZero() {
					t.Errorf("Find() = %v after a change to True", third)
				}
				if w.times && !third.LastTransitionTime.After(second.LastTransitionTime.Time) {
					t.Errorf("the transition stayed at %v with a change of the status", third.LastTransitionTime)
				}
				if !w.list.Remove("Ready") || w.list.Remove("Ready") {
					t.Error("Remove() does not say whether there was something")
				}
				if _, found := w.list.Find("Ready"); found {
					t.Error("Find() found what was removed")
				}
				if _, found := w.list.Find("Other"); !found {
					t.Error("Remove() took the other condition too")
				}
			})
		})
	}
}

func ptr[V any](value V) *V { return &value }

func TestAConditionIsReplacedWhole(t *testing.T) {
	list := []richest{{Type: "Ready", Status: ptr(verdict("False")), Severity: ptr("High")}}
	conditions := reconciler.Own(&list, readRichest, writeRichest)
	conditions.Set(metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Because"})
	if list[0].Severity != nil {
		t.Errorf("severity = %q after a change by the owner, want none", *list[0].Severity)
	}
	if list[0].LastUpdateTime == nil || list[0].Message != nil {
		t.Errorf("stored is %+v, want a time of update and no message", list[0])
	}
}

func TestAnUnreadableTimeIsMendedOnce(t *testing.T) {
	list := []richest{{Type: "Ready", Status: ptr(verdict("True")), LastTransitionTime: ptr("yesterday")}}
	conditions := reconciler.Own(&list, readRichest, writeRichest)
	ready := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue}
	if !conditions.Set(ready) || conditions.Set(ready) {
		t.Error("Set() does not change an unreadable time once")
	}
}

func TestATypeThatTheCRDForbidsIsNotSet(t *testing.T) {
	list := []plainest{}
	conditions := reconciler.Own(&list, readPlainest, writePlainest, "Ready")
	if conditions.Set(metav1.Condition{Type: "Stalled", Status: metav1.ConditionTrue}) || len(list) > 0 {
		t.Errorf("Set() stored %v, which is not among the allowed types", list)
	}
	if !conditions.Set(metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue}) {
		t.Error("Set() of an allowed type changed nothing")
	}
}

func TestRemoveLeavesTheFormerListAlone(t *testing.T) {
	for name, list := range lists() {
		t.Run(name, func(t *testing.T) {
			w := list()
			for _, one := range []string{"Stalled", "Ready"} {
				w.list.Set(metav1.Condition{Type: one, Status: metav1.ConditionTrue, Reason: "R"})
			}
			if allocs := testing.AllocsPerRun(10, func() { w.list.Remove("Absent") }); allocs != 0 {
				t.Errorf("Remove() of nothing allocates %v times", allocs)
			}
		})
	}
	former := []plainest{{Type: "Stalled", Status: "True"}, {Type: "Ready", Status: "True"}}
	now := former
	reconciler.Own(&now, readPlainest, writePlainest).Remove("Stalled")
	if former[0].Type != "Stalled" || len(now) != 1 {
		t.Errorf("Remove() made %v of the list, and %v of the one it was", now, former)
	}
}

func TestStandardAllocatesNothing(t *testing.T) {
	list := []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue}}
	allocs := testing.AllocsPerRun(10, func() {
		if _, found := reconciler.Standard(&list).Find("Ready"); !found {
			t.Error("Find() found nothing")
		}
	})
	if allocs != 0 {
		t.Errorf("Standard().Find() allocates %v times", allocs)
	}
}
