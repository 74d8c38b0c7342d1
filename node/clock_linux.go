package node

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// sleepCheck is how often it is looked at whether the machine was asleep. Reading CLOCK_BOOTTIME is a system call here, 300 ns, and a query reads
// the time a dozen times; the monotonic clock is read without one. After waking, what was cached seems younger than it is for so long.
const sleepCheck = time.Second

// newBootTime returns a clock of the time since the machine booted, sleep included (CLOCK_BOOTTIME): a laptop that wakes up does not take
// week-old records for fresh ones.
func newBootTime() func() time.Duration {
	start := time.Now()
	var ahead, checked atomic.Int64 // ns: of boot time before the monotonic clock, and when that was last looked at
	check := func(now time.Duration) {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
			raise(&ahead, ts.Nano()-int64(now))
		}
		checked.Store(int64(now))
	}
	check(time.Since(start))
	return func() time.Duration {
		now := time.Since(start)
		if int64(now)-checked.Load() >= int64(sleepCheck) {
			check(now)
		}
		return now + time.Duration(ahead.Load())
	}
}

// raise makes a not less than v: time does not go back, whoever looked at the clocks first.
func raise(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}
