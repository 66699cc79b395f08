package manager

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Processes end once, but tests and leadership terms may run many managers.
func TestManyRunsLeaveNothingBehind(t *testing.T) {
	const cycles = 300
	cycle := func() {
		root, stop := context.WithCancel(t.Context())
		defer stop()
		r := start(root, t, Settings{}, nil)
		add(t, r, func(ctx context.Context) error {
			stop()
			<-ctx.Done()
			return nil
		})
		if err := r.Run(root); err != nil {
			t.Error(err)
		}
	}
	for range 20 {
		cycle()
	}
	goroutines := goleak.IgnoreCurrent()
	before := heap()
	for range cycles {
		cycle()
	}
	goleak.VerifyNone(t, goroutines)
	grown := int64(heap()) - int64(before)
	t.Attr("runs", fmt.Sprint(cycles))
	t.Attr("heap-bytes", fmt.Sprintf("%+d", grown))
	// controller-runtime keeps about 1 KiB of each; a manager has a hundred.
	if grown > cycles<<12 {
		t.Errorf("the heap grew by %d B in %d runs", grown, cycles)
	}
}

// heap returns the bytes in use once finalizers have run.
func heap() uint64 {
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
