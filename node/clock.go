package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/nameserver/recurse"
)

var processStart = time.Now()

// systemClock is the clock of this machine.
func systemClock() recurse.Clock { return recurse.Clock{Boot: bootTime, Wall: time.Now} }

// testingClock is node.testing: wall time starts at a fixed instant, and an offset read from a file at each use moves both clocks. It
// lets a test age a cache without waiting. A file that can't be read is an offset of zero.
func testingClock(base recurse.Clock, at time.Time, offsetFile string) recurse.Clock {
	offset := func() time.Duration {
		if offsetFile == "" {
			return 0
		}
		b, err := os.ReadFile(offsetFile)
		if err != nil {
			return 0
		}
		d, err := parseOffset(string(b))
		if err != nil {
			return 0
		}
		return d
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

// parseOffset reads "90", "+90", "1.5" (seconds) or "1h30m".
func parseOffset(s string) (time.Duration, error) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(f * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("reading clock offset %q: neither seconds nor a duration", s)
	}
	return d, nil
}
