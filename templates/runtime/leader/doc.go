// Package leader makes being the leader a mode of the process instead of its
// life. A process that loses the lease goes on as an observer, with its caches,
// webhooks, metrics and reads, and leads again when it is elected again.
//
// An [Election] competes for a Lease. Each time it wins, a [Term] begins: a
// context of its own, under which everything happens that only a leader may do.
// The term ends, with cause.LeadershipLost, as soon as one of these is known:
//
//   - another holder is in the Lease, or the Lease was changed or deleted by
//     somebody else. A watch tells of it within milliseconds, and at the latest
//     the next renewal does;
//   - another process has renewed the Lease under this one's identity;
//   - its time ran out: LeaseDuration, less a margin, has passed since the last
//     renewal that succeeded was sent. The monotonic and the wall clock are both
//     asked, by a timer and again whenever it matters, so that a process or a
//     machine that stood still learns it before it does anything;
//   - the process is being stopped. Then the lease is released, but only after
//     everything that was done in the term has ended.
//
// A term does not begin either as long as a predecessor may still be at work:
// where the last holder seen did not release the Lease, its time is waited out,
// even if the Lease was deleted or handed over by hand meanwhile.
//
// What is done in a term stays of that term: what was decided in one is not
// written in a later one, also under a context that was detached from it (see
// [TermOf]).
//
// What the modes mean to others: [Election.Fence] lets the clients of a config,
// of this or another cluster, write only in a term; [Election.Gate] turns reconciling into observing outside
// of one; [Election.Gains] puts every object into the work queue when one
// begins; [Election.PerTerm] runs a runnable once in each; [Election.HTTP]
// answers for an HTTP API in both modes; [Join] is for everything else.
//
// A nil *Election is a process that runs alone and always leads: each of these
// then changes nothing, [Election.Elected] is closed, and there is no [Term].
package leader
