package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/settings"
)

// Machines without a battery begin in 1970, and set their clock by servers that have names. So signature times are only checked while the
// clock can be right: after the build of this program, and after the last time that is known to have passed. Known is only a time at which signatures of a
// zone with a trust anchor were in time: a clock that was ten years ahead for an hour leaves nothing behind, for nothing was in time by it.

// TimeFile is the name of the file in the data folder that holds that time.
const TimeFile = "time"

const (
	timeLook = time.Minute // how often it is looked at whether the clock can be right
	timeSave = time.Hour   // how often the time is written down; a node that is killed forgets no more than this

	// timeAhead is how long after its build a node believes a time that it finds written down. One that is damaged, or comes from another machine, must
	// not make every clock wrong for ever. What is lost: a node that is older than this tells wrong clocks by its build alone, 1970 included.
	timeAhead = 5 * 366 * 24 * time.Hour
)

// released is a time before which no release was built that has no date of its own. A test sees that it stays near.
var released = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// timekeeper watches the clock.
type timekeeper struct {
	resolver *recurse.Resolver
	clock    recurse.Clock
	log      *slog.Logger
	path     string
	earliest time.Time
	saved    time.Time     // what stands in the file
	at       time.Duration // boot time when it was written
	wrong    bool          // the clock, when it was last looked at
	cancel   context.CancelFunc
	done     chan struct{}
}

// earliestTime returns a time that has passed for sure: when this program was built, or what a data folder says. A test clock is always right: then it
// is the zero time.
func (n *Node) earliestTime(own settings.Node) (earliest, saved time.Time) {
	if own.Testing.Active() {
		return time.Time{}, time.Time{}
	}
	earliest = buildTime()
	path := filepath.Join(own.Data, TimeFile)
	saved, err := readTime(path)
	if err == nil && saved.After(earliest.Add(timeAhead)) {
		saved, err = time.Time{}, fmt.Errorf("reading the last time from %q: %v is more than five years after this program was built", path, saved)
	}
	if err != nil {
		n.log.Warn("the last time that this node knew can't be used; the date of its build is", "error", err, "build", earliest)
	}
	if saved.After(earliest) {
		earliest = saved
	}
	return earliest, saved
}

// buildTime is when this program was built, as far as it knows: the time of its commit.
func buildTime() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key != "vcs.time" {
				continue
			}
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil && t.After(released) {
				return t
			}
		}
	}
	return released
}

// maxTimeFile is how long the file may be: a time in RFC 3339 is 20 octets.
const maxTimeFile = 64

func readTime(path string) (time.Time, error) {
	wholefile.Sweep(wholefile.OS{}, path)
	b, err := wholefile.Read(wholefile.OS{}, path, maxTimeFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("reading the last time: %w", err)
	}
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the last time from %q: %w", path, err)
	}
	return t, nil
}

// writeTime replaces the file whole: whoever reads it finds the old or the new time.
func writeTime(path string, t time.Time) error {
	if err := wholefile.Write(wholefile.OS{}, path, []byte(t.UTC().Format(time.RFC3339)+"\n")); err != nil {
		return fmt.Errorf("writing the time: %w", err)
	}
	return nil
}

// keepTime begins to watch the clock.
func (n *Node) keepTime(own settings.Node, earliest, saved time.Time) *timekeeper {
	k := &timekeeper{
		resolver: n.resolver, clock: n.clock, log: n.log, path: filepath.Join(own.Data, TimeFile), earliest: earliest, saved: saved, at: n.clock.Boot(),
		done: make(chan struct{}),
	}
	n.health.Warn("clock", func() string {
		if n.resolver.ClockTrusted() {
			return ""
		}
		return clockWrong + "; " + k.mend()
	})
	n.metrics.GaugeFunc("ananas_clock_untrusted", "1 while the wall clock can't be right, so that the times of signatures are not checked.", func() float64 {
		if n.resolver.ClockTrusted() {
			return 0
		}
		return 1
	})
	k.look()
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go k.run(ctx)
	return k
}

const clockWrong = "the clock can't be right, so the times of signatures are not checked, and nothing is said to be secure"

// mend says what to do about a clock that can't be right. After the build it is only a time that was written down that speaks against it.
func (k *timekeeper) mend() string {
	const set = "set it, and see that the time service runs"
	if k.clock.Wall().Before(buildTime()) {
		return set
	}
	return fmt.Sprintf("%s; if %s is right, stop the node and remove %q, from which it knows better", set, k.clock.Wall().UTC().Format(time.RFC3339), k.path)
}

func (k *timekeeper) run(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTicker(timeLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look()
			if k.clock.Boot()-k.at >= timeSave || k.saved.IsZero() {
				k.save()
			}
		}
	}
}

// look tells when the clock goes wrong, and when it is right again.
func (k *timekeeper) look() {
	wrong := !k.resolver.ClockTrusted()
	switch {
	case wrong && !k.wrong:
		k.log.Warn(clockWrong, "clock", k.clock.Wall(), "not_before", k.earliest, "hint", k.mend())
	case !wrong && k.wrong:
		k.log.Info("the clock can be right again; signatures are checked in full", "clock", k.clock.Wall())
	}
	k.wrong = wrong
}

// save writes down the latest time that is known to have passed.
func (k *timekeeper) save() {
	t := k.resolver.ProvenTime().Truncate(time.Second)
	if k.earliest.IsZero() || !t.After(k.saved) {
		return
	}
	if err := writeTime(k.path, t); err != nil {
		k.log.Warn("the time could not be written down", "error", err)
	} else {
		k.saved = t
	}
	k.at = k.clock.Boot() // not again at once, if it failed
}

// close writes the time down once more.
func (k *timekeeper) close() {
	k.cancel()
	<-k.done
	k.save()
}
