package runtimetest

import (
	"slices"
	"testing"
	"time"
)

// Medians returns what a call of each case takes, in nanoseconds. The cases are run in turn,
// in blocks so short that most are not disturbed by whatever else the machine does; the
// medians of the faster half of the blocks are returned.
func Medians(b *testing.B, cases ...func()) []float64 {
	const blocks, calls = 1000, 200
	times := make([][]float64, len(cases))
	for range b.N {
		for range blocks {
			for i, call := range cases {
				begin := time.Now()
				for range calls {
					call()
				}
				times[i] = append(times[i], float64(time.Since(begin).Nanoseconds())/calls)
			}
		}
	}
	medians := make([]float64, len(cases))
	for i := range times {
		slices.Sort(times[i])
		medians[i] = times[i][len(times[i])/4]
	}
	return medians
}
