// Package chain is the shape of a reconciler made of links.
//
// A [Func] handles one request and returns one error, which says everything:
// success, failure, "again later", or why it was cut short. A [Link] wraps a
// Func in one concern. [Wrap] puts links around a core, outermost first, so
// that the order can be read in one place and a test can leave a link out.
//
// controller-runtime's pair of result and error is made at the outermost edge
// only, by [Func.Reconcile]; within the chain it does not exist, so no link
// can return both.
package chain
