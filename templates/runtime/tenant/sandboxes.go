package tenant

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Kind is a kind whose objects are in sandboxes.
type Kind struct {
	// Name is its controller's, by which it is observed.
	Name string
	// Workers is how many its controller has: MaxConcurrentReconciles. With one
	// there is nothing to share.
	Workers int
	// Cache is where its objects are read.
	Cache client.Reader
	// Object and List are empty ones of the kind. They are copied.
	Object client.Object
	List   client.ObjectList
}

// Sandboxes are the sandboxes of one kind, one for each tenant.
type Sandboxes struct {
	set     *Set
	kind    Kind
	enqueue func(reconcile.Request) // nil until the controller's queue is known
	busy    int                     // places that are held in all sandboxes
	ring    ring                    // of those that wait for a share of the workers
	turns   uint64                  // that have been given out in it
	arrived []string                // tenants whose objects are to be enqueued
	news    chan struct{}           // tells of them

	entries, waits *observe.Operation
}

// Sandboxes returns the sandboxes of a kind. Without tenancy, of a nil Set, they
// are nil: their Gate lets everything through.
func (s *Set) Sandboxes(kind Kind) *Sandboxes {
	if s == nil {
		return nil
	}
	k := &Sandboxes{
		set: s, kind: kind, news: make(chan struct{}, 1),
		entries: observe.For(observe.Tenant, kind.Name), waits: observe.For(observe.TenantWait, kind.Name),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds = append(s.kinds, k)
	for _, t := range s.tenants {
		s.greet(t)
	}
	return k
}

// ErrWaiting says that a request waits for its turn. It will be enqueued.
var ErrWaiting error = waiting{}

type waiting struct{}

func (waiting) Error() string { return "tenant is at its limit, the request waits in its line" }

// OutcomeName implements cause.Namer.
func (waiting) OutcomeName() string { return "waiting" }

// Gate is the outermost link of a chain: the rest of it runs in the sandbox of the
// request's namespace. What may not enter is cut short. When it can be done it is
// enqueued, by the source that [Sandboxes.Wakes] returns.
func (k *Sandboxes) Gate(next chain.Func) chain.Func {
	if k == nil {
		return next
	}
	return func(ctx context.Context, req reconcile.Request) error {
		inside, e, err := k.admit(ctx, req.NamespacedName)
		if err != nil {
			return chain.CutShort(err)
		}
		defer e.leave(inside)
		return next(inside, req)
	}
}

// Enter begins work on the object of that name. The returned context ends with ctx
// and, with the cause, when the tenant may no longer work. Enter does not wait: it
// fails with [ErrWaiting] where the tenant is at a limit, with cause.TenantSuspended
// where it is suspended, else with cause.TenantGone. The returned function says that
// the work is over. It may be called more than once.
func (k *Sandboxes) Enter(ctx context.Context, key client.ObjectKey) (context.Context, context.CancelFunc, error) {
	inside, e, err := k.admit(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	return inside, func() { e.leave(inside) }, nil
}

// admit is Enter without a function to leave by, which has to be allocated. The
// context is the entry.
func (k *Sandboxes) admit(ctx context.Context, key client.ObjectKey) (context.Context, *entry, error) {
	begun := time.Now()
	e, err := k.enter(ctx, key, false)
	if err == errTerminating && !k.isKept(ctx, key) {
		e, err = k.enter(ctx, key, true)
	}
	if err != nil {
		k.entries.Record(begun, cause.Judged(err))
		return nil, nil, err
	}
	e.begun = begun
	return e, e, nil
}

// enter begins work. Work that finishes an object which is being deleted is also
// begun in a namespace that is.
func (k *Sandboxes) enter(ctx context.Context, key client.ObjectKey, finishes bool) (*entry, error) {
	k.set.mu.Lock()
	defer k.set.mu.Unlock()
	t := k.set.tenants[key.Namespace]
	if err := t.refuses(); err != nil && (err != errTerminating || !finishes) {
		return nil, err
	}
	b := k.of(t)
	if !b.take(key.Name) {
		return nil, ErrWaiting
	}
	return b.begin(ctx, key.Name), nil
}

// isKept reports whether an object is there and not being deleted. One that is gone may
// have a place, which has to be taken to be given back.
func (k *Sandboxes) isKept(ctx context.Context, key client.ObjectKey) bool {
	object := k.kind.Object.DeepCopyObject().(client.Object)
	return k.kind.Cache.Get(ctx, key, object) == nil && object.GetDeletionTimestamp().IsZero()
}

// of returns the sandbox of a tenant, made if there is none.
func (k *Sandboxes) of(t *tenant) *sandbox {
	for b := t.boxes; b != nil; b = b.next {
		if b.kind == k {
			return b
		}
	}
	t.boxes = &sandbox{kind: k, tenant: t, next: t.boxes, rate: paced(nil, t.quota.Rate)}
	return t.boxes
}
