// Package admission serves the webhooks that the API server calls: defaulting,
// validating and conversion.
//
// controller-runtime's webhook server gives a handler the bare context of its
// request. That has no deadline, although the API server announces one; it ends
// when the API server has given up; and it ends at once when the process is
// asked to stop. The [Server] here serves the same handlers as package httpx
// does: within the announced time less a margin, and to the end of what was
// begun. For conversions nothing is announced; they have a configured time.
//
// A webhook that cannot decide in time must not answer with a denial: that
// denies even where failurePolicy is Ignore. It must fail as a webhook, by a
// status of HTTP, so that failurePolicy decides. The Server does that when time
// runs out, and [Register] does it for errors of rules that are no verdict; see
// [Undecided].
//
// What CEL in the CRD can express is better expressed there: it needs no
// webhook, so nothing can be late.
package admission
