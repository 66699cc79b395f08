package tenant

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// sandbox is where the objects of one kind in one namespace are worked on. The
// Set's mutex guards it.
type sandbox struct {
	kind   *Sandboxes
	tenant *tenant
	next   *sandbox      // of the same tenant
	newest *entry        // under way
	line   *line         // nil if nobody waits
	rate   *rate.Limiter // nil without a limit
	holds  int           // places: of what is under way, and of what was called
}

// verdict is whether there is room for one more.
type verdict int

const (
	held    verdict = iota // there is, and it is taken
	noShare                // what is free is left to others
	atLimit                // as many as the tenant may have are under way
	tooFast                // there have been too many lately
)

// hold takes a place if there is one. Whoever has some takes no more than are
// left for others; whoever has none may always have one, or it would wait for
// the greedy.
func (b *sandbox) hold() verdict {
	limit := b.tenant.quota.Concurrency
	switch {
	case limit > 0 && b.holds >= limit:
		return atLimit
	case b.holds > 0 && b.holds+1 > b.kind.kind.Workers-b.kind.busy-1:
		return noShare
	}
	if delay := wait(b.rate); delay > 0 {
		b.resume(delay)
		return tooFast
	}
	b.holds++
	b.kind.busy++
	return held
}

// release gives n places back.
func (b *sandbox) release(n int) {
	b.holds -= n
	b.kind.busy -= n
	b.settle()
}

// take takes the place of an object that was called, or that nobody waits before.
// Without one it has the object wait.
func (b *sandbox) take(name string) bool {
	switch {
	case b.line.answers(name):
		b.tidy()
		return true
	case b.line.has(name):
		return false
	case b.line.empty() && b.hold() == held:
		return true
	}
	b.join(name)
	b.queueUp()
	b.kind.advance()
	return false
}

// begin begins work in a place that was taken.
func (b *sandbox) begin(ctx context.Context, name string) *entry {
	t := b.tenant
	if t.fence == nil {
		t.fence, t.drop = context.WithCancelCause(b.kind.set.base)
	}
	e := &entry{Fenced: budget.Fenced{Fence: t.fence}, box: b, name: name, older: b.newest}
	e.Context, e.cancel = context.WithCancelCause(ctx)
	if limit := t.quota.Budget; limit > 0 {
		e.Context, e.stop = context.WithTimeoutCause(e.Context, limit, t.quota.overdue)
	}
	if e.older != nil {
		e.older.newer = e
	}
	b.newest = e
	return e
}

// end ends what is under way and lets nobody wait.
func (b *sandbox) end(why *cause.Cause) {
	for e := b.newest; e != nil; e = e.older {
		e.cancel(why)
	}
	b.dismiss(why)
	b.kind.advance()
}

// limit puts the tenant's limits in force.
func (b *sandbox) limit(before Limits) {
	now := b.tenant.quota.Limits
	b.rate = paced(b.rate, now.Rate)
	keep := now.Concurrency
	if keep == 0 {
		keep = b.holds
	}
	if tightens(before.Budget, now.Budget) {
		keep = 0
	}
	stays := 0
	for e := b.newest; e != nil; e = e.older {
		if !e.again {
			stays++
		}
	}
	for e := b.newest; e != nil && stays > keep; e = e.older {
		if !e.again {
			e.again = true
			e.cancel(cause.TenantLimited)
			stays--
		}
	}
	b.line.stop()
	b.release(b.line.recall())
	b.queueUp()
	b.kind.advance()
}

// entry is work under way. It is the context of it.
type entry struct {
	budget.Fenced
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // nil without a budget
	box    *sandbox
	name   string
	begun  time.Time
	older  *entry
	newer  *entry
	again  bool // was ended to begin anew
	left   atomic.Bool
}

type entryKey struct{}

// Value implements context.Context.
func (e *entry) Value(key any) any {
	if key == (entryKey{}) || key == (budget.MeterKey{}) {
		return e
	}
	return e.Fenced.Value(key)
}

// Of returns the namespace of the tenant that work under ctx is done for. It is
// false outside of a sandbox.
func Of(ctx context.Context) (namespace string, ok bool) {
	e, ok := ctx.Value(entryKey{}).(*entry)
	if !ok {
		return "", false
	}
	return e.box.tenant.name, true
}

// leave ends the work under inside, the context of the entry. It may be called more
// than once.
func (e *entry) leave(inside context.Context) {
	outcome := cause.Classify(inside, nil)
	e.cancel(nil)
	if e.stop != nil {
		e.stop()
	}
	if e.vacate() {
		e.box.kind.entries.Record(e.begun, outcome)
	}
}

// vacate gives the place back, if it still has it.
func (e *entry) vacate() bool {
	b := e.box
	b.kind.set.mu.Lock()
	defer b.kind.set.mu.Unlock()
	if e.left.Swap(true) {
		return false
	}
	defer func() { e.older, e.newer = nil, nil }() // a context that is kept keeps no others
	if e.older != nil {
		e.older.newer = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		b.newest = e.older
	}
	b.release(1)
	if e.again && !b.tenant.rests() {
		b.rejoin(e.name)
	}
	b.queueUp()
	b.kind.advance()
	return true
}
