package tenant

import (
	"context"
	"hash/maphash"
	"sync"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// BoundsPrefix begins the names of what bounds a tenant and is in its namespace. It is not
// for the work for the tenant to change.
const BoundsPrefix = "ctxscaffold-tenant."

// Set is the tenants of an operator. It is safe for use by many goroutines. One
// mutex guards all of it and of its sandboxes, as nothing is done under it that
// takes longer than to cancel contexts.
type Set struct {
	base    context.Context // of fences
	seed    maphash.Seed    // of identities
	workers int             // of each kind
	free    *allowance      // of tenants that are given no quota

	selection Selection                                  // of Watch
	expect    func(context.Context, metav1.Object) error // nil if nobody wants to know

	mu      sync.Mutex
	tenants map[string]*tenant
	quotas  map[string]*allowance // also of namespaces that are not there
	kinds   []*Sandboxes
	turns   []func(namespace string)
}

// New returns a Set without tenants. Of ctx it has the values.
func New(ctx context.Context) *Set {
	return &Set{
		base: context.WithoutCancel(ctx), seed: maphash.MakeSeed(), free: allow(Quota{}),
		tenants: map[string]*tenant{}, quotas: map[string]*allowance{},
	}
}

// tenant is one namespace.
type tenant struct {
	name     string
	identity uint64 // a hash of the UID, which takes a sixth of the room
	phase    phase
	quota    *allowance
	boxes    *sandbox // of all kinds that have had something to do for it

	// fence ends with what is under way. It is nil until something is.
	fence context.Context
	drop  context.CancelCauseFunc
	calls *rate.Limiter // nil without a limit
}

// phase is where a namespace is in its life.
type phase uint8

const (
	active      phase = iota
	terminating       // is being deleted, and waits for finalizers
	gone
)

// Namespace is what a Set knows of a namespace.
type Namespace struct {
	Name string
	// UID tells it from another one of the same name.
	UID types.UID
	// Terminating tells that it is being deleted.
	Terminating bool
}

// Put makes a namespace a tenant, or tells what became of it. When its deletion
// begins what is under way ends, with cause.TenantGone, and from then on only
// objects that are being deleted are worked on: the namespace waits for their
// finalizers.
func (s *Set) Put(ns Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[ns.Name]
	identity := maphash.String(s.seed, string(ns.UID))
	if t != nil && t.identity != identity {
		s.forget(t)
		t = nil
	}
	if t == nil {
		t = &tenant{name: ns.Name, identity: identity, quota: s.free}
		if q := s.quotas[ns.Name]; q != nil {
			t.limit(q)
		}
		s.tenants[ns.Name] = t
		s.greet(t)
		s.turn(ns.Name)
	}
	if ns.Terminating && t.phase == active {
		t.phase = terminating
		t.end(errTerminating)
		s.greet(t) // objects whose deletion has begun already
	}
}

// Forget tells that a namespace is gone, or is no tenant any more. What is under
// way ends with cause.TenantGone, and nothing is kept.
func (s *Set) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tenants[name]; t != nil {
		s.forget(t)
	}
}

func (s *Set) forget(t *tenant) {
	t.phase = gone
	t.end(cause.TenantGone)
	delete(s.tenants, t.name)
	s.turn(t.name)
}

// Keep forgets the tenants that are not among names.
func (s *Set) Keep(names map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.tenants {
		if !names[name] {
			s.forget(t)
		}
	}
}

// Restrict gives the namespace of that name a quota, now or when it becomes a
// tenant, until [Set.Release]. What is under way in a tenant that is suspended ends
// with cause.TenantSuspended, in one that is excluded with cause.TenantGone. What is
// under way and more than tighter limits allow ends with cause.TenantLimited and begins
// anew under them: everything if it is the budget, the latest if it is the concurrency.
func (s *Set) Restrict(name string, q Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed := s.free
	if q == s.free.Quota {
		delete(s.quotas, name)
	} else {
		allowed = allow(q)
		s.quotas[name] = allowed
	}
	t := s.tenants[name]
	if t == nil || t.quota.Quota == q {
		return
	}
	before := t.quota
	t.limit(allowed)
	refused, refuses := before.refuses(), allowed.refuses()
	switch {
	case t.phase != active: // has no reconciles to begin with, and finalizers must end
	case refuses != nil && refused == nil:
		t.end(refuses)
	case refused != nil && refuses == nil:
		s.greet(t)
	}
	if before.Excluded != allowed.Excluded {
		s.turn(name)
	}
	for b := t.boxes; b != nil; b = b.next {
		b.limit(before.Limits)
	}
}

// Release takes back the quota of the namespace of that name. It is then without limits,
// or no tenant, as Settings.RequireQuota says.
func (s *Set) Release(name string) { s.Restrict(name, s.free.Quota) }

// limit gives the tenant another quota.
func (t *tenant) limit(q *allowance) {
	t.quota = q
	t.calls = paced(t.calls, q.Calls)
}

// end ends what is under way and what waits. The fence comes first: what notices
// its end has nothing to write any more.
func (t *tenant) end(why *cause.Cause) {
	if t.fence != nil {
		t.drop(why)
		t.fence, t.drop = nil, nil
	}
	for b := t.boxes; b != nil; b = b.next {
		b.end(why)
	}
}

// greet has the objects of a tenant enqueued, unless none of them may be worked on.
func (s *Set) greet(t *tenant) {
	if t.rests() {
		return
	}
	for _, k := range s.kinds {
		k.greet(t.name)
	}
}

var (
	errTerminating = cause.TenantGone.With("namespace is being deleted")
	errNoTenant    = cause.TenantGone.With("namespace is no tenant")
)

// refuses returns why nothing is begun for the tenant, nil if it is.
func (t *tenant) refuses() error {
	switch {
	case t == nil:
		return errNoTenant
	case t.phase == terminating:
		return errTerminating
	}
	if why := t.quota.refuses(); why != nil {
		return why
	}
	return nil
}

// rests reports whether nothing at all is done for the tenant, not even what finalizers ask.
func (t *tenant) rests() bool {
	return t.phase == gone || t.phase == active && t.quota.refuses() != nil
}
