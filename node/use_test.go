package node

import (
	"testing"
	"time"
)

// A node that has dropped change sets for want of a feed takes them up again when it has what the root has, and not with the first beat: what withdraws the change comes behind that.
func TestDroppedUntilCaughtUp(t *testing.T) {
	var silent time.Duration
	behind := false
	u := &user{silent: func() time.Duration { return silent }, behind: func() bool { return behind }}
	for _, step := range []struct {
		name   string
		silent time.Duration
		behind bool
		lost   bool
	}{
		{"with a feed", 0, false, false},
		{"a version comes", 0, true, false},
		{"a source is changed", 29 * time.Second, true, false},
		{"without a feed", feedPatience, false, true},
		{"the first beat", 0, true, true},
		{"the records behind it", 0, false, false},
		{"the next version comes", 0, true, false},
	} {
		silent, behind = step.silent, step.behind
		if got := u.lost(); got != step.lost {
			t.Errorf("%s: lost is %v", step.name, got)
		}
		u.dropped.Store(u.lost())
	}
}
