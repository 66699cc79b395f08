// Package cadence turns "every 30 s" into delays for a work queue.
//
// A fixed RequeueAfter counts from the end of the work, so that the real
// period is the wanted one plus the duration of the work, and subtracting the
// duration gives zero or less as soon as the work overruns, which a work queue
// takes for "never again". Here ticks lie on a grid that depends on nothing
// but the clock: [Next] is the distance from now to the next point. Overruns
// skip points, and a pass caused by an event in between moves nothing.
//
// [Phase] spreads objects over the period, so that ten thousand objects of one
// cadence do not tick in the same instant, and none of them moves when the
// operator restarts.
package cadence
