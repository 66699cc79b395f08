package reconciler

import (
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions is a list of conditions of whatever Go type.
type Conditions interface {
	// Find returns the condition of a type. Fields that its Go type lacks are zero.
	Find(conditionType string) (metav1.Condition, bool)
	// Set adds a condition or puts it in the place of the one of its type, whole.
	// LastTransitionTime is kept while the status stays the same, and is otherwise
	// the given one, or now if none is given. Nothing is changed if there is nothing
	// to change.
	Set(condition metav1.Condition) (changed bool)
	// Remove takes away what there is of a type.
	Remove(conditionType string) (changed bool)
}

// Standard is a list of metav1.Condition.
func Standard(list *[]metav1.Condition) Conditions { return (*standard)(list) }

type standard []metav1.Condition

func (s *standard) Find(conditionType string) (metav1.Condition, bool) {
	if found := apimeta.FindStatusCondition(*s, conditionType); found != nil {
		return *found, true
	}
	return metav1.Condition{}, false
}

func (s *standard) Set(condition metav1.Condition) bool {
	return apimeta.SetStatusCondition((*[]metav1.Condition)(s), condition)
}

func (s *standard) Remove(conditionType string) bool {
	// What is not there is looked for often, and apimeta would make a new list.
	if apimeta.FindStatusCondition(*s, conditionType) == nil {
		return false
	}
	return apimeta.RemoveStatusCondition((*[]metav1.Condition)(s), conditionType)
}

// Own is a list of conditions of a Go type of the CRD's own. Generated code says
// what an E is as a metav1.Condition, and makes an E of one; now is for the times
// that some types have besides, such as lastUpdateTime. What read does not return
// is no part of a condition: it neither counts as a change nor outlasts one.
//
// If types are given the CRD allows no others, and Set leaves the list alone for
// one that is not among them.
func Own[E any](
	list *[]E,
	read func(*E) metav1.Condition,
	write func(c metav1.Condition, now metav1.Time) E,
	types ...string,
) Conditions {
	return &own[E]{list: list, read: read, write: write, types: types}
}

type own[E any] struct {
	list  *[]E
	read  func(*E) metav1.Condition
	write func(metav1.Condition, metav1.Time) E
	types []string
}

func (o *own[E]) Find(conditionType string) (metav1.Condition, bool) {
	for i := range *o.list {
		if c := o.read(&(*o.list)[i]); c.Type == conditionType {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

func (o *own[E]) Set(condition metav1.Condition) bool {
	if len(o.types) > 0 && !slices.Contains(o.types, condition.Type) {
		return false
	}
	// To the second, as metav1.Time is stored, also where the CRD keeps a string.
	now := metav1.Now().Rfc3339Copy()
	for i := range *o.list {
		old := o.read(&(*o.list)[i])
		if old.Type != condition.Type {
			continue
		}
		if old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
		// Compared is what E can hold, or a field that it lacks would differ for ever.
		made := o.write(stamped(condition, now), now)
		if same(o.read(&made), old) {
			return false
		}
		(*o.list)[i] = made
		return true
	}
	*o.list = append(*o.list, o.write(stamped(condition, now), now))
	return true
}

func (o *own[E]) Remove(conditionType string) bool {
	if _, found := o.Find(conditionType); !found {
		return false
	}
	// A list of its own, because others may look at this one.
	kept := make([]E, 0, len(*o.list)-1)
	for i := range *o.list {
		if o.read(&(*o.list)[i]).Type != conditionType {
			kept = append(kept, (*o.list)[i])
		}
	}
	*o.list = kept
	return true
}

// stamped is c with now for its transition, if it says no time.
func stamped(c metav1.Condition, now metav1.Time) metav1.Condition {
	if c.LastTransitionTime.IsZero() {
		c.LastTransitionTime = now
	}
	return c
}

// same reports whether two conditions are alike, in whatever zone their times are.
func same(a, b metav1.Condition) bool {
	if !a.LastTransitionTime.Equal(&b.LastTransitionTime) {
		return false
	}
	a.LastTransitionTime, b.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return a == b
}

// Value returns what an optional field holds, the zero value if it is absent. It is
// for generated code.
func Value[V any](field *V) V {
	if field == nil {
		return *new(V)
	}
	return *field
}

// Optional returns what an optional field holds to say a value: nothing for the
// zero value. It is for generated code.
func Optional[V comparable](value V) *V {
	if value == *new(V) {
		return nil
	}
	return &value
}

// ParseTime reads a time that a CRD keeps as a string, the zero time if it is none.
// It is for generated code.
func ParseTime(text string) metav1.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return metav1.Time{}
	}
	return metav1.NewTime(t)
}

// FormatTime writes a time for a CRD that keeps it as a string. It is for generated
// code.
func FormatTime(t metav1.Time) string { return t.UTC().Format(time.RFC3339Nano) }
