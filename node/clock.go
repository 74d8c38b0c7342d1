package node

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// systemClock is the clock of this machine.
func systemClock() recurse.Clock { return recurse.Clock{Boot: newBootTime(), Wall: time.Now} }

// testingClock is node.testing: wall time starts at a fixed instant, and an offset read from a file at each use moves both clocks. It
// lets a test age a cache without waiting. The offset is zero until the file can be read, and stays what it was when it can't be read
// any more: whoever writes it may be in the middle of it, and boot time must not jump back.
func testingClock(base recurse.Clock, at time.Time, offsetFile string) recurse.Clock {
	var last atomic.Int64
	offset := func() time.Duration {
		if offsetFile == "" {
			return 0
		}
		if b, err := os.ReadFile(offsetFile); err == nil {
			if d, err := parseOffset(string(b)); err == nil {
				last.Store(int64(d))
			}
		}
		return time.Duration(last.Load())
	}
	start := base.Boot()
	wall := base.Wall
	if !at.IsZero() {
		wall = func() time.Time { return at.Add(base.Boot() - start) }
	}
	return recurse.Clock{
		Boot: func() time.Duration { return base.Boot() + offset() },
		Wall: func() time.Time { return wall().Add(offset()) },
	}
}

// maxOffset is the largest offset either way: a century, well within what a Duration holds.
const maxOffset = 100 * 366 * 24 * time.Hour

// parseOffset reads "90", "+90", "1.5" (seconds) or "1h30m".
func parseOffset(s string) (time.Duration, error) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	d, err := time.ParseDuration(s)
	if f, notSeconds := strconv.ParseFloat(s, 64); notSeconds == nil {
		if !(math.Abs(f) <= maxOffset.Seconds()) { // NaN is neither
			return 0, fmt.Errorf("reading clock offset %q: more than %v", s, maxOffset)
		}
		return time.Duration(f * float64(time.Second)), nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading clock offset %q: neither seconds nor a duration", s)
	}
	if d.Abs() > maxOffset {
		return 0, fmt.Errorf("reading clock offset %q: more than %v", s, maxOffset)
	}
	return d, nil
}
