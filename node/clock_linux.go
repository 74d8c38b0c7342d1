package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the time since the machine booted, sleep included (CLOCK_BOOTTIME): a laptop that wakes up does not take week-old
// records for fresh ones.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(processStart)
	}
	return time.Duration(ts.Nano())
}
