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
	objects map[types.NamespacedName]memory
}

// memory is what is remembered of one object.
type memory struct {
	// said is a digest of the conditions that the last pass put into the status,
	// version the one that this process wrote last.
	said    uint64
	version uint64
	// conflicts is how many passes in a row have ended in a conflict.
	conflicts int
}

// update changes what is remembered of an object.
func (m *memories) update(key types.NamespacedName, change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[types.NamespacedName]memory{}
	}
	of := m.objects[key]
	change(&of)
	m.objects[key] = of
}

// of returns what is remembered of an object.
func (m *memories) of(key types.NamespacedName) (memory, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of, ok := m.objects[key]
	return of, ok
}

// conflict notes whether a pass has ended in a conflict, and returns how many in a row
// have.
func (m *memories) conflict(key types.NamespacedName, conflict bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	of, known := m.objects[key]
	switch {
	case conflict:
		of.conflicts++
	case of.conflicts == 0:
		return 0
	default:
		of.conflicts = 0
	}
	if !known && m.objects == nil {
		m.objects = map[types.NamespacedName]memory{}
	}
	m.objects[key] = of
	return of.conflicts
}

// forget is told that an object is gone.
func (m *memories) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// contradicted reports whether a version of an object says by its conditions, whose
// digest is given, something else than this controller did last. Versions that are
// older than its own last write are history.
func (m *memories) contradicted(key types.NamespacedName, version string, digest uint64) bool {
	of, known := m.of(key)
	return known && of.said != digest && number(version) > of.version
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

// digest is a number that tells apart what the conditions of the given types say.
// How long they have said it does not count.
func digest(conditions Conditions, conditionTypes []string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, name := range conditionTypes {
		c, ok := conditions.Find(name)
		if !ok {
			c = metav1.Condition{}
		}
		for _, text := range []string{string(c.Status), c.Reason, c.Message, strconv.FormatInt(c.ObservedGeneration, 10)} {
			_, _ = h.WriteString(text)
			_ = h.WriteByte(0)
		}
	}
	return h.Sum64()
}
