// Package lag makes an operator's watches late, as a busy API server does. Only
// tests import it.
//
// A [Proxy] stands in this process between an operator and the API server. It can
// delay, hold back and cut the watches of each resource, and does nothing that a
// real API server could not do: what a watch brings stays in its order and is
// complete up to the moment when the watch ends, bookmarks and the initial events
// of a streamed list among it; each watch is late by itself; all else, so every
// get, list and write, passes at once and is consistent. The bytes of a watch are
// not looked into, so it may be JSON, Protobuf or CBOR.
package lag
