package tenant

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// named is how many tenants of a kind are told by name: those with the longest
// lines, so that the number of series does not grow with that of namespaces.
const named = 10

var waitingRequests = observe.Metric{
	Name: "operator_tenant_waiting", Type: "gauge",
	Help:   "Requests that wait in the lines of tenants: of the ten with the longest ones, and of all others as tenant other.",
	Labels: []string{"target", "tenant"},
}

// Metrics describes the metrics of this package. What it observes besides are the
// operations observe.Tenant and observe.TenantWait.
func Metrics() []observe.Metric { return []observe.Metric{waitingRequests} }

func init() { metrics.Registry.MustRegister(lines) }

// lines is the collector of [Metrics].
var lines = &collector{desc: prometheus.NewDesc(waitingRequests.Name, waitingRequests.Help, waitingRequests.Labels, nil)}

// collector counts when it is asked: who does not wait costs nothing, and a tenant
// that is gone is told no more.
type collector struct {
	desc  *prometheus.Desc
	kinds sync.Map // of *Sandboxes whose controllers run
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for target, waiting := range c.waiting() {
		byLength := slices.SortedFunc(maps.Keys(waiting), func(a, b string) int {
			return cmp.Or(waiting[b]-waiting[a], cmp.Compare(a, b))
		})
		told := map[string]int{observe.Other: 0}
		for i, tenant := range byLength {
			if i >= named {
				tenant = observe.Other
			}
			told[tenant] += waiting[byLength[i]]
		}
		for tenant, n := range told {
			out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), target, tenant)
		}
	}
}

// waiting returns how many requests wait, by kind and tenant. Kinds of one name,
// such as of two operators in one process, are one.
func (c *collector) waiting() map[string]map[string]int {
	all := map[string]map[string]int{}
	for k := range c.kinds.Range {
		k := k.(*Sandboxes)
		if all[k.kind.Name] == nil {
			all[k.kind.Name] = map[string]int{}
		}
		k.count(all[k.kind.Name])
	}
	return all
}

// count adds the requests that wait, by tenant.
func (k *Sandboxes) count(waiting map[string]int) {
	k.set.mu.Lock()
	defer k.set.mu.Unlock()
	for _, t := range k.set.tenants {
		for b := t.boxes; b != nil; b = b.next {
			if b.kind == k && !b.line.empty() {
				waiting[t.name] += len(b.line.order)
			}
		}
	}
}
