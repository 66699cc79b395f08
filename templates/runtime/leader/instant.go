package leader

import "time"

// instant is a moment on two clocks. Neither can be trusted alone: the
// monotonic clock stands still while the machine is suspended, and the wall
// clock can be set back.
type instant struct{ monotonic, wall time.Time }

func now() instant {
	t := time.Now()
	return instant{monotonic: t, wall: t.Round(0)} // Round takes the monotonic reading away
}

// since returns how much time has passed since an earlier instant, by the clock
// that shows more.
func (i instant) since(earlier instant) time.Duration {
	return max(i.monotonic.Sub(earlier.monotonic), i.wall.Sub(earlier.wall))
}
