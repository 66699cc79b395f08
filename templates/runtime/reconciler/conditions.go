package reconciler

import (
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions is a list of conditions of whatever Go type.
type Conditions interface {
	Find(conditionType string) (metav1.Condition, bool)
	Set(condition metav1.Condition) (changed bool)
	Remove(conditionType string) (changed bool)
}

// Standard returns a list of metav1.Condition as Conditions.
func Standard(list *[]metav1.Condition) Conditions { return (*standard)(list) }

type standard []metav1.Condition

func (s *standard) Find(conditionType string) (metav1.Condition, bool) {
	if c := apimeta.FindStatusCondition(*s, conditionType); c != nil {
		return *c, true
	}
	return metav1.Condition{}, false
}

func (s *standard) Set(condition metav1.Condition) bool {
	return apimeta.SetStatusCondition((*[]metav1.Condition)(s), condition)
}

func (s *standard) Remove(conditionType string) bool {
	return apimeta.RemoveStatusCondition((*[]metav1.Condition)(s), conditionType)
}
