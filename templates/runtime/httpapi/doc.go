// Package httpapi serves an HTTP API of the operator's own.
//
// A [Server] answers within bounds: each request has the time its caller
// announces, at most that of the settings; headers, bodies, pages of lists,
// connections and idle time are limited; and what is in flight when the process
// is stopped is answered. Unless turned off, it is served by TLS and to callers
// only whom the API server knows and lets use the path: the health and the
// description of the API are open.
//
// [Register] adds the objects of a kind: lists and reads are answered from the
// cache, by every replica; objects are created, changed and deleted by the one
// that leads, through the client that is fenced. [Answer] makes a handler of a
// function whose errors are answered alike, for routes of one's own.
package httpapi
