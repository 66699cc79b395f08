package cadence_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cadence"
)

func TestNextIsTheDistanceToTheGrid(t *testing.T) {
	epoch := time.Unix(0, 0)
	tests := map[string]struct {
		now           time.Duration // since the epoch
		period, phase time.Duration
		want          time.Duration
	}{
		"on a point":           {10 * time.Second, 2 * time.Second, 0, 2 * time.Second},
		"after a point":        {10500 * time.Millisecond, 2 * time.Second, 0, 1500 * time.Millisecond},
		"with a phase":         {10 * time.Second, 2 * time.Second, 500 * time.Millisecond, 500 * time.Millisecond},
		"before the epoch":     {-500 * time.Millisecond, 2 * time.Second, 0, 500 * time.Millisecond},
		"phase beyond now":     {time.Second, 4 * time.Second, 3 * time.Second, 2 * time.Second},
		"an overrun":           {10900 * time.Millisecond, 200 * time.Millisecond, 0, 100 * time.Millisecond},
		"a little early":       {11999 * time.Millisecond, 2 * time.Second, 0, 2001 * time.Millisecond},
		"earlier than a slew":  {11979 * time.Millisecond, 2 * time.Second, 0, 21 * time.Millisecond},
		"a period of an hour":  {90 * time.Minute, time.Hour, 0, 30 * time.Minute},
		"a period of one tick": {5, 1, 0, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cadence.Next(epoch.Add(test.now), test.period, test.phase); got != test.want {
				t.Errorf("Next = %s, want %s", got, test.want)
			}
		})
	}
}

func TestNextIsAlwaysPositiveAndOnTheGrid(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		now := time.Unix(random.Int64N(1<<33)-1<<32, random.Int64N(1e9))
		period := time.Duration(1 + random.Int64N(int64(48*time.Hour)))
		phase := time.Duration(random.Int64N(int64(period)))
		next := cadence.Next(now, period, phase)
		if next <= 0 || next > period+period/100 {
			t.Fatalf("Next(%s, %s, %s) = %s", now, period, phase, next)
		}
		if off := (now.UnixNano() + int64(next) - int64(phase)) % int64(period); off != 0 {
			t.Fatalf("Next(%s, %s, %s) = %s is %d ns off the grid", now, period, phase, next, off)
		}
	}
}

func TestPhaseSpreadsObjects(t *testing.T) {
	const objects, buckets = 10_000, 100
	period := 30 * time.Second
	var counts [buckets]int
	for i := range objects {
		uid := types.UID(fmt.Sprintf("6f1c7d5e-0000-4000-8000-%012d", i))
		phase := cadence.Phase(uid, period)
		if phase < 0 || phase >= period {
			t.Fatalf("Phase = %s, outside of the period", phase)
		}
		if phase != cadence.Phase(uid, period) {
			t.Fatal("Phase differs from call to call")
		}
		counts[int64(phase)*buckets/int64(period)]++
	}
	for i, n := range counts { // expected 100 each, standard deviation 10
		if n < 50 || n > 150 {
			t.Errorf("%d of %d objects in bucket %d of %d", n, objects, i, buckets)
		}
	}
}

func TestImpossiblePeriodsPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"Next":  func() { cadence.Next(time.Now(), 0, 0) },
		"Phase": func() { cadence.Phase("uid", -time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			f()
		})
	}
}

func ExampleNext() {
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	// Work takes 7 s of each 30 s; the pass still starts every 30 s.
	for _, end := range []time.Time{start.Add(7 * time.Second), start.Add(37 * time.Second), start.Add(95 * time.Second)} {
		fmt.Println(end.Add(cadence.Next(end, 30*time.Second, 0)).Format(time.TimeOnly))
	}
	// Output:
	// 12:00:30
	// 12:01:00
	// 12:02:00
}
