package tenant

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

const (
	workers = 10
	quiet   = 50               // tenants that have an event each second
	length  = 10 * time.Second // of the time in which they have
	normal  = 20 * time.Millisecond
)

// latencies runs a controller with real work queues whose quiet tenants are looked
// at, and returns the times from event to end of their reconciles. With neighbours,
// each of them has 10,000 events at once, and each of their reconciles hangs until
// its budget ends it. gated reports whether the sandboxes are in the chain.
func latencies(t *testing.T, neighbours int, gated bool) (taken []time.Duration, hung int) {
	synctest.Test(t, func(t *testing.T) {
		set := New(t.Context())
		k := set.Sandboxes(kind(t, workers, nil))
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		k.enqueue = func(r reconcile.Request) { queue.Add(r) }

		var mu sync.Mutex
		events := map[reconcile.Request]time.Time{}
		core := chain.Func(func(ctx context.Context, req reconcile.Request) error {
			if req.Namespace[0] != 'q' {
				ctx, release := budget.Reconcile{Total: 20 * time.Second, Reserve: 5 * time.Second}.Begin(ctx)
				defer release()
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				hung++
				return context.Cause(ctx)
			}
			time.Sleep(normal)
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, time.Since(events[req]))
			return nil
		})
		if gated {
			core = k.Gate(core)
		}
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for {
					req, shutdown := queue.Get()
					if shutdown {
						return
					}
					if _, err := core.Reconcile(t.Context(), req); err != nil {
						queue.AddRateLimited(req)
					} else {
						queue.Forget(req)
					}
					queue.Done(req)
				}
			})
		}
		for n := range neighbours {
			name := fmt.Sprintf("neighbour-%d", n)
			set.Put(Namespace{Name: name})
			for i := range 10_000 {
				queue.Add(reconcile.Request{NamespacedName: key(name, fmt.Sprint(i))})
			}
		}
		for q := range quiet {
			set.Put(Namespace{Name: fmt.Sprintf("quiet-%d", q)})
		}
		for second := range int(length / time.Second) {
			for q := range quiet {
				req := reconcile.Request{NamespacedName: key(fmt.Sprintf("quiet-%d", q), fmt.Sprint(second))}
				mu.Lock()
				events[req] = time.Now()
				mu.Unlock()
				queue.Add(req)
				time.Sleep(time.Second / quiet)
			}
		}
		time.Sleep(time.Minute)
		set.Keep(nil) // ends what hangs
		queue.ShutDown()
		running.Wait()
	})
	slices.Sort(taken)
	return taken, hung
}

func p95(sorted []time.Duration) time.Duration { return sorted[len(sorted)*95/100] }

// Time is the bubble's, so that what is compared is waiting and nothing else.
func TestQuietTenantsDoNotNoticeTheNoisy(t *testing.T) {
	alone, _ := latencies(t, 0, true)
	const events = quiet * int(length/time.Second)
	if len(alone) != events {
		t.Fatalf("%d of %d done without neighbours", len(alone), events)
	}
	for _, neighbours := range []int{1, 3} {
		beside, hung := latencies(t, neighbours, true)
		if len(beside) != events {
			t.Fatalf("%d of %d done beside %d neighbours", len(beside), events, neighbours)
		}
		if hung < neighbours*workers/(neighbours+1) {
			t.Errorf("%d passes of neighbours hung: this tests nothing", hung)
		}
		ratio := float64(p95(beside)) / float64(p95(alone))
		t.Logf("p95 beside %d neighbours %s, alone %s: %.2f", neighbours, p95(beside), p95(alone), ratio)
		if ratio > 1.2 {
			t.Errorf("p95 of quiet tenants is %.2f times what it is without %d neighbours", ratio, neighbours)
		}
	}
	bare, _ := latencies(t, 1, false)
	t.Logf("p95 without sandboxes %s, %d of %d done", p95(bare), len(bare), events)
	if p95(bare) <= 2*p95(alone) {
		t.Error("without sandboxes it is no worse: this tests nothing")
	}
}
