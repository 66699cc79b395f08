package reconciler

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

func TestRelevantUpdates(t *testing.T) {
	was := widgetAt("a", 1)
	was.ResourceVersion, was.Labels = "1", map[string]string{"a": "b"}
	tests := map[string]struct {
		change     func(*runtimetest.Widget)
		want       bool
		supersedes bool // the pass that runs
	}{
		"resync":         {change: func(w *runtimetest.Widget) { w.ResourceVersion = "1" }, want: true},
		"status only":    {change: func(w *runtimetest.Widget) { w.Status.Phase = "Working" }},
		"managed fields": {change: func(w *runtimetest.Widget) { w.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}} }},
		"finalizers":     {change: func(w *runtimetest.Widget) { w.Finalizers = []string{"a/x"} }},
		"generation":     {func(w *runtimetest.Widget) { w.Generation++; w.Spec.Size = 7 }, true, true},
		"label":          {change: func(w *runtimetest.Widget) { w.Labels = map[string]string{"a": "c"} }, want: true},
		"annotation":     {change: func(w *runtimetest.Widget) { w.Annotations = map[string]string{"a": "b"} }, want: true},
		"deletion": {func(w *runtimetest.Widget) {
			w.Generation++
			w.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}, true, true},
		"replacement": {func(w *runtimetest.Widget) { w.UID = "b" }, true, true},
		"a label after a status": {change: func(w *runtimetest.Widget) {
			w.Labels, w.Status.Phase = map[string]string{"a": "c"}, "Working"
		}, want: true},
	}
	for name, test := range tests {
		for subresource, kind := range map[bool]string{true: "", false: " without the status subresource"} {
			t.Run(name+kind, func(t *testing.T) {
				is := was.DeepCopy()
				is.ResourceVersion = "2"
				test.change(is)
				if !subresource && is.Status.Phase != "" {
					is.Generation++
				}
				l := relevantLoop()
				l.kind.StatusSubresource = subresource
				var end error
				l.flights.start(client.ObjectKeyFromObject(was), func(err error) { end = err })
				l.flights.works(was)
				if got := l.relevance().Update(event.UpdateEvent{ObjectOld: was, ObjectNew: is}); got != test.want {
					t.Errorf("relevant = %t", got)
				}
				if errors.Is(end, cause.Superseded) != test.supersedes {
					t.Errorf("the pass ended by %v", end)
				}
			})
		}
	}
}

func TestADeletionEndsThePass(t *testing.T) {
	l, w := relevantLoop(), widgetAt("a", 1)
	var end error
	l.flights.start(client.ObjectKeyFromObject(w), func(err error) { end = err })
	l.flights.works(w)
	if !l.relevance().Delete(event.DeleteEvent{Object: w}) || !errors.Is(end, cause.Superseded) {
		t.Errorf("the pass ended by %v", end)
	}
}

// widgetAt is a widget of some generation.
func widgetAt(uid types.UID, generation int64) *runtimetest.Widget {
	return &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Name: "w", Namespace: "default", UID: uid, Generation: generation}}
}

func stalledWidget() *runtimetest.Widget {
	w := widgetAt("a", 1)
	w.ResourceVersion = "7"
	w.Finalizers = []string{runtimetest.Finalizer}
	w.Status.Conditions = []metav1.Condition{
		{Type: ConditionReady, Status: metav1.ConditionFalse, Reason: "Terminal", ObservedGeneration: 1},
		{Type: ConditionStalled, Status: metav1.ConditionTrue, Reason: "Terminal", ObservedGeneration: 1},
	}
	return w
}

func relevantLoop() *Loop[*runtimetest.Widget] {
	return &Loop[*runtimetest.Widget]{
		kind: Kind[*runtimetest.Widget]{
			Status:            func(w *runtimetest.Widget) any { return &w.Status },
			StatusSubresource: true,
			Conditions:        func(w *runtimetest.Widget) *[]metav1.Condition { return &w.Status.Conditions },
			ConditionType:     ConditionReady,
			Finalizer:         runtimetest.Finalizer,
		},
		finalizer: tidy{},
		owned:     ownedConditions(ConditionReady),
	}
}

