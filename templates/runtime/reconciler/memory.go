package reconciler

import (
	"hash/maphash"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// memories are what a controller remembers of the objects it has passed over, from
// one pass to the next. What is gone is forgotten.
type memories struct {
	mu      sync.Mutex
	objects map[types.NamespacedName]*memory
}

// memory is what is remembered of one object.
type memory struct {
	// said is a digest of the conditions that the last pass has put into the status,
	// 0 if it found what it had to say; version is the one that this process wrote last.
	said    uint64
	version uint64
	// conflicts is how many passes in a row have ended in a conflict.
	conflicts int
}

// of returns the memory of an object, made if there is none. The caller holds mu.
func (m *memories) of(key types.NamespacedName) *memory {
	of := m.objects[key]
	if of == nil {
		of = new(memory)
		if m.objects == nil {
			m.objects = map[types.NamespacedName]*memory{}
		}
		m.objects[key] = of
	}
	return of
}

// ended notes the digest of what a pass says on an object, 0 for nothing new, and
// whether it was a conflict that ended it.
func (m *memories) ended(key types.NamespacedName, said uint64, conflict bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.of(key)
	of.said = said
	if !conflict {
		of.conflicts = 0
	}
}

// conflict notes that a pass met with a conflict, and returns how many in a row have.
func (m *memories) conflict(key types.NamespacedName) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.of(key)
	of.conflicts++
	return of.conflicts
}

// wrote notes the version that a status has made of an object.
func (m *memories) wrote(key types.NamespacedName, version uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(key).version = version
}

// forget is told that an object is gone.
func (m *memories) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// contradicted reports whether a version of an object, which says by its conditions
// something else than the one before, is the word of somebody else, on an object that
// this controller has passed over. Versions up to its own last write are history; a
// newer one of the digest that it said is its own write, whose answer is on its way.
func (m *memories) contradicted(key types.NamespacedName, version string, digest uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.objects[key]
	return of != nil && of.said != digest && number(version) > of.version
}

// number is a resource version as a number, 0 if it is none.
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

var seed = maphash.MakeSeed()

// digest is a number that tells apart what the conditions of the given types say, of
// which there are at most as many as in the array. How long they have said it does not
// count.
func digest(conditions Conditions, conditionTypes []string) uint64 {
	var says [3]struct {
		status          metav1.ConditionStatus
		reason, message string
		generation      int64
	}
	for i, name := range conditionTypes {
		if c, ok := conditions.Find(name); ok {
			s := &says[i]
			s.status, s.reason, s.message, s.generation = c.Status, c.Reason, c.Message, c.ObservedGeneration
		}
	}
	return maphash.Comparable(seed, says)
}
