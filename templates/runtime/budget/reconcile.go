package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Reconcile is the time one reconcile may take.
type Reconcile struct {
	// Total is the time for everything.
	Total time.Duration
	// Reserve is the end of Total that is kept for writing the status.
	Reserve time.Duration
}

// Work is the share of Total for the reconciler's own work.
func (r Reconcile) Work() time.Duration { return r.Total - r.Reserve }

// Validate tells why the budget cannot be kept, or returns nil.
func (r Reconcile) Validate() error {
	switch {
	case r.Total <= 0:
		return fmt.Errorf("reconcile budget: total %s must be positive", r.Total)
	case r.Reserve <= 0:
		return fmt.Errorf("reconcile budget: reserve %s must be positive, or no status is written after a timeout", r.Reserve)
	case r.Reserve >= r.Total:
		return fmt.Errorf("reconcile budget: reserve %s leaves nothing of the total %s for work", r.Reserve, r.Total)
	}
	return nil
}

// Begin returns the context for the work. It ends with cause.ReconcileDeadline
// when the work share is used up, or earlier together with ctx and with ctx's
// cause. The returned function releases it.
func (r Reconcile) Begin(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.Work(), cause.ReconcileDeadline)
}

// leastReserve is the part of the reserve that is left to work which has used up the
// total: 1 in so many.
const leastReserve = 5

// BeginStatus returns the context for writing the status of work that ran
// under ctx. It has ctx's values but not its end: it lasts for the reserve from
// now, less what the work took beyond its share, and ends with cause.StatusDeadline.
// A fifth of the reserve is there in any case. It is refused, and ends early, where
// the end of ctx or a fence forbids all writing; the error is then what forbids
// it. The returned function releases the context.
func (r Reconcile) BeginStatus(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if c := cause.Of(ctx); c != nil && c.Fencing() {
		return nil, nil, c
	}
	detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	release := func() { cancel(nil) }
	for _, fence := range fences(ctx) {
		if fence.Err() != nil {
			release()
			return nil, nil, context.Cause(fence)
		}
		stop := context.AfterFunc(fence, func() { cancel(context.Cause(fence)) })
		previous := release
		release = func() { stop(); previous() }
	}
	left := r.Reserve
	if due, ok := ctx.Deadline(); ok {
		left = max(min(left, time.Until(due)+r.Reserve), r.Reserve/leastReserve)
	}
	status, releaseTimer := context.WithTimeoutCause(detached, left, cause.StatusDeadline)
	return status, func() { releaseTimer(); release() }, nil
}

type fenceKey struct{}

// WithFence returns a copy of ctx that carries a fence: a context whose end
// forbids every write on behalf of work under ctx, also one that ctx itself has
// been detached from. A fence does not end ctx; whoever ends the work does that
// as well.
func WithFence(ctx, fence context.Context) context.Context {
	return &Fenced{Context: ctx, Fence: fence}
}

// Fenced is the context that [WithFence] returns, for a context that is a struct
// of its own to embed.
type Fenced struct {
	context.Context
	Fence context.Context
}

// Value implements context.Context.
func (f *Fenced) Value(key any) any {
	if key == (fenceKey{}) {
		return f
	}
	return f.Context.Value(key)
}

// fences returns the fences that ctx carries, the innermost first.
func fences(ctx context.Context) []context.Context {
	var all []context.Context
	f, ok := ctx.Value(fenceKey{}).(*Fenced)
	for ok {
		all = append(all, f.Fence)
		f, ok = f.Context.Value(fenceKey{}).(*Fenced)
	}
	return all
}
