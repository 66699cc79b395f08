package tenant

import heaps "container/heap"

// ring is the sandboxes that wait for a share of the workers. Whoever has the fewest
// places comes first, of equals whoever has waited the longest. As a place can be taken
// the sooner the fewer one has, nobody has to be asked where the first is refused: a
// pass costs no more than the logarithm of how many tenants wait.
type ring []*sandbox

// Len implements heaps.Interface.
func (r ring) Len() int { return len(r) }

// Less implements heaps.Interface.
func (r ring) Less(i, j int) bool {
	a, b := r[i], r[j]
	if a.holds != b.holds {
		return a.holds < b.holds
	}
	return a.line.turn < b.line.turn
}

// Swap implements heaps.Interface.
func (r ring) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].line.place, r[j].line.place = i, j
}

// Push implements heaps.Interface.
func (r *ring) Push(x any) {
	b := x.(*sandbox)
	b.line.place = len(*r)
	*r = append(*r, b)
}

// Pop implements heaps.Interface.
func (r *ring) Pop() any {
	last := len(*r) - 1
	b := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	b.line.place = outside
	return b
}

// outside is the place of a line that is not in the ring.
const outside = -1

func (b *sandbox) inRing() bool { return b.line != nil && b.line.place != outside }

// queueUp puts the sandbox into the ring if somebody waits in it, as the last of its
// equals.
func (b *sandbox) queueUp() {
	if b.inRing() || b.line.empty() {
		return
	}
	b.takeTurn()
	heaps.Push(&b.kind.ring, b)
}

// takeTurn has the sandbox wait behind its equals.
func (b *sandbox) takeTurn() {
	b.kind.turns++
	b.line.turn = b.kind.turns
}

// settle finds the sandbox its place in the ring after its places or its turn changed.
func (b *sandbox) settle() {
	if b.inRing() {
		heaps.Fix(&b.kind.ring, b.line.place)
	}
}

// quit takes the sandbox out of the ring.
func (b *sandbox) quit() {
	if b.inRing() {
		heaps.Remove(&b.kind.ring, b.line.place)
	}
}

// advance calls those that wait as far as there is room, in turn. A sandbox that
// is at a limit of its own leaves the ring until that changes.
func (k *Sandboxes) advance() {
	if k.enqueue == nil {
		return
	}
	for len(k.ring) > 0 {
		b := k.ring[0]
		switch b.hold() {
		case held:
			b.call()
		case noShare: // nobody has fewer
			return
		case atLimit, tooFast: // its leave, or its timer, goes on
			b.quit()
		}
	}
}
