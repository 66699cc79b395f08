package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cadence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

const period = 30 * time.Second

func TestPeriodicKindsComeAgain(t *testing.T) {
	failure := errors.New("boom")
	tests := map[string]struct {
		verdict error
		work    time.Duration
		want    time.Duration // from the grid point at which the pass begins; 0 for no result
	}{
		"success":              {nil, time.Second, period},
		"an overrun":           {nil, 14 * time.Second, period},
		"look again sooner":    {requeue.After(3 * time.Second), time.Second, 4 * time.Second},
		"look again later":     {requeue.After(time.Hour), time.Second, period},
		"pending for long":     {requeue.Pending(time.Hour, "Waiting", ""), time.Second, period},
		"failure":              {failure, time.Second, 0},
		"terminal":             {requeue.Terminal(failure), time.Second, 0},
		"success in no time":   {nil, 0, period},
		"failure beside later": {errors.Join(failure, requeue.After(time.Second)), 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, `{}`)
				_, f := build(t, p, periodic{every: period, user: func(context.Context, *widget) error {
					time.Sleep(test.work)
					return test.verdict
				}})
				time.Sleep(cadence.Next(time.Now(), period, cadence.Phase("uid-1", period)))
				begin := time.Now()
				result, err := f.Reconcile(t.Context(), request)
				if !is(err, test.verdict) && result.IsZero() {
					t.Errorf("error %v", err)
				}
				if err != nil && !result.IsZero() {
					t.Errorf("result %+v beside error %v", result, err)
				}
				if test.want != 0 && time.Since(begin)+result.RequeueAfter != test.want {
					t.Errorf("comes again %s after it began, want %s", time.Since(begin)+result.RequeueAfter, test.want)
				}
			})
		})
	}
}

// controllerOf runs a real controller with its real queue on f until ctx ends.
func controllerOf(ctx context.Context, t *testing.T, f reconcile.Reconciler) {
	t.Helper()
	skip := true
	c, err := controller.NewUnmanaged("cadence", controller.Options{Reconciler: f, SkipNameValidation: &skip})
	if err != nil {
		t.Fatal(err)
	}
	enqueue := func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		q.Add(request)
		return nil
	}
	if err := c.Watch(source.Func(enqueue)); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Error(err)
	}
}

// A thousand ticks through controller-runtime's own queue, in fake time, beside
// a plain RequeueAfter in the same run.
func TestCadenceDoesNotStretch(t *testing.T) {
	const ticks = 1000
	for _, share := range []float64{0, 0.01, 0.25, 0.5, 0.9} {
		t.Run(fmt.Sprintf("work of %g of the period", share), func(t *testing.T) {
			work := time.Duration(share * float64(period))
			ours := amplification(t, ticks, func(p *process, tick func()) reconcile.Reconciler {
				_, f := build(t, p, periodic{every: period, user: func(context.Context, *widget) error {
					tick()
					time.Sleep(work)
					return nil
				}})
				return f
			})
			plain := amplification(t, ticks, func(_ *process, tick func()) reconcile.Reconciler {
				return reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
					tick()
					time.Sleep(work)
					return reconcile.Result{RequeueAfter: period}, nil
				})
			})
			t.Attr("grid", fmt.Sprintf("%.6f", ours))
			t.Attr("RequeueAfter", fmt.Sprintf("%.6f", plain))
			if ours < 0.999 || ours > 1.001 {
				t.Errorf("the grid is stretched by %.6f", ours)
			}
			if math.Abs(plain-(1+share)) > 0.001 {
				t.Errorf("plain RequeueAfter is stretched by %.6f, expected %.6f: the comparison is not what it seems", plain, 1+share)
			}
		})
	}
}

// amplification returns the mean distance between the starts of passes, in
// periods.
func amplification(t *testing.T, ticks int, reconciler func(p *process, tick func()) reconcile.Reconciler) float64 {
	t.Helper()
	var first, last time.Time
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		p.Limit.Total, p.Limit.Reserve = time.Minute, time.Second
		ctx, stop := context.WithCancel(t.Context())
		n := -1 // the first pass is not on the grid
		controllerOf(ctx, t, reconciler(p, func() {
			switch n++; n {
			case 1:
				first = time.Now()
			case ticks + 1:
				last = time.Now()
				stop()
			}
		}))
	})
	return float64(last.Sub(first)) / float64(ticks) / float64(period)
}

// An overrun skips grid points; it neither stops the loop nor moves the grid.
func TestOverrunsSkipTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		p.Limit.Total = time.Hour
		ctx, stop := context.WithCancel(t.Context())
		var begun []time.Time
		_, f := build(t, p, periodic{every: period, user: func(context.Context, *widget) error {
			if begun = append(begun, time.Now()); len(begun) == 20 {
				stop()
			}
			time.Sleep(period * 5 / 2)
			return nil
		}})
		controllerOf(ctx, t, f)
		for i := 2; i < len(begun); i++ {
			if gap := begun[i].Sub(begun[i-1]); gap != 3*period {
				t.Fatalf("pass %d began %s after the one before, want three periods", i, gap)
			}
		}
	})
}

// A pass caused by an event between two ticks does not move the next one.
func TestAnEventDoesNotMoveTheGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		_, f := build(t, p, periodic{every: period, user: succeed})
		tick := func() time.Time {
			result, err := f.Reconcile(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			return time.Now().Add(result.RequeueAfter)
		}
		next := tick()
		time.Sleep(time.Until(next) / 2)
		if moved := tick(); !moved.Equal(next) {
			t.Errorf("the next tick moved by %s", moved.Sub(next))
		}
	})
}
