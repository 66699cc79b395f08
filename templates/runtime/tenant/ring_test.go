package tenant

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestTheTenantWithTheFewestPlacesIsFirst(t *testing.T) {
	f := build(t, 10, "a", "b", "c")
	leave := map[string][]context.CancelFunc{}
	for i, name := range []string{"a", "b", "c", "a", "b", "c", "a"} {
		_, l := f.work(t, name, fmt.Sprint("at work ", i))
		leave[name] = append(leave[name], l)
	}
	f.park(t, "a", "1")
	f.park(t, "b", "1")
	together := func(name string) { // two leave before anybody is called
		enqueue := f.enqueue
		f.enqueue = nil
		for _, l := range leave[name][:2] {
			l()
		}
		f.enqueue = enqueue
		f.advance()
	}
	together("c")
	f.wantCalls(t, "[b/1]") // a has three at work, b two; then no more are left than each has

	f.park(t, "b", "2")
	together("b")
	f.wantCalls(t, "[b/2 a/1]") // a waited longer, but b has one then, and a three
}

func TestOfEqualsTheOneThatWaitedLongestIsFirst(t *testing.T) {
	f := build(t, 5, "a", "b", "c")
	leave := map[string]context.CancelFunc{}
	for _, name := range []string{"a", "b", "c"} {
		_, leave[name] = f.work(t, name, "at work")
	}
	for _, name := range []string{"c", "a", "b"} {
		f.park(t, name, "1")
		f.park(t, name, "2")
	}
	f.wantCalls(t, "[]")
	for _, name := range []string{"a", "b", "c"} { // each gives its place to its own line, and goes behind the others
		leave[name]()
		f.wantCalls(t, "["+name+"/1]")
	}
	var order []string
	for len(f.ring) > 0 {
		order = append(order, f.ring[0].tenant.name)
		f.ring[0].quit()
	}
	if !slices.Equal(order, []string{"a", "b", "c"}) {
		t.Errorf("order %v", order)
	}
}

// storm is a fixture in which each of n tenants has one object in a place and two that
// wait for the workers.
type storm struct {
	*fixture
	called []reconcile.Request
	held   []place
}

type place struct {
	object client.ObjectKey
	leave  context.CancelFunc
}

func newStorm(t testing.TB, n int) *storm {
	s := &storm{fixture: build(t, workers)}
	s.enqueue = func(r reconcile.Request) { s.called = append(s.called, r) }
	for i := range n {
		name := fmt.Sprintf("tenant-%05d", i)
		s.Put(Namespace{Name: name, UID: uid(i)})
		s.enter(t, key(name, "0"))
	}
	for i := range n {
		name := fmt.Sprintf("tenant-%05d", i)
		for _, object := range []string{"1", "2", "3", "4", "5", "6"} { // as many as there may be, and two
			if line := s.tenants[name].boxes.line; line == nil || len(line.order) < 2 {
				s.enter(t, key(name, object))
			}
		}
	}
	return s
}

func (s *storm) enter(t testing.TB, object client.ObjectKey) {
	_, leave, err := s.Enter(t.Context(), object)
	if err == nil {
		s.held = append(s.held, place{object, leave})
	} else if err != ErrWaiting {
		t.Fatal(err)
	}
}

// pass ends the oldest work, begins what is called in its place, and has the object that
// was worked on wait again.
func (s *storm) pass(t testing.TB) {
	oldest := s.held[0]
	s.held = s.held[1:]
	oldest.leave()
	for _, r := range s.called {
		s.enter(t, r.NamespacedName)
	}
	s.called = s.called[:0]
	s.enter(t, oldest.object)
}

// What a pass does under the lock of all tenants is counted in sandboxes that change
// their places in the ring, however many wait there.
func TestAPassDoesNotTouchAllWhoWait(t *testing.T) {
	const n = 4096
	s := newStorm(t, n)
	if len(s.ring) < n/2 {
		t.Fatalf("%d wait: this tests nothing", len(s.ring))
	}
	most := 0
	for range 200 {
		before := slices.Clone(s.ring)
		s.pass(t)
		moved := 0
		for i := range min(len(before), len(s.ring)) {
			if before[i] != s.ring[i] {
				moved++
			}
		}
		most = max(most, moved)
	}
	if limit := 4 * bits.Len(n); most > limit {
		t.Errorf("a pass moved %d of %d, of at most %d", most, len(s.ring), limit)
	}
}

// BenchmarkStorm is what a pass costs while each of so many tenants waits for workers.
func BenchmarkStorm(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newStorm(b, n)
			for b.Loop() {
				s.pass(b)
			}
		})
	}
}

func TestATenantThatGoesLeavesTheRing(t *testing.T) {
	f := build(t, 4, "a", "b")
	f.work(t, "a", "1")
	f.work(t, "a", "2")
	f.park(t, "a", "3")
	if len(f.ring) != 1 {
		t.Fatal("nobody is in the ring: this tests nothing")
	}
	f.Forget("a")
	if len(f.ring) != 0 {
		t.Error("who is gone is in the ring")
	}
}
