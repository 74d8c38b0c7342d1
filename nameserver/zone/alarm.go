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
}

// unlock shows what has become of it.
func (l *LocalRoot) unlock() {
	l.shown.Store(&shown{l.s.On(), l.alarmed, l.trouble, l.unsaved, l.path})
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

// age is a time for people.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > 10*365*day:
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
