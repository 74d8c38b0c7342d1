package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWaves(t *testing.T) {
	for _, c := range []struct {
		state State
		wave  int
		by    string
		want  string
	}{
		{Queued, 0, "", "waiting waiting waiting waiting"},
		{Baking, 1, "", "passed baking waiting waiting"},
		{Paused, 1, "", "passed paused waiting waiting"},
		{Failed, 0, "", "failed skipped skipped skipped"},
		{Aborted, 2, "alice", "passed passed skipped skipped"},
		{Passed, 3, "", "passed passed passed passed"},
		{Passed, 1, "alice", "passed skipped skipped skipped"},
	} {
		r := New("42", "settings", "", "", DefaultPlan(), wall)
		r.State, r.Wave, r.By, r.Canaries, r.Reached = c.state, c.wave, c.by, []string{"lis01"}, 7
		var got []string
		for i, w := range r.Waves(Progress{Elapsed: time.Second}) {
			got = append(got, w.State)
			if (w.Elapsed != 0) != (w.State == "baking") || (w.Nodes != 0) != (i == c.wave && c.state != Queued) || (len(w.Named) > 0) != (i == 0) {
				t.Errorf("%v in wave %d: %+v", c.state, c.wave, w)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v in wave %d by %q: %s, not %s", c.state, c.wave, c.by, s, c.want)
		}
	}
	f := Figure{What: "failed queries", Site: "lis", With: "50% of 60", Without: "1% of 600", Against: againstOthers}
	if got := fmt.Sprint(f); got != "failed queries at site lis: 50% of 60, against 1% of 600 (nodes without it)" {
		t.Error(got)
	}
}
