// Package freshness keeps work from being done on what is no longer true.
//
// A cache is late: it shows what the API server has sent, not what is stored. A
// pass that reads its object from it soon after a write of its own, or of the
// leader before it, may find the state before that write, and then repeats what
// has been done, or leaves undone what is not. A [Keep] holds, for each object
// that this process has written, the oldest version that may still be read:
//
//   - [Client] notes every write but DeleteAllOf. One that failed in a way that leaves
//     open whether it was stored asks for a live read, or for a live list where nobody
//     knows under which name, and a conflict asks for a version newer than the one it
//     was made from;
//   - [Reader], in front of a cache, holds back a read until the cache has got as far.
//     What is late for longer than [Patience] is read from the API server;
//   - [Barrier] asks the API server, once in each term of leading, how far the
//     cache has to be to know what former leaders wrote.
//
// Nothing here fences a write that timed out: it may be stored after the read that
// looked for it. Nor does a Barrier know of other kinds than its own, such as children.
//
// Waiting ends with its context, and then the error is, or wraps, [Late]. In the
// ordinary case, in which nothing is late, none of this costs a request.
//
// controller-runtime has a client of its own that waits for its writes. It starts
// an informer of everything that is written, does not know what became of a write
// that timed out, nor of what another process wrote.
package freshness

import (
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Late is why a read ended that waited for its cache, or for the API server in the
// place of the cache, until its time was over.
var Late = cause.Deadline("stale_cache_deadline", "the cache is older than what was written")

// Patience is how long a read of one object waits for its cache before it asks the
// API server.
const Patience = 100 * time.Millisecond
