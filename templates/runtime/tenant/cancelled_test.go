//go:build !race

package tenant

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"
)

// It tells times, which the race detector multiplies, and asserts that everyone is told.
// Each works in a tenant of its own, and all of them in one.
func TestManyAreCancelledAtOnce(t *testing.T) {
	const rounds = 10
	for name, tenants := range map[string]int{"one tenant": 1, "as many tenants": many} {
		t.Run(name, func(t *testing.T) {
			fastest := time.Duration(math.MaxInt64) // what else the machine does only adds to it
			for range rounds {
				fastest = min(fastest, cancelled(t, tenants))
			}
			t.Attr("p99", fastest.String())
			t.Logf("p99 %s", fastest)
		})
	}
}

// cancelled has many goroutines work for some tenants that all go, and returns the
// 99th percentile of the times until they notice.
func cancelled(t *testing.T, tenants int) time.Duration {
	f := build(t, 4*many)
	for i := range tenants {
		f.Put(Namespace{Name: fmt.Sprint(i)})
	}
	var begun, ended sync.WaitGroup
	var start time.Time
	late := make([]time.Duration, many)
	for i := range many {
		ctx, leave := f.work(t, fmt.Sprint(i%tenants), fmt.Sprint(i))
		begun.Add(1)
		ended.Go(func() {
			begun.Done()
			<-ctx.Done()
			late[i] = time.Since(start)
			leave()
		})
	}
	begun.Wait()
	start = time.Now()
	f.Keep(nil)
	ended.Wait()
	if f.busy != 0 {
		t.Errorf("%d places are held", f.busy)
	}
	slices.Sort(late)
	return late[many*99/100]
}
