package node

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// systemClock is the clock of this machine.
func systemClock() recurse.Clock { return recurse.Clock{Boot: newBootTime(), Wall: time.Now} }

// testingClock is node.testing: wall time starts at a fixed instant, and an offset read from a file at each use moves both clocks. It
// lets a test age a cache without waiting. trouble says why the file can't be used now; "": it can.
func testingClock(base recurse.Clock, at time.Time, offsetFile string) (c recurse.Clock, trouble func() string) {
	o := &offset{file: offsetFile}
	start := base.Boot()
	wall := base.Wall
	if !at.IsZero() {
		wall = func() time.Time { return at.Add(base.Boot() - start) }
	}
	return recurse.Clock{
		Boot: func() time.Duration { _, boot := o.read(); return base.Boot() + boot },
		Wall: func() time.Time { d, _ := o.read(); return wall().Add(d) },
	}, o.trouble
}

// offset is what node.testing.offset_file says. The wall clock is set to it, forward and back. Boot time passes by as much as it grows, and goes on
// from there when it shrinks: what was over does not come to life again, as on a machine whose clock is set back.
type offset struct {
	file string

	mu   sync.Mutex // held while the file is read: two readers at once may see it before and after a change
	wall time.Duration
	boot time.Duration
	err  error // of the last attempt to read it
}

func (o *offset) trouble() string {
	o.read()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		return ""
	}
	return fmt.Sprintf("the time is %v off, as node.testing.offset_file said last, and now it can't be used: %v", o.wall, o.err)
}

// read returns what both clocks are ahead. It is zero until the file can be read, and stays what it was when it can't be read any more: whoever writes it
// may be in the middle of it.
func (o *offset) read() (wall, boot time.Duration) {
	if o.file == "" {
		return 0, 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	b, err := os.ReadFile(o.file)
	var d time.Duration
	if err == nil {
		d, err = parseOffset(string(b))
	}
	if o.err = err; err == nil {
		o.boot += min(max(0, d-o.wall), maxPassed-o.boot)
		o.wall = d
	}
	return o.wall, o.boot
}

// maxOffset is the largest offset either way: a century.
const maxOffset = 100 * 366 * 24 * time.Hour

// maxPassed bounds what boot time may pass in all, however often the offset grows and shrinks: with a stale window or two added, it is within the 292
// years that a Duration holds.
const maxPassed = 2 * maxOffset

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
