package tenant

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// line is the objects of a sandbox that wait for a place. Its methods allow for a
// nil line, in which nobody is.
type line struct {
	order  []string             // who waits, first come, first served
	waits  map[string]time.Time // the same, since when
	called []string             // who has a place, and was put into the work queue
	place  int                  // of the sandbox in the ring, or outside
	turn   uint64               // since when it is there
	timer  *time.Timer          // set while it is the rate that lets nobody in
}

func (l *line) empty() bool { return l == nil || len(l.order) == 0 }

func (l *line) has(name string) bool {
	if l == nil {
		return false
	}
	_, ok := l.waits[name]
	return ok
}

// answers reports whether an object was called. It can answer once.
func (l *line) answers(name string) bool {
	if l == nil {
		return false
	}
	i := slices.Index(l.called, name)
	if i < 0 {
		return false
	}
	l.called = slices.Delete(l.called, i, i+1)
	return true
}

// recall has those that were called wait again, as the first, and returns how
// many places they had.
func (l *line) recall() int {
	if l == nil {
		return 0
	}
	n := len(l.called)
	for _, name := range l.called {
		l.waits[name] = time.Now()
	}
	l.order = slices.Concat(l.called, l.order)
	l.called = nil
	return n
}

func (l *line) stop() {
	if l != nil && l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// insert adds an object that is not in the line.
func (b *sandbox) insert(at int, name string) {
	b.line.order = slices.Insert(b.line.order, at, name)
	b.line.waits[name] = time.Now()
}

// join has an object wait as the last.
func (b *sandbox) join(name string) {
	b.open()
	b.insert(len(b.line.order), name)
}

// rejoin has an object that has been under way wait as the first.
func (b *sandbox) rejoin(name string) {
	b.open()
	if !b.line.has(name) {
		b.insert(0, name)
	}
}

func (b *sandbox) open() {
	if b.line == nil {
		b.line = &line{waits: map[string]time.Time{}, place: outside}
	}
}

// call has the first of the line, for whom there is a place, enqueued. Those behind it
// wait behind the other tenants that have as many places.
func (b *sandbox) call() {
	name := b.line.order[0]
	b.line.order = b.line.order[1:]
	b.kind.waits.Record(b.line.waits[name], cause.Judged(nil))
	delete(b.line.waits, name)
	b.line.called = append(b.line.called, name)
	b.kind.enqueue(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: b.tenant.name, Name: name}})
	if b.line.empty() {
		b.quit()
		return
	}
	b.takeTurn()
	b.settle()
}

// resume asks for places again after a while.
func (b *sandbox) resume(after time.Duration) {
	l := b.line
	if l == nil || l.timer != nil {
		return
	}
	l.timer = time.AfterFunc(after, func() {
		b.kind.set.mu.Lock()
		defer b.kind.set.mu.Unlock()
		l.timer = nil
		if b.line == l {
			b.queueUp()
			b.kind.advance()
		}
	})
}

// dismiss lets nobody wait any more.
func (b *sandbox) dismiss(why *cause.Cause) {
	if b.line == nil {
		return
	}
	for _, since := range b.line.waits {
		b.kind.waits.Record(since, cause.Judged(why))
	}
	b.quit()
	b.release(len(b.line.called))
	b.line.stop()
	b.line = nil
}

// tidy forgets a line in which nobody is.
func (b *sandbox) tidy() {
	if b.line.empty() && len(b.line.called) == 0 {
		b.line.stop()
		b.line = nil
	}
}
