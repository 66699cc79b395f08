package quota

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

var tenantQuota = observe.Metric{
	Name: "operator_tenant_quota", Type: "gauge",
	Help:   "Objects that a tenant may have (type hard) and has (type used), of what its quota bounds.",
	Labels: []string{"namespace", "resource", "type"},
}

// Metrics describes all metrics of this package.
func Metrics() []observe.Metric { return []observe.Metric{tenantQuota} }

// maxTenants bounds the tenants whose numbers are shown. Those beyond it are not.
const maxTenants = 1000

// shown are the numbers that are shown of tenants.
var shown = &gauges{
	description: prometheus.NewDesc(tenantQuota.Name, tenantQuota.Help, tenantQuota.Labels, nil),
	tenants:     map[string]usage{},
}

func init() { metrics.Registry.MustRegister(shown) }

// gauges is a collector, so that a scrape sees all numbers of a tenant or none.
type gauges struct {
	description *prometheus.Desc

	mu      sync.Mutex
	tenants map[string]usage
}

// show has the numbers of a tenant shown, in the place of earlier ones.
func (g *gauges) show(tenant string, u usage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.tenants[tenant]; known || len(g.tenants) < maxTenants {
		g.tenants[tenant] = u
	}
	if len(u.hard) == 0 {
		delete(g.tenants, tenant)
	}
}

// forget has nothing shown of a tenant.
func (g *gauges) forget(tenant string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tenants, tenant)
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) { to <- g.description }

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for tenant, u := range g.tenants {
		for sort, counts := range map[string]map[string]int64{"hard": u.hard, "used": u.used} {
			for resource, count := range counts {
				to <- prometheus.MustNewConstMetric(g.description, prometheus.GaugeValue, float64(count), tenant, resource, sort)
			}
		}
	}
}
