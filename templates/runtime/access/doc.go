// Package access keeps what is done for a tenant within its namespace.
//
// [Settings.Confine] returns the process as the reconcilers of users see it. Its clients
// look at the tenant of each context (see tenant.Of). With one, they read and write in
// its namespace, and read in the shared ones and what is in no namespace. Without one
// they only read: such a context is the operator's, of a function that maps events, say.
// Everything else is refused with a [RefusedError], which is terminal: to try again
// does not help, and the object's Ready condition has it.
//
// A context is good for its pass: when that is over, or its tenant is gone or suspended, it
// is refused, however it was kept or detached from its end (see tenant.Over). What bounds
// a tenant and is in its namespace (see tenant.BoundsPrefix) is not its own to change.
//
// There are two guards. A transport is in the way of every request of every client that
// is made from the confined config, whether typed, dynamic or untyped, for objects and
// for subresources. A reader is in front of the cache, which no request leaves.
//
// With a service account, the transport has the API server take each request for one
// of the account of that name in the tenant's namespace, and the server's own rules
// decide as well. A request without a tenant is then refused, not sent with the
// operator's rights. Objects of the operator's own groups are still read from its
// cache; all others are read from the API server, by those rules.
//
// What the runtime itself writes, statuses, finalizers, events and leases, goes by
// the operator's own clients.
package access
