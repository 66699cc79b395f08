// Package httpx answers HTTP requests within the time that their callers have.
//
// A [Handler] gives each request a context with a deadline: the time the caller
// announces it will wait, less a margin for the way back, or a configured
// maximum. It ends with [RequestDeadline], with cause.ClientGone when the caller
// goes away and with cause.ShutdownEnded when the process cannot wait any
// longer. The request's body is read, and bounded in time and size, before
// anything is done; the answer is held back until it is known whether it was
// made in time. What was made after the context ended is not sent: nothing
// distinguishes an answer that was just late from one of a handler that gave up.
// A handler that is deaf to its context is left behind, and its caller answered
// without it.
//
// A [Server] serves handlers and comes to an end in order: from when the process
// is asked to stop it asks its callers to turn elsewhere, and requests that are
// in flight when it is stopped are answered, not cut.
//
// Streaming, upgrades and answers larger than the memory are not for this
// package.
package httpx
