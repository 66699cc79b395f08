// Package runtimetest has what the tests of several runtime packages share: a
// small API type and a stand-in for the process. Only tests import it.
package runtimetest
