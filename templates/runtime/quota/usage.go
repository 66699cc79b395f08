package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionWithinQuota is the type of the condition that is True as long as one more
// object of each resource may be created.
const ConditionWithinQuota = "WithinQuota"

// Reasons of conditions and events.
const (
	ReasonWithinQuota   = "WithinQuota"   // there is room for one more of each
	ReasonQuotaReached  = "QuotaReached"  // there are as many as there may be
	ReasonQuotaExceeded = "QuotaExceeded" // there are more: the quota was lowered
	ReasonNotCounted    = "NotCounted"    // the API server's quota controller has not counted yet
	ReasonNotEnforced   = "NotEnforced"   // admission has not been seen to refuse what is over the quota
	ReasonNoTenant      = "NoTenant"      // there is no such namespace, or it is no tenant
)

// key is the name of a resource in a v1.ResourceQuota.
func key(resource string) corev1.ResourceName { return corev1.ResourceName("count/" + resource) }

// hard is what a v1.ResourceQuota must have.
func (b Bounds) hard() corev1.ResourceList {
	list := make(corev1.ResourceList, len(b.Objects))
	for name, count := range b.Objects {
		list[key(name)] = *resource.NewQuantity(count, resource.DecimalSI)
	}
	return list
}

// usage is what there is of each resource that is bounded.
type usage struct {
	hard map[string]int64
	used map[string]int64 // of what has been counted
}

// measure reads from a v1.ResourceQuota, which may be nil, what there is. Counts that are
// not yet about these bounds are left out.
func measure(bounds Bounds, quota *corev1.ResourceQuota) usage {
	u := usage{hard: bounds.Objects, used: map[string]int64{}}
	if quota == nil {
		return u
	}
	for name, count := range bounds.Objects {
		hard, kept := quota.Status.Hard[key(name)]
		used, counted := quota.Status.Used[key(name)]
		if kept && counted && hard.Value() == count {
			u.used[name] = used.Value()
		}
	}
	return u
}

// missing returns the resources that have not been counted.
func (u usage) missing() []string {
	return u.where(func(name string) bool { _, counted := u.used[name]; return !counted })
}

// where returns the resources for which f holds, in order.
func (u usage) where(f func(resource string) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(u.hard)), func(name string) bool { return !f(name) })
}

// condition says whether there is room for more.
func (u usage) condition() metav1.Condition {
	condition := func(status metav1.ConditionStatus, reason, format string, resources []string) metav1.Condition {
		return metav1.Condition{Type: ConditionWithinQuota, Status: status, Reason: reason, Message: fmt.Sprintf(format, strings.Join(resources, ", "))}
	}
	exceeded := u.where(func(name string) bool { return u.used[name] > u.hard[name] })
	reached := u.where(func(name string) bool { used, counted := u.used[name]; return counted && used == u.hard[name] })
	switch {
	case len(exceeded) > 0:
		return condition(metav1.ConditionFalse, ReasonQuotaExceeded, "more than there may be: %s", u.counts(exceeded))
	case len(reached) > 0:
		return condition(metav1.ConditionFalse, ReasonQuotaReached, "no more can be created: %s", u.counts(reached))
	case len(u.missing()) > 0:
		return condition(metav1.ConditionUnknown, ReasonNotCounted, "not counted: %s", u.missing())
	case len(u.hard) == 0:
		return condition(metav1.ConditionTrue, ReasonWithinQuota, "objects are not counted%s", nil)
	}
	return condition(metav1.ConditionTrue, ReasonWithinQuota, "%s", u.counts(u.where(func(string) bool { return true })))
}

// counts are the numbers of resources, for people.
func (u usage) counts(resources []string) []string {
	counts := make([]string, len(resources))
	for i, name := range resources {
		counts[i] = fmt.Sprintf("%d of %d %s", u.used[name], u.hard[name], name)
	}
	return counts
}
