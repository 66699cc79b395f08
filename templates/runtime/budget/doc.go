// Package budget divides time.
//
// A [Reconcile] budget has two shares: one for the work and a reserve in which
// the status is written, also when the work has used up its own. An
// [Operation] is a named budget for one thing done within the work, such as a
// call to a bank, optionally tried more than once. A child never outlives its
// parent: where the parent's deadline is nearer it is the parent's deadline,
// and the parent's cause, that ends the operation.
//
// [Operation.Do] repeats what is worth repeating. Which errors are is decided
// by type (see [Retryable]); it does not start a wait that cannot end within
// the budget. Attempts may be rationed by a [Meter] in the context, as those made
// for a tenant are.
//
// A fence (see [WithFence]) is a context whose end forbids even the status
// write: leadership, a tenant, the end of the shutdown period.
package budget
