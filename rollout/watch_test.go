package rollout

import (
	"strings"
	"testing"
	"time"
)

// A canary that a new driver has never heard of was alive when it was named: it has been cut off.
func TestCanaryThatNobodyHears(t *testing.T) {
	plan := DefaultPlan()
	r := New("42", "settings", "", "", plan, wall)
	r.State, r.Canaries, r.Reached = Baking, []string{"lis01", "ny01"}, 2
	nodes := []Heard{
		{NodeState: NodeState{Name: "lis01", Sets: []ID{"42"}}},
		{NodeState: NodeState{Name: "lis02"}},
		{NodeState: NodeState{Name: "dead"}, Silent: 24 * time.Hour}, // long since, and of no concern
	}
	m := newMemory(new(history))
	m.begin(r, nodes, nil, wall)
	for _, c := range []struct {
		after  time.Duration
		silent int
		want   Decision
	}{{19 * time.Second, 0, Wait}, {20 * time.Second, 1, Fail}} {
		nodes[2].Silent += c.after
		v := m.view(r, nodes, nil, wall.Add(c.after))
		verdict := Judge(&plan, v, wall.Add(c.after))
		if v.Holders.Silent != c.silent || v.Others.Silent != 0 || v.Others.Alive != 1 || verdict.Decision != c.want {
			t.Errorf("after %v: %+v, others %+v: %+v", c.after, v.Holders, v.Others, verdict)
		}
		if c.want == Fail && !strings.HasPrefix(verdict.Why, "silence at ny01: for 20s") {
			t.Error(verdict.Why)
		}
	}
}

// Where all have it at once, the same nodes before are what is compared with.
func TestAllAtOnce(t *testing.T) {
	for h, want := range map[harm]State{harmless: Passed, failing: Failed} {
		w := newWorld(t, 1, 20, 2)
		d := w.driver()
		w.run(d, 30*time.Second)
		for range 60 {
			w.second()
			d.look(t.Context())
		}
		w.open("42", h, "a")
		w.docs["42"].Plan.Waves = []Wave{All}
		w.run(d, 2*time.Minute)
		if r := w.docs["42"]; r.State != want || len(r.Evidence.Figures) == 0 || r.Evidence.Figures[0].Against != againstBefore {
			t.Errorf("%s: %s\n%+v", h, w.story("42"), r.Evidence)
		}
	}
}

// A driver that begins when nobody is left without the change, and knows no figures of before, compares with those of the last gate.
func TestDriverDiesInTheLastWave(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newWorld(t, 1, 20, 2)
		w.coldTell = true
		d := w.driver()
		w.open("42", harmless, "a")
		for w.docs["42"].Wave < 3 {
			w.second()
			d.look(t.Context())
		}
		want := Passed
		if late { // it turns bad in the last wave
			w.harms["42"], want = failing, Failed
		}
		w.run(w.driver(), 2*time.Minute)
		if r := w.docs["42"]; r.State != want || r.Evidence.Figures[0].Against != againstLast {
			t.Errorf("%s\n%+v", w.story("42"), r.Evidence)
		}
	}
}

// What turns bad after an hour of being paused is still seen: it is not lost among an hour of good figures.
func TestPausedForLong(t *testing.T) {
	w := newWorld(t, 1, 10, 1)
	d := w.driver()
	w.open("42", harmless, "a")
	w.run(d, settle+5*time.Second)
	if _, err := d.Pause(t.Context(), "42", "alice", ""); err != nil {
		t.Fatal(err)
	}
	w.run(d, time.Hour)
	if w.docs["42"].State != Paused {
		t.Fatal(w.story("42"))
	}
	w.harms["42"] = failing
	w.run(d, 5*time.Minute)
	if w.docs["42"].State != Failed {
		t.Error(w.story("42"))
	}
}