type tidy struct{}

func (tidy) FinalizeKind(context.Context, *runtimetest.Widget) error { return nil }

// After a terminal error neither a start, nor a resync, nor a new term is a change.
func TestAStalledObjectRestsUntilItChanges(t *testing.T) {
	filter := relevantLoop().relevance()
	w := stalledWidget()
	changed := w.DeepCopy()
	changed.ResourceVersion, changed.Labels = "8", map[string]string{"a": "b"}
	if filter.Create(event.CreateEvent{Object: w, IsInInitialList: true}) || filter.Update(event.UpdateEvent{ObjectOld: w, ObjectNew: w}) {
		t.Error("a start or a resync is worth a pass")
	}
	if !filter.Create(event.CreateEvent{Object: w}) || !filter.Update(event.UpdateEvent{ObjectOld: w, ObjectNew: changed}) {
		t.Error("a change is not worth a pass")
	}
	next := stalledWidget()
	next.Generation = 2
	if !filter.Create(event.CreateEvent{Object: next, IsInInitialList: true}) {
		t.Error("a new generation is not worth a pass at the start")
	}
	next = stalledWidget()
	next.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	if !filter.Create(event.CreateEvent{Object: next, IsInInitialList: true}) {
		t.Error("a deletion is not worth a pass at the start")
	}
}

func TestAnObserverIsShownStalledObjectsAtAStart(t *testing.T) {
	l := relevantLoop()
	l.observer = looking{}
	if !l.relevance().Create(event.CreateEvent{Object: stalledWidget(), IsInInitialList: true}) {
		t.Error("not shown")
	}
}

type looking struct{}

func (looking) ObserveKind(context.Context, *runtimetest.Widget) error { return nil }

// Who waits for the object to change says so by the state that it shall have.
func TestAnObjectThatIsNotAsItWasLeftDoesNotRest(t *testing.T) {
	for name, change := range map[string]func(*runtimetest.Widget){
		"no finalizer":        func(w *runtimetest.Widget) { w.Finalizers = nil },
		"ready":               func(w *runtimetest.Widget) { w.Status.Conditions[0].Status = metav1.ConditionTrue },
		"not stalled":         func(w *runtimetest.Widget) { w.Status.Conditions[1].Status = metav1.ConditionFalse },
		"another's condition": func(w *runtimetest.Widget) { w.Status.Conditions = w.Status.Conditions[1:] },
	} {
		w := stalledWidget()
		if !relevantLoop().Rests(w) {
			t.Fatal("a stalled object does not rest")
		}
		if change(w); relevantLoop().Rests(w) {
			t.Errorf("%s: it rests", name)
		}
	}
}

func TestAFinalizerThatIsTakenOffComesBack(t *testing.T) {
	filter := relevantLoop().relevance()
	was := widgetAt("a", 1)
	was.ResourceVersion, was.Finalizers = "7", []string{"other/x", runtimetest.Finalizer}
	is := was.DeepCopy()
	is.ResourceVersion, is.Finalizers = "8", []string{"other/x"}
	if !filter.Update(event.UpdateEvent{ObjectOld: was, ObjectNew: is}) {
		t.Error("not worth a pass")
	}
	if filter.Update(event.UpdateEvent{ObjectOld: is, ObjectNew: was}) {
		t.Error("the controller's own work is worth a pass")
	}
}

