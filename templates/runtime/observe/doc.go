// Package observe makes one observation of each thing the operator does: a
// reconcile, a call to somewhere else, a write to the API server, a webhook.
//
// [For] returns the handle of an operation, made once. [Operation.Begin] begins
// an observation, [Call.End] ends it with a [cause.Outcome]: once, whatever
// follows. An observation is
//
//   - a count by operation, target and outcome, where the outcome of what was
//     ended has the name of its cause,
//   - its duration, and how much of its time was left at the end,
//   - a span, if there is a tracer (see package tracing), with an event at the
//     moment at which the context ended.
//
// Names of objects are attributes of spans and never labels of metrics. An
// observation has no goroutine of its own: the outcome is read when the work
// returns, and only a span that is recorded asks to be told of the context's end.
package observe
