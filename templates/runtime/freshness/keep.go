package freshness

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Keep knows how old a state of an object may be for work to be done on it. The
// zero value knows nothing and is ready for use. It only keeps what is asked of
// kinds that are read from a cache, until the cache has shown it.
type Keep struct {
	pending atomic.Int64 // number of floors
	scope   scope        // of the cache; set before it is used
	all     bool         // what is asked of any kind is kept, read or not; one floor is that of all views
	// direct are the kinds that the client reads from the API server; set before it is used.
	direct map[schema.GroupKind]bool

	mu     sync.Mutex
	views  map[schema.GroupKind][]view // that are read
	floors map[view]map[types.NamespacedName]floor
	sweep  int64 // number of floors at which those are looked for that are of no use
}

// view is what one informer keeps of a kind. Each version and each representation has
// an informer of its own in a cache, which is late by itself: what one has reached says
// nothing of the others.
type view struct {
	schema.GroupVersionKind
	form form
}

// form is how objects are represented.
type form int8

const (
	inType form = iota
	inMap       // unstructured
	inMetadata
)

func formOf(obj runtime.Object) form {
	switch obj.(type) {
	case runtime.Unstructured:
		return inMap
	case *metav1.PartialObjectMetadata, *metav1.PartialObjectMetadataList:
		return inMetadata
	}
	return inType
}

// whole is the one view there is where all is kept: the Keep does not know of the
// informers behind it, and what one of them has reached is taken for what all have.
func whole(kind schema.GroupKind) view { return view{GroupVersionKind: kind.WithVersion("")} }

// floor is the least that a state of an object must be.
type floor struct {
	version uint64    // resource version, 0 for any
	unknown bool      // nobody knows: only the API server can say
	held    bool      // a cache that holds a selection holds it
	deleted types.UID // the object of this UID has a deletion timestamp, or is gone
	dead    types.UID // the object of this UID is gone
	past    uint64    // what is of this version or an older one is gone
	noted   time.Time
}

// forgotten is the age at which a floor is dropped that no read has asked for, as
// that of an object which is written and never read.
const forgotten = 10 * time.Minute

// leastSweep is the number of floors below which nobody looks for old ones.
const leastSweep = 1024

// met reports whether obj, which is nil if the cache has none, is not older than
// the floor.
func (f floor) met(obj client.Object) bool {
	switch {
	case f.unknown:
		return false
	case obj == nil:
		return f.version == 0
	case f.dead != "" && obj.GetUID() == f.dead:
		return false
	case f.past > 0 && version(obj.GetResourceVersion()) <= f.past:
		return false
	case f.deleted != "" && obj.GetUID() == f.deleted && obj.GetDeletionTimestamp().IsZero():
		return false
	}
	return version(obj.GetResourceVersion()) >= f.version
}

// above is a floor that asks for no less than either.
func (f floor) above(other floor) floor {
	return floor{
		version: max(f.version, other.version),
		unknown: f.unknown || other.unknown,
		held:    f.held || other.held,
		deleted: cmp.Or(f.deleted, other.deleted),
		dead:    cmp.Or(f.dead, other.dead),
		past:    max(f.past, other.past),
	}
}

// version is a resource version as a number. One that is none is newer than all:
// it cannot be compared, and nothing would ever be new enough.
func version(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return ^uint64(0)
	}
	return n
}

// reads notes that objects are read from a cache in a view. At first it has the floors
// of the others: its informer may begin with what is older.
func (k *Keep) reads(v view) {
	k.mu.Lock()
	defer k.mu.Unlock()
	others := k.views[v.GroupKind()]
	if slices.Contains(others, v) {
		return
	}
	if k.views == nil {
		k.views = map[schema.GroupKind][]view{}
	}
	k.views[v.GroupKind()] = append(others, v)
	for _, other := range others {
		for key, f := range k.floors[other] {
			k.raiseIn(v, key, func(own *floor) { *own = own.above(f) })
		}
	}
}

