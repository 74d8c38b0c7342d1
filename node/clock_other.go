//go:build !linux

package node

import "time"

// bootTime is the time since the process started, by the monotonic clock.
func bootTime() time.Duration { return time.Since(processStart) }
