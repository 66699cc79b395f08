// Package status writes the status of an object without losing anything.
//
// A [Writer] sends what one pass changed, as a patch, so that fields which the
// Go types do not know, in the status and in the elements of its lists,
// survive. It writes nothing if nothing changed. The patch is tied to the
// resource version it was made from; after a conflict the object is read
// again, as the API server has it, and the same changes are applied anew.
//
// Elements of lists are told apart as the CRD says, see [Lists]. Where it says
// nothing, an element of which is not certain which one it was is written as the
// pass left it, without what the Go types do not know.
package status