// raise changes the floor of an object, in all views of it there are.
func (k *Keep) raise(kind schema.GroupKind, key types.NamespacedName, change func(*floor)) {
	if _, held := k.scope.chooses(kind, key.Namespace); !held {
		return // so it is not read from the cache either
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all {
		k.raiseIn(whole(kind), key, change)
		return
	}
	for _, v := range k.views[kind] {
		k.raiseIn(v, key, change)
	}
}

func (k *Keep) raiseIn(v view, key types.NamespacedName, change func(*floor)) {
	if k.floors == nil {
		k.floors = map[view]map[types.NamespacedName]floor{}
	}
	of := k.floors[v]
	if of == nil {
		of = map[types.NamespacedName]floor{}
		k.floors[v] = of
	}
	f, known := of[key]
	change(&f)
	f.noted = time.Now()
	of[key] = f
	if !known {
		k.grown(k.pending.Add(1))
	}
}

// grown drops floors that are too old, each time there are twice as many.
func (k *Keep) grown(pending int64) {
	if pending < max(k.sweep, leastSweep) {
		return
	}
	for _, of := range k.floors {
		for key, f := range of {
			if time.Since(f.noted) > forgotten {
				delete(of, key)
				pending = k.pending.Add(-1)
			}
		}
	}
	k.sweep = 2 * pending
}

// written notes that a version of an object was stored, and whether a cache that holds
// a selection is known to hold that.
func (k *Keep) written(kind schema.GroupKind, key types.NamespacedName, stored string, held bool) {
	n, err := strconv.ParseUint(stored, 10, 64)
	if err != nil {
		k.doubtful(kind, key)
		return
	}
	k.raise(kind, key, func(f *floor) {
		if n >= f.version {
			f.version, f.held = n, held
		}
	})
}

// outdated notes that a version of an object is not the stored one any more.
func (k *Keep) outdated(kind schema.GroupKind, key types.NamespacedName, old string) {
	n, err := strconv.ParseUint(old, 10, 64)
	if err != nil {
		k.doubtful(kind, key)
		return
	}
	k.raise(kind, key, func(f *floor) { f.version = max(f.version, n+1) })
}

// doubtful notes that nobody knows what is stored of an object, or, without a name, in
// its namespace.
func (k *Keep) doubtful(kind schema.GroupKind, key types.NamespacedName) {
	k.raise(kind, key, func(f *floor) { f.unknown = true })
}

// deletes notes that the deletion of an object was asked for.
func (k *Keep) deletes(kind schema.GroupKind, key types.NamespacedName, uid types.UID) {
	k.raise(kind, key, func(f *floor) {
		another := f.deleted != "" && f.deleted != uid // of which one floor cannot tell as well
		f.deleted, f.unknown = uid, f.unknown || another || uid == ""
	})
}

// gone notes that an object is not stored any more.
func (k *Keep) gone(kind schema.GroupKind, key types.NamespacedName, uid types.UID) {
	k.raise(kind, key, func(f *floor) { f.dead = uid })
}

// removed notes that an object is gone by a write that met its version last.
func (k *Keep) removed(kind schema.GroupKind, key types.NamespacedName, uid types.UID, last string) {
	k.raise(kind, key, func(f *floor) {
		f.dead = uid
		if f.version <= version(last) { // and is not that of another object by now
			f.past, f.version = max(f.past, f.version), 0
		}
	})
}

// lacks notes that the cache does not show an object in a view that it is to show.
func (k *Keep) lacks(v view, key types.NamespacedName, stored string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.raiseIn(v, key, func(f *floor) { f.version, f.held = max(f.version, version(stored)), true })
}

// floor returns the floor of an object in a view, if there is one.
func (k *Keep) floor(v view, key types.NamespacedName) (floor, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.floors[v][key]
	return f, ok
}

// below returns the floors of objects in a view, in one namespace unless it is empty.
func (k *Keep) below(v view, namespace string) map[types.NamespacedName]floor {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found map[types.NamespacedName]floor
	for key, f := range k.floors[v] {
		if namespace != "" && key.Namespace != namespace {
			continue
		}
		if found == nil {
			found = make(map[types.NamespacedName]floor, len(k.floors[v]))
		}
		found[key] = f
	}
	return found
}

// settle replaces the floor that was f, unless it has been raised meanwhile. A
// replacement that asks for nothing removes it.
func (k *Keep) settle(v view, key types.NamespacedName, f, by floor) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.floors[v]
	if now, ok := of[key]; !ok || now != f {
		return
	}
	if by.met(nil) && by.dead == "" && by.deleted == "" && by.past == 0 {
		delete(of, key)
		k.pending.Add(-1)
		return
	}
	by.noted = f.noted
	of[key] = by
}
