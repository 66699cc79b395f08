package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// soakKind is a user's reconciler that does everything that takes a goroutine,
// a timer or a registration, and ends as it is told.
type soakKind struct {
	finalizing
	end func(context.Context) error
}

func (soakKind) Every() time.Duration { return time.Hour }
func (soakKind) Interruptible() bool  { return true }

func (s soakKind) ReconcileKind(ctx context.Context, w *widget) error {
	w.Status.Serial++
	op := budget.Operation{Name: "op", Timeout: time.Minute, Attempt: time.Second, Backoff: budget.Backoff{Attempts: 2, Base: time.Microsecond}}
	calls := 0
	if err := op.Do(ctx, func(context.Context) error {
		if calls++; calls == 1 {
			return budget.Transient(errors.New("once"))
		}
		return nil
	}); err != nil {
		return err
	}
	fake := apiwatch.NewFakeWithChanSize(1, false)
	fake.Add(w)
	done := errors.New("seen")
	if err := watch.Range(ctx, fake, func(apiwatch.Event) error { return done }); !errors.Is(err, done) {
		return err
	}
	return s.end(ctx)
}

// Ten thousand passes of every sort, each in a process of its own, leave
// goroutines and heap as they were.
func TestTenThousandCyclesLeaveNothingBehind(t *testing.T) {
	const cycles = 10_000
	ends := []struct {
		name string
		run  func(p *process, cancel context.CancelCauseFunc) func(context.Context) error
	}{
		{"success", func(*process, context.CancelCauseFunc) func(context.Context) error {
			return func(context.Context) error { return nil }
		}},
		{"later", func(*process, context.CancelCauseFunc) func(context.Context) error {
			return func(context.Context) error { return requeue.Pending(time.Second, "Waiting", "") }
		}},
		{"panic", func(*process, context.CancelCauseFunc) func(context.Context) error {
			return func(context.Context) error { panic("boom") }
		}},
		{"timeout", func(*process, context.CancelCauseFunc) func(context.Context) error {
			return func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}},
		{"cancel", func(_ *process, cancel context.CancelCauseFunc) func(context.Context) error {
			return func(ctx context.Context) error { cancel(nil); <-ctx.Done(); return ctx.Err() }
		}},
		{"shutdown", func(p *process, _ context.CancelCauseFunc) func(context.Context) error {
			return func(ctx context.Context) error { p.Stop(cause.Shutdown); <-ctx.Done(); return ctx.Err() }
		}},
		{"leadership lost", func(p *process, cancel context.CancelCauseFunc) func(context.Context) error {
			return func(ctx context.Context) error { cancel(cause.LeadershipLost); <-ctx.Done(); return ctx.Err() }
		}},
	}
	quiet(t)
	root, stop := context.WithCancel(log.IntoContext(t.Context(), logr.Discard()))
	defer stop()
	term, lose := context.WithCancel(root) // outlives every cycle, as a term of leadership does
	defer lose()
	cycle := func(i int) {
		end := ends[i%len(ends)]
		p := runtimetest.NewProcess(limit)
		p.Put(`{}`)
		ctx, cancel := context.WithCancelCause(budget.WithFence(root, term))
		defer cancel(nil)
		if end.name == "timeout" {
			p.Limit = budget.Reconcile{Total: 101 * time.Millisecond, Reserve: 100 * time.Millisecond}
		}
		_, f := build(t, p, soakKind{finalizing{finalize: succeed}, end.run(p, cancel)})
		_, err := f.Reconcile(ctx, request)
		if (err == nil) != (end.name != "timeout" && end.name != "panic") {
			t.Errorf("%s: error %v", end.name, err)
		}
		// A timeout may come before the work has begun.
		if w := p.Widget(); end.name != "timeout" && (w.Status.Serial == 1) != (end.name != "leadership lost") {
			t.Errorf("%s: serial %d", end.name, w.Status.Serial)
		}
	}
	for i := range 500 { // until maps and pools have their size
		cycle(i)
	}
	goroutines := goleak.IgnoreCurrent()
	before := heap()
	for i := range cycles {
		cycle(i)
	}
	after := heap()
	goleak.VerifyNone(t, goroutines)
	grown := int64(after) - int64(before)
	t.Attr("cycles", fmt.Sprint(cycles))
	t.Attr("heap-bytes", fmt.Sprintf("%+d", grown))
	if grown > 64<<10 {
		t.Errorf("the heap grew by %d B", grown)
	}
}

// heap returns the bytes in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
