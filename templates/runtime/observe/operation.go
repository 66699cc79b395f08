package observe

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// The operations that the runtime observes, with what their targets are.
const (
	Reconcile  = "reconcile"   // the controller
	Observe    = "observe"     // the controller, while another replica leads
	External   = "call"        // the name of the budget.Operation
	Write      = "write"       // the resource and its group
	Freshness  = "freshness"   // the kind and its group: a read that waits for its cache
	Admission  = "admission"   // the path of the webhook
	Conversion = "conversion"  // the path of the webhook
	Watch      = "watch"       // the resource and its group
	Tenant     = "tenant"      // the controller of what is in the sandbox of a tenant
	TenantWait = "tenant_wait" // the same, of what waits for its turn
)

// Operation is the handle of one kind of operation on one target.
type Operation struct {
	operation, target string
	span              string
	start             []trace.SpanStartOption
	duration, left    prometheus.Observer
	ok                prometheus.Counter

	mu       sync.Mutex
	gone     bool
	outcomes atomic.Pointer[map[string]prometheus.Counter] // replaced, never changed
}

type key struct{ operation, target string }

// The handles there are. all is for reading without mu.
var handles struct {
	all     sync.Map // of key to *Operation
	mu      sync.Mutex
	targets map[string]int // number of targets by operation
}

// For returns the handle of operation on target. Both become labels: target is
// one of a few that are known when the operator is built, or goes again by
// [Forget]. It is never the name of an object.
func For(operation, target string) *Operation {
	if o, ok := handles.all.Load(key{operation, target}); ok {
		return o.(*Operation)
	}
	handles.mu.Lock()
	defer handles.mu.Unlock()
	k := key{operation, label(target)}
	if handles.targets[operation] >= maxTargets {
		k.target = Other
	}
	if o, ok := handles.all.Load(k); ok {
		return o.(*Operation)
	}
	o := newOperation(k)
	handles.all.Store(k, o)
	if k.target != Other {
		if handles.targets == nil {
			handles.targets = map[string]int{}
		}
		handles.targets[operation]++
	}
	return o
}

func newOperation(k key) *Operation {
	o := &Operation{
		operation: k.operation, target: k.target, span: k.operation + " " + k.target,
		start: []trace.SpanStartOption{
			trace.WithSpanKind(spanKind(k.operation)),
			trace.WithAttributes(attribute.String(KeyOperation, k.operation), attribute.String(KeyTarget, k.target)),
		},
		duration: durations.WithLabelValues(k.operation, k.target),
		left:     budgets.WithLabelValues(k.operation, k.target),
		ok:       operations.WithLabelValues(k.operation, k.target, cause.NameOK),
	}
	o.outcomes.Store(&map[string]prometheus.Counter{cause.NameOK: o.ok})
	return o
}

// Forget removes every series of target, which is gone.
// What is still being observed on it is not counted any more.
func Forget(target string) {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	handles.all.Range(func(k, o any) bool {
		if k := k.(key); k.target == label(target) {
			handles.all.Delete(k)
			handles.targets[k.operation]--
			o.(*Operation).forget()
		}
		return true
	})
}

// forget removes the series. The lock keeps an outcome that is new from being
// added after that.
func (o *Operation) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	labels := prometheus.Labels{"operation": o.operation, "target": o.target}
	operations.DeletePartialMatch(labels)
	durations.Delete(labels)
	budgets.Delete(labels)
}

// discarded counts what nobody is to see.
var discarded = prometheus.NewCounter(prometheus.CounterOpts{Name: "discarded"})

// Record counts an operation that began at begun and came to outcome, where nothing
// runs under a context of its own: it has neither a span nor a deadline.
func (o *Operation) Record(begun time.Time, outcome cause.Outcome) {
	o.add(time.Since(begun), outcome.Name, nil)
}

func (o *Operation) add(took time.Duration, outcome string, exemplar prometheus.Labels) {
	count(o.counter(outcome), exemplar)
	measure(o.duration, took.Seconds(), exemplar)
}

// counter is the counter of an outcome.
func (o *Operation) counter(outcome string) prometheus.Counter {
	if outcome == cause.NameOK {
		return o.ok
	}
	if c, ok := (*o.outcomes.Load())[outcome]; ok {
		return c
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone {
		return discarded
	}
	known := *o.outcomes.Load()
	name := label(outcome)
	if len(known) >= maxOutcomes {
		name = Other
	}
	if c, ok := known[name]; ok {
		return c
	}
	grown := maps.Clone(known)
	grown[name] = operations.WithLabelValues(o.operation, o.target, name)
	o.outcomes.Store(&grown)
	return grown[name]
}
