package zone

import (
	"fmt"
	"time"
)

// shown is what metrics and health read without waiting for a refresh.
type shown struct {
	on, alarmed bool
	trouble     *trouble
	unsaved     error
	path        string
	due         time.Duration
}

// unlock shows what has become of it.
func (l *LocalRoot) unlock() {
	l.shown.Store(&shown{l.s.On(), l.alarmed, l.trouble, l.unsaved, l.path, l.due})
	l.mu.Unlock()
}

// alarm logs, once, that there is no copy that may be used though there should be one: the root servers are asked. While the first attempt is
// still to come, it is not alarming.
func (l *LocalRoot) alarm(now time.Duration) {
	h := l.held.Load()
	if l.alarmed || !l.tried || !l.s.On() || h != nil && now < h.expires {
		return
	}
	l.alarmed = true
	l.log.Error("the local root is not used, and the root servers are asked", "error", why(h, l.trouble, now), "hint", l.trouble.hint(l.path))
}

// why says why a copy is not used.
func why(h *held, t *trouble, now time.Duration) string {
	text := "there is no copy of the root zone"
	if h != nil {
		switch {
		case now >= h.ends:
			text = fmt.Sprintf("the signatures of the copy of the root zone, serial %d, have ended", h.zone.soa.Serial)
		default:
			text = fmt.Sprintf("the copy of the root zone, serial %d, was last known to be current %v ago", h.zone.soa.Serial, age(now-h.confirmed))
		}
	}
	if t != nil {
		text += "; " + t.err.Error()
	}
	return text
}

// unknownAge is more than the age of any copy; what says that it is older has a clock behind it that is not set.
const unknownAge = 10 * 365 * 24 * time.Hour

// age is a time for people.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > unknownAge:
		return "an unknown time"
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Round(time.Minute).String()
}

// Warning says what an operator should know of the local root, and do about it; "" is nothing. It is for /readyz.
func (l *LocalRoot) Warning() string {
	s, h, now := l.shown.Load(), l.held.Load(), l.clock.Boot()
	usable := h != nil && now < h.expires
	switch {
	case !s.on:
		return ""
	case usable && s.trouble != nil:
		return fmt.Sprintf("the copy of the root zone, serial %d, was last known to be current %v ago, and is used for another %v: %v; %s",
			h.zone.soa.Serial, age(now-h.confirmed), age(h.expires-now), s.trouble.err, s.trouble.hint(s.path))
	case usable && s.unsaved != nil:
		return "the copy of the root zone can't be written down, so that the next start needs the network: " + s.unsaved.Error()
	case usable || !s.alarmed: // or it is being asked for
		return ""
	}
	return fmt.Sprintf("the local root is not used, and the root servers are asked: %s; %s", why(h, s.trouble, now), s.trouble.hint(s.path))
}

// Status is how a local root is, for people.
type Status struct {
	State     string // off, empty, serving or expired
	Source    string // the server that gave the copy or has confirmed it, or the file; "" without one
	Serial    uint32
	Records   int
	Verified  Verified
	Confirmed time.Time // wall time at which the copy was last known to be current; zero: that is not known
	Expires   time.Time // wall time from which it is not used; zero as Confirmed
	Next      time.Time // wall time of the next look; zero: none
	Error     string    // of the last attempt, if it failed
}

// Status tells how it is. It does not wait for a refresh.
func (l *LocalRoot) Status() Status {
	s, h, now := l.shown.Load(), l.held.Load(), l.clock.Boot()
	out := Status{State: l.state()}
	if !s.on {
		return out
	}
	if h != nil {
		out.Source, out.Serial, out.Records, out.Verified = h.source, h.zone.soa.Serial, h.zone.records, h.verified
		if age := now - h.confirmed; age < unknownAge {
			out.Confirmed, out.Expires = l.clock.Wall().Add(-age), l.clock.Wall().Add(h.expires-now)
		}
	}
	if s.due != never {
		out.Next = l.clock.Wall().Add(max(s.due-now, 0))
	}
	if s.trouble != nil {
		out.Error = s.trouble.err.Error()
	}
	return out
}
