package leader

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
)

// Term is one time of leading, from an election to its end. It has a context of
// its own, which ends with cause.LeadershipLost and cannot come back to life;
// the next election makes the next Term.
type Term struct {
	holder      string
	transitions int32 // of the Lease: with the holder, it tells terms apart for the API server
	safe        time.Duration
	election    *Election                // whose term it is
	stamp       func(http.Header, *Term) // nil without server-side fence
	now         func() instant

	over   atomic.Pointer[cause.Cause] // why the term ended
	ctx    context.Context             // ends when all uses have been told
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	renewed instant           // when the last renewal that succeeded was sent
	uses    map[*use]struct{} // under way
	begun   uint64            // how many uses have begun
	closed  bool
	idle    chan struct{} // closed when closed and there are no uses
}

// use is something that is done in a term.
type use struct {
	cancel context.CancelCauseFunc
	number uint64 // uses are told in the order in which they were begun
}

var _ fence.Permission = (*Term)(nil)

// newTerm returns a term that is over safe after its last renewal, which was
// sent at renewed.
func newTerm(base context.Context, holder string, transitions int32, safe time.Duration, clock func() instant, renewed instant) *Term {
	t := &Term{
		holder: holder, transitions: transitions, safe: safe, now: clock, renewed: renewed,
		uses: map[*use]struct{}{}, idle: make(chan struct{}),
	}
	t.ctx, t.cancel = context.WithCancelCause(base)
	go t.watchClock()
	return t
}

// OnEnd implements fence.Permission.
func (t *Term) OnEnd(f func()) (stop func() bool) { return context.AfterFunc(t.ctx, f) }

// Check returns nil if this process leads at this very moment, else why not. It
// asks the clocks and so ends a term whose time ran out while the process, or
// the machine, stood still.
func (t *Term) Check() error {
	if t.over.Load() == nil && t.remaining() <= 0 {
		t.end(cause.LeadershipLost.With(fmt.Sprintf("lease not renewed for %s", t.safe)))
	}
	if why := t.over.Load(); why != nil {
		return why
	}
	return nil
}

// remaining returns how long the term lasts unless it is renewed. What counts is
// when the renewal was sent: others count from when they see it, which is later.
func (t *Term) remaining() time.Duration {
	t.mu.Lock()
	renewed := t.renewed
	t.mu.Unlock()
	return t.safe - t.now().since(renewed)
}

// renew notes a renewal that was sent at sent and has succeeded.
func (t *Term) renew(sent instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewed = sent
}

// tick bounds how long a term outlives its time unnoticed by everyone: a timer
// stands still with the monotonic clock.
const tick = time.Second

// watchClock ends the term when its time has run out.
func (t *Term) watchClock() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-timer.C:
			if t.Check() != nil {
				return
			}
			timer.Reset(min(t.remaining(), tick))
		}
	}
}

// end ends the term for a reason. What is under way is told before anything else
// happens because of it, such as its connections being cut, so that it finds the
// reason when it fails; and a use before the uses within it.
func (t *Term) end(why *cause.Cause) {
	if !t.over.CompareAndSwap(nil, why) {
		return
	}
	t.mu.Lock()
	uses := slices.SortedFunc(maps.Keys(t.uses), func(a, b *use) int { return cmp.Compare(a.number, b.number) })
	t.mu.Unlock()
	for _, u := range uses {
		u.cancel(why)
	}
	t.cancel(why)
}

// Join implements fence.Permission. The returned context ends with ctx and with
// the term, and no status is written for work under it once the term is over.
// Work that was begun in an earlier term of the same election is over with that,
// even if its context has been detached since, and does not join another.
func (t *Term) Join(ctx context.Context) (context.Context, context.CancelFunc, error) {
	earlier := joinedOf(ctx, t.election)
	if earlier != nil && earlier.term != t {
		if err := earlier.term.Check(); err != nil {
			return nil, nil, err
		}
	}
	within := &joined{Fenced: budget.Fenced{Context: ctx, Fence: t.ctx}, term: t, use: &use{}}
	own, cancel := context.WithCancelCause(within)
	within.use.cancel = cancel
	if err := t.enter(within.use, earlier); err != nil {
		cancel(err)
		return nil, nil, err
	}
	return own, func() { t.leave(within.use) }, nil
}

// Joined implements fence.Permission.
func (t *Term) Joined(ctx context.Context) bool {
	j := joinedOf(ctx, t.election)
	return j != nil && j.term == t
}

// enter notes a use that begins, within another one if outer is not nil.
func (t *Term) enter(u *use, outer *joined) error {
	if err := t.Check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if why := t.over.Load(); why != nil { // whose uses have been told already
		return why
	}
	if t.closed && !t.underWay(outer) {
		return errClosing
	}
	t.begun++
	u.number = t.begun
	t.uses[u] = struct{}{}
	return nil
}

// underWay reports whether a use that is not over was joined as outer.
func (t *Term) underWay(outer *joined) bool {
	if outer == nil {
		return false
	}
	_, ok := t.uses[outer.use]
	return ok
}

// leave notes that a use is over. It may be called more than once.
func (t *Term) leave(u *use) {
	u.cancel(nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.uses[u]; !ok {
		return
	}
	delete(t.uses, u)
	if t.closed && len(t.uses) == 0 {
		close(t.idle)
	}
}

// errClosing is why there are no new uses of a term that is being given up.
var errClosing = cause.LeadershipLost.With("lease is being given up")

// close lets no use begin any more but within one there is, without ending those.
// The returned channel is closed when the last one is over. It must be called
// once.
func (t *Term) close() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if len(t.uses) == 0 {
		close(t.idle)
	}
	return t.idle
}

// Stamp implements fence.Permission.
func (t *Term) Stamp(header http.Header) {
	if t.stamp != nil {
		t.stamp(header, t)
	}
}

// String names the term for logs, and for the API server.
func (t *Term) String() string { return strconv.Itoa(int(t.transitions)) }
