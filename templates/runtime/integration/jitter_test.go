//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// The faults between the operator and the API server: most requests are a
// little late, and three in a hundred do not come through for a long time.
const (
	seed    = 1
	stalls  = 0.03
	stall   = time.Minute
	lateBy  = 5 * time.Millisecond
	payment = 2 * time.Second // the time for one payment, whichever way it is spent
)

type paymentKey struct{}

// call names a request, so that both operators meet the same faults whatever
// order their requests come in.
type call struct {
	payment, step int
	attempt       *int
}

// jitter delays requests as the seed has it.
type jitter struct{ next http.RoundTripper }

func (j jitter) RoundTrip(r *http.Request) (*http.Response, error) {
	c, ok := r.Context().Value(paymentKey{}).(call)
	if !ok {
		return j.next.RoundTrip(r)
	}
	*c.attempt++
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, seed, c.payment, c.step, *c.attempt)
	random := rand.New(rand.NewPCG(seed, h.Sum64()))
	delay := time.Duration(random.Int64N(int64(lateBy)))
	if random.Float64() < stalls {
		delay = stall
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return j.next.RoundTrip(r)
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

// pay is what the payment operator asks of the API server for one payment. Each
// step is safe to repeat.
func pay(ctx context.Context, c client.Client, n int, do func(ctx context.Context, step func(context.Context) error) error) error {
	account := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "account"}}
	for i, step := range []func(context.Context) error{
		func(ctx context.Context) error { return c.Get(ctx, client.ObjectKeyFromObject(account), account) },
		func(ctx context.Context) error {
			entry := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("entry-%d", n)}}
			return client.IgnoreAlreadyExists(c.Create(ctx, entry))
		},
		func(ctx context.Context) error {
			entry := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("entry-%d", n)}}
			return c.Patch(ctx, entry, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"state":"settled"}}`)))
		},
		func(ctx context.Context) error {
			entry := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("entry-%d", n)}}
			return client.IgnoreNotFound(c.Delete(ctx, entry))
		},
	} {
		ctx := context.WithValue(ctx, paymentKey{}, call{n, i, new(int)})
		if err := do(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// The time for a payment is the same; what differs is whether one request that
// does not come through may use it all up.
func TestLayeredBudgetsAgainstOneFlatTimeout(t *testing.T) {
	const payments, workers = 1000, 20
	cfg := rest.CopyConfig(config)
	cfg.QPS, cfg.Burst = -1, 0
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return jitter{next} })
	c, err := client.New(cfg, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	if err := direct(t).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "account"}}); err != nil {
		t.Fatal(err)
	}
	failures := func(do func(ctx context.Context, step func(context.Context) error) error) float64 {
		var mu sync.Mutex
		var group sync.WaitGroup
		failed := 0
		for worker := range workers {
			group.Go(func() {
				for n := worker; n < payments; n += workers {
					ctx, cancel := context.WithTimeout(t.Context(), payment)
					if err := pay(ctx, c, n, do); err != nil {
						mu.Lock()
						failed++
						mu.Unlock()
					}
					cancel()
				}
			})
		}
		group.Wait()
		return float64(failed) / payments
	}
	flat := failures(func(ctx context.Context, step func(context.Context) error) error { return step(ctx) })
	request := budget.Operation{
		Name: "request", Timeout: time.Second, Attempt: 250 * time.Millisecond,
		Backoff: budget.Backoff{Attempts: 4, Base: 10 * time.Millisecond, Max: 50 * time.Millisecond},
	}
	layered := failures(request.Do)
	t.Attr("payments", fmt.Sprint(payments))
	t.Attr("stalled-percent", fmt.Sprint(100*stalls))
	t.Attr("flat-percent", fmt.Sprintf("%.2f", 100*flat))
	t.Attr("layered-percent", fmt.Sprintf("%.2f", 100*layered))
	if flat < 0.08 || flat > 0.16 {
		t.Errorf("%.1f %% fail with a flat timeout, expected about 11.5 %%: the faults are not what they seem", 100*flat)
	}
	if layered > 0.003 {
		t.Errorf("%.2f %% fail with layered budgets, of at most 0.3 %%", 100*layered)
	}
}
