package reconciler

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// A periodic object that fails for long must not wait a quarter of an hour for
// what is due every period.
func TestBackoffOfPeriodicKindsIsBoundedByThePeriod(t *testing.T) {
	for _, period := range []time.Duration{time.Millisecond, 30 * time.Second} {
		limiter := (&Loop[*runtimetest.Widget]{period: period}).controllerOptions().RateLimiter
		var request reconcile.Request
		if first := limiter.When(request); first > 5*time.Millisecond {
			t.Errorf("period %s: first delay %s", period, first)
		}
		for range 100 {
			if delay := limiter.When(request); delay > period {
				t.Fatalf("period %s: delay %s", period, delay)
			}
		}
	}
	if limiter := (&Loop[*runtimetest.Widget]{}).controllerOptions().RateLimiter; limiter != nil {
		t.Error("a kind without a period does not keep controller-runtime's backoff")
	}
}

func TestAKindSaysHowManyWorkersItHas(t *testing.T) {
	for _, want := range []int{0, 7} {
		l := &Loop[*runtimetest.Widget]{kind: Kind[*runtimetest.Widget]{Workers: want}}
		if got := l.controllerOptions().MaxConcurrentReconciles; got != want {
			t.Errorf("%d workers, want %d", got, want)
		}
	}
}
