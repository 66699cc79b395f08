// Package watch is for the rare case in which an operator must watch by hand,
// because what it watches is not in the manager's cache.
//
// [Range] consumes one watch and always stops it; a consumer that leaves the
// channel without Stop leaks the goroutine that feeds it. A [Loop] keeps a
// watch going: it lists once, watches from the list's resource version, resumes
// from the last one seen when the connection breaks, and lists again only when
// the API server no longer has that version (410). Its waits end with the
// context.
package watch
