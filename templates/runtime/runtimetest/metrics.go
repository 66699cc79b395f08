package runtimetest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Series returns the series of a metric that have all of the labels, as a scrape
// would see them.
func Series(t testing.TB, name string, labels prometheus.Labels) []*dto.Metric {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var found []*dto.Metric
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := 0
			for name, value := range labels {
				if Label(m, name) == value {
					has++
				}
			}
			if has == len(labels) {
				found = append(found, m)
			}
		}
	}
	return found
}

// Label returns the value of a label of a series, "" if it is not there.
func Label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Outcomes returns the number of operations by outcome, of those with all of the
// labels. What has never come about is not in it.
func Outcomes(t testing.TB, labels prometheus.Labels) map[string]int {
	t.Helper()
	by := map[string]int{}
	for _, m := range Series(t, "operator_operations_total", labels) {
		if n := int(m.GetCounter().GetValue()); n > 0 {
			by[Label(m, "outcome")] += n
		}
	}
	return by
}
