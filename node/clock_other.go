//go:build !linux

package node

import "time"

// newBootTime returns a clock of the time since it was made, by the monotonic clock.
func newBootTime() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
