// Package reconciler is the generic reconciler of one kind.
//
// The user writes ReconcileKind (see [Interface]) and, where wanted, optional
// methods such as FinalizeKind; the generated code describes the kind in a
// [Kind]; a [Loop] does the rest of every pass: it reads the object, keeps its
// finalizer, runs the user's code within a budget, turns what that returned, or
// a panic, into the Ready condition and events, and writes the status in a
// reserve of time that the user's code cannot use up.
//
// The Ready condition belongs to this package. User code says through its
// error what is to be in it, and owns every other condition and status field.
package reconciler
