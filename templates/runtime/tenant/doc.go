// Package tenant keeps the tenants of an operator apart. A tenant is a namespace,
// and nothing that is written inside of it makes it another.
//
// A [Set] has the tenants. [Set.Watch] keeps it as the namespaces are;
// [Set.Restrict] gives a tenant limits, or suspends it. For each kind, a
// [Sandboxes] has one sandbox per tenant. Its Gate is the outermost link of the
// kind's chain: a reconcile enters the sandbox of its namespace, in which it is
// cancelled, with a cause, when the tenant goes, is suspended or gets tighter
// limits. After the first two a fence forbids every write on behalf of it.
//
// A tenant cannot take the workers of others. It may have one, and as many more
// as there are free ones, and so leaves as many as it takes: alone it has a half of
// them, with k as greedy ones a share of 1 in k+1, and one that is still free is
// for whoever has none. A request for which there is no room does not
// wait in a worker. It is left in the line of its tenant, once, in the order of
// arrival, and goes back into the work queue when its turn has come, with room
// kept for it.
//
// A sandbox has neither a goroutine nor, while nothing waits for the rate, a timer.
package tenant
