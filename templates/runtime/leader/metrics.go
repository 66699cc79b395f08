package leader

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	leading = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "leader_leading",
		Help: "1 while this process leads, 0 while it observes.",
	}, []string{"lease"})
	terms = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leader_terms_total",
		Help: "Terms in which this process has led.",
	}, []string{"lease"})
)

func init() {
	metrics.Registry.MustRegister(leading, terms)
}