func TestConditionsOfOthersMakingAreNotLeftSo(t *testing.T) {
	l := relevantLoop()
	said := widgetAt("a", 1)
	said.ResourceVersion = "7"
	said.Status.Conditions = []metav1.Condition{{Type: ConditionReady, Status: metav1.ConditionTrue, Reason: "Reconciled"}}
	other := said.DeepCopy()
	other.ResourceVersion, other.Status.Conditions[0].Status = "8", metav1.ConditionFalse
	before := widgetAt("a", 1)
	before.ResourceVersion = "6"
	filter := l.relevance()
	if filter.Update(event.UpdateEvent{ObjectOld: said, ObjectNew: other}) {
		t.Error("worth a pass where this process has said nothing")
	}
	key := client.ObjectKeyFromObject(said)
	l.memories.ended(key, digest(l.conditions(said), l.owned), false)
	if filter.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: said}) {
		t.Error("the controller's own word is worth a pass before the answer to its write")
	}
	l.memories.wrote(key, 7)
	if filter.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: said}) {
		t.Error("the controller's own word is worth a pass")
	}
	if !filter.Update(event.UpdateEvent{ObjectOld: said, ObjectNew: other}) {
		t.Error("another word in its place is not worth a pass")
	}
	old := other.DeepCopy()
	old.ResourceVersion = "5"
	if filter.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: old}) {
		t.Error("what was there before its own word is worth a pass")
	}
	l.memories.ended(key, 0, false) // a pass that had nothing more to say
	if !filter.Update(event.UpdateEvent{ObjectOld: said, ObjectNew: other}) {
		t.Error("another word than what was found is not worth a pass")
	}
	theirs := said.DeepCopy()
	theirs.ResourceVersion, theirs.Status.Phase = "8", "Theirs"
	if filter.Update(event.UpdateEvent{ObjectOld: said, ObjectNew: theirs}) {
		t.Error("the rest of the status is worth a pass")
	}
}

// Without the status subresource each status makes a new generation.
func TestAStatusIsNoChangeWithoutTheSubresourceEither(t *testing.T) {
	l := relevantLoop()
	l.kind.StatusSubresource = false
	was := widgetAt("a", 1)
	was.ResourceVersion = "7"
	status := was.DeepCopy()
	status.ResourceVersion, status.Generation, status.Status.Phase = "8", 2, "Failed at 12:00:01"
	spec := was.DeepCopy()
	spec.ResourceVersion, spec.Generation, spec.Spec.Size = "8", 2, 7
	filter := l.relevance()
	if filter.Update(event.UpdateEvent{ObjectOld: was, ObjectNew: status}) {
		t.Error("a status is worth a pass")
	}
	if !filter.Update(event.UpdateEvent{ObjectOld: was, ObjectNew: spec}) {
		t.Error("a spec is not worth a pass")
	}
}

// Objects of events are the cache's own.
func TestEventsAreOnlyLookedAt(t *testing.T) {
	l := relevantLoop()
	l.kind.Conditions = func(w *runtimetest.Widget) *[]metav1.Condition {
		w.Status.Phase = "made" // as where the status is a pointer
		return &w.Status.Conditions
	}
	was, is := widgetAt("a", 1), widgetAt("a", 1)
	was.ResourceVersion, is.ResourceVersion = "7", "8"
	l.relevance().Update(event.UpdateEvent{ObjectOld: was, ObjectNew: is})
	l.relevance().Create(event.CreateEvent{Object: is, IsInInitialList: true})
	if was.Status.Phase != "" || is.Status.Phase != "" {
		t.Errorf("changed to %+v, %+v", was.Status, is.Status)
	}
}

func TestWhatIsGoneIsForgotten(t *testing.T) {
	l := relevantLoop()
	w := widgetAt("a", 1)
	l.memories.ended(client.ObjectKeyFromObject(w), 0, false)
	unwanted := predicate.Funcs{DeleteFunc: func(event.DeleteEvent) bool { return false }}
	wanted := predicate.And(l.filters([]predicate.Predicate{unwanted})...)
	if wanted.Delete(event.DeleteEvent{Object: w}) || len(l.memories.objects) != 0 {
		t.Errorf("%d objects are remembered", len(l.memories.objects))
	}
}
