package quota

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// counted returns a quota as its controller leaves it.
func counted(hard, used map[string]string) *corev1.ResourceQuota {
	list := func(of map[string]string) corev1.ResourceList {
		made := corev1.ResourceList{}
		for name, count := range of {
			made[key(name)] = resource.MustParse(count)
		}
		return made
	}
	return &corev1.ResourceQuota{
		Spec:   corev1.ResourceQuotaSpec{Hard: list(hard)},
		Status: corev1.ResourceQuotaStatus{Hard: list(hard), Used: list(used)},
	}
}

func TestTheConditionHasTheNumbers(t *testing.T) {
	two := Bounds{Objects: map[string]int64{"a.x": 2, "b.x": 3}}
	hard := map[string]string{"a.x": "2", "b.x": "3"}
	for _, test := range []struct {
		bounds Bounds
		quota  *corev1.ResourceQuota
		want   string
	}{
		{Bounds{}, nil, "True WithinQuota objects are not counted"},
		{two, nil, "Unknown NotCounted not counted: a.x, b.x"},
		{two, counted(hard, map[string]string{"b.x": "0"}), "Unknown NotCounted not counted: a.x"},
		{two, counted(map[string]string{"a.x": "1", "b.x": "3"}, map[string]string{"a.x": "1", "b.x": "1"}), "Unknown NotCounted not counted: a.x"},
		{two, counted(hard, map[string]string{"a.x": "0", "b.x": "2"}), "True WithinQuota 0 of 2 a.x, 2 of 3 b.x"},
		{two, counted(hard, map[string]string{"a.x": "2", "b.x": "2"}), "False QuotaReached no more can be created: 2 of 2 a.x"},
		{two, counted(hard, map[string]string{"a.x": "2"}), "False QuotaReached no more can be created: 2 of 2 a.x"},
		{two, counted(hard, map[string]string{"a.x": "2", "b.x": "4"}), "False QuotaExceeded more than there may be: 4 of 3 b.x"},
	} {
		c := measure(test.bounds, test.quota).condition()
		if got := string(c.Status) + " " + c.Reason + " " + c.Message; got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// metricsOf returns how many series there are.
func metricsOf(g *gauges) int {
	to := make(chan prometheus.Metric, 5*maxTenants)
	g.Collect(to)
	return len(to)
}

func TestTheMetricIsBounded(t *testing.T) {
	g := &gauges{description: shown.description, tenants: map[string]usage{}}
	u := usage{hard: map[string]int64{"a.x": 2}, used: map[string]int64{"a.x": 1}}
	for i := range maxTenants + 5 {
		g.show(string(rune('a'+i)), u)
	}
	if got := metricsOf(g); got != 2*maxTenants {
		t.Errorf("%d series of %d tenants", got, maxTenants)
	}
	g.show("a", usage{hard: map[string]int64{"a.x": 2}})
	if got := metricsOf(g); got != 2*maxTenants-1 {
		t.Errorf("%d series after a tenant's count is gone", got)
	}
	g.forget("a")
	g.show("b", usage{})
	if got := metricsOf(g); got != 2*(maxTenants-2) {
		t.Errorf("%d series after two tenants are gone", got)
	}
}
