package cadence

import (
	"hash/fnv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// tooClose is the fraction of a period, as a divisor, within which the coming
// grid point counts as the present one. A wall clock that is slewed (at most
// 0.05 %) lets a timer fire a little before its grid point; without this the
// pass would be repeated an instant later.
const tooClose = 100

// Next returns the time from now to the next point of the grid that has a
// point at phase after the Unix epoch and every period from there. The result
// is always positive and at most 1.01 periods. Next panics if period is not
// positive, as time.NewTicker does.
func Next(now time.Time, period, phase time.Duration) time.Duration {
	if period <= 0 {
		panic("cadence: period is not positive")
	}
	since := time.Duration(now.UnixNano()) - phase
	past := since % period
	if past < 0 {
		past += period
	}
	left := period - past
	if left <= period/tooClose {
		left += period
	}
	return left
}

// Phase returns the place of an object within the period, 0 ≤ phase < period.
// It depends on the UID alone. Phase panics if period is not positive.
func Phase(uid types.UID, period time.Duration) time.Duration {
	if period <= 0 {
		panic("cadence: period is not positive")
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(uid)) // a hash never fails to write
	return time.Duration(h.Sum64() % uint64(period))
}
