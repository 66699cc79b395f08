package observe

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Metric describes a metric of this package.
type Metric struct {
	Name, Type, Help string
	Labels           []string
}

// The metrics of this package.
var (
	operationsTotal = Metric{
		Name: "operator_operations_total", Type: "counter",
		Help:   "Operations that have ended, by how they ended.",
		Labels: []string{"operation", "target", "outcome"},
	}
	durationSeconds = Metric{
		Name: "operator_operation_duration_seconds", Type: "histogram",
		Help:   "Time from the beginning of an operation to its return.",
		Labels: []string{"operation", "target"},
	}
	budgetLeftRatio = Metric{
		Name: "operator_operation_budget_left_ratio", Type: "histogram",
		Help:   "Share of an operation's time that was left when it returned: 1 is all, 0 is none. Operations without a deadline are not in it.",
		Labels: []string{"operation", "target"},
	}
)

// Metrics describes all metrics of this package.
func Metrics() []Metric { return []Metric{operationsTotal, durationSeconds, budgetLeftRatio} }

var (
	operations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: operationsTotal.Name, Help: operationsTotal.Help,
	}, operationsTotal.Labels)
	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: durationSeconds.Name, Help: durationSeconds.Help,
		// From a read of a cache to a watch.
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900},
	}, durationSeconds.Labels)
	budgets = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: budgetLeftRatio.Name, Help: budgetLeftRatio.Help,
		Buckets: []float64{0, .05, .1, .25, .5, .75, .9},
	}, budgetLeftRatio.Labels)
)

func init() {
	metrics.Registry.MustRegister(operations, durations, budgets)
}

// Bounds of what may become a label. What is above is counted as [Other].
const (
	maxTargets  = 1000 // of one operation
	maxOutcomes = 64   // of one operation and target
)

// Other is the target, or the outcome, of what is beyond the number that is
// told apart.
const Other = "other"

// label makes s fit for a label, where it comes from outside.
func label(s string) string { return strings.ToValidUTF8(s, "?") }

// count adds one to c. Every counter of this package has exemplars.
func count(c prometheus.Counter, exemplar prometheus.Labels) {
	if exemplar == nil {
		c.Inc()
		return
	}
	c.(prometheus.ExemplarAdder).AddWithExemplar(1, exemplar)
}

// measure is count for a histogram.
func measure(h prometheus.Observer, value float64, exemplar prometheus.Labels) {
	if exemplar == nil {
		h.Observe(value)
		return
	}
	h.(prometheus.ExemplarObserver).ObserveWithExemplar(value, exemplar)
}
