package recurse

import (
	"testing"
	"time"
)

// A clock that is years ahead is not borne out by a signature that lives as long: else the right time would count as wrong until then.
func TestProofOfTime(t *testing.T) {
	right := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	now := right
	r := &Resolver{state: &state{clock: Clock{Wall: func() time.Time { return now }}, earliest: right.Add(-100 * 24 * time.Hour)}}
	day := 24 * time.Hour
	for _, step := range []struct {
		name            string
		at, since, want time.Time
	}{
		{"not checked", time.Time{}, time.Time{}, time.Time{}},
		{"a week old", right.Add(-day), right.Add(-8 * day), right.Add(-day)},
		{"a month old", right, right.Add(-maxProof), right},
		{"a year old", right.Add(day), right.Add(-365 * day), right},
		{"ten years ahead, and still in time", right.Add(3650 * day), right.Add(-29 * day), right.Add(day)},
		{"the clock went back", right.Add(-20 * day), right.Add(-30 * day), right.Add(day)},
	} {
		r.prove(step.at, step.since)
		if got := r.ProvenTime(); !got.Equal(step.want) {
			t.Errorf("%s: proved is %v, not %v", step.name, got, step.want)
		}
	}
	for ahead, trusted := range map[time.Duration]bool{0: true, 3650 * day: true, -time.Hour: false, -80 * day: false, time.Duration(right.UnixNano()) * -1: false} {
		now = right.Add(ahead)
		if r.ClockTrusted() != trusted {
			t.Errorf("at %v the clock counts as right: %v", now, !trusted)
		}
	}
}
