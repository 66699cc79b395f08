package tenant

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

const many = 10_000

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// uid has the shape of a real one.
func uid(i int) types.UID { return types.UID(fmt.Sprintf("%08d-5ca1-4ab1-8ab1-0123456789ab", i)) }

// populate gives a fixture many tenants, each of which has been worked for and had
// a status written. The strings are each tenant's own, as those of events are.
func populate(t testing.TB, f *fixture) {
	for i := range many {
		name := fmt.Sprintf("tenant-%05d", i)
		f.Put(Namespace{Name: name, UID: uid(i)})
		ctx, leave := f.work(t, name, "x")
		if _, release, err := split.BeginStatus(ctx); err != nil {
			t.Fatal(err)
		} else {
			release()
		}
		leave()
	}
	f.arrived = nil // as if told
}

func TestATenantAtRestCostsLittle(t *testing.T) {
	f := build(t, 10)
	goroutines := runtime.NumGoroutine()
	before := heap()
	populate(t, f)
	each := (heap() - before) / many
	t.Attr("bytes-per-tenant", fmt.Sprint(each))
	t.Logf("%d B per tenant", each)
	if each > 700 {
		t.Errorf("a tenant costs %d B at rest, of at most 700", each)
	}
	if more := runtime.NumGoroutine() - goroutines; more > 0 {
		t.Errorf("%d goroutines", more)
	}
	for i := range many {
		f.Forget(fmt.Sprintf("tenant-%05d", i))
	}
	f.tenants = map[string]*tenant{} // a map keeps its size, not what was in it
	if left := heap() - before; left > many*20 {
		t.Errorf("%d B are left of tenants that are gone", left)
	}
	runtime.KeepAlive(f)
}

// One in ten has a status written. A leak is found before it is large.
func TestTwoMillionEntriesLeaveNothing(t *testing.T) {
	const passes, step, warm = 2_000_000, 100_000, 2 * many
	f := build(t, 10)
	populate(t, f)
	pass := func(i int) {
		name := fmt.Sprintf("tenant-%05d", i%many)
		ctx, leave, err := f.Enter(t.Context(), key(name, "x"))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if i%10 != 0 {
			return
		}
		_, release, err := split.BeginStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	for i := range warm {
		pass(i)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	grown := int64(0)
	for i := range passes {
		pass(i)
		if (i+1)%step != 0 {
			continue
		}
		if grown = heap() - before; grown > 64<<10 {
			t.Fatalf("the heap grew by %d B in %d entries", grown, i+1)
		}
	}
	t.Attr("heap-bytes", fmt.Sprintf("%+d", grown))
	t.Logf("heap %+d B after %d entries", grown, passes)
	if more := runtime.NumGoroutine() - goroutines; more > 0 {
		t.Errorf("%d goroutines", more)
	}
	runtime.KeepAlive(f)
}

// nothing is the rest of a chain.
func nothing(context.Context, reconcile.Request) error { return nil }

// The parent is a context that has had no children yet, as that of a reconcile is. It
// allocates for its first child, which is counted.
func TestEnteringAllocatesLittle(t *testing.T) {
	f := build(t, 10, "a")
	gate, req := f.Gate(nothing), reconcile.Request{NamespacedName: key("a", "x")}
	count := func(pass func(context.Context)) float64 {
		return testing.AllocsPerRun(1000, func() {
			parent, cancel := context.WithCancel(t.Context())
			defer cancel()
			pass(parent)
		})
	}
	alone := count(func(context.Context) {})
	inside := count(func(ctx context.Context) {
		if err := gate(ctx, req); err != nil {
			t.Fatal(err)
		}
	})
	t.Attr("allocations", fmt.Sprint(inside-alone))
	if added := inside - alone; added > 6 {
		t.Errorf("%.0f allocations, of at most 6", added)
	}
}

func BenchmarkCountingTheLines(b *testing.B) {
	f := build(b, 10)
	populate(b, f)
	for b.Loop() {
		f.count(map[string]int{})
	}
}

// BenchmarkEnter prints what a reconcile in a sandbox costs beside one outside of any,
// and, as a yardstick for the machine, what a context with a cause costs alone.
func BenchmarkEnter(b *testing.B) {
	f := build(b, 10)
	populate(b, f)
	f.Restrict("tenant-00001", Quota{Limits: Limits{Concurrency: 5, Rate: 1e9, Calls: 5}})
	f.Restrict("tenant-00002", Quota{Limits: Limits{Budget: time.Minute}})
	within := func(pass func(context.Context)) func() {
		return func() {
			parent, cancel := context.WithCancel(b.Context())
			defer cancel()
			pass(parent)
		}
	}
	enter := func(tenant string) func() {
		gate, req := f.Gate(nothing), reconcile.Request{NamespacedName: key(tenant, "x")}
		return within(func(ctx context.Context) {
			if err := gate(ctx, req); err != nil {
				b.Fatal(err)
			}
		})
	}
	medians := runtimetest.Medians(b,
		within(func(context.Context) {}),
		within(func(ctx context.Context) {
			_, end := context.WithCancelCause(ctx)
			end(nil)
		}),
		enter("tenant-00000"), enter("tenant-00001"), enter("tenant-00002"))
	for i, name := range []string{"WithCancelCause", "sandbox", "limited", "with-budget"} {
		b.ReportMetric(medians[i+1]-medians[0], name+"-ns")
	}
}
