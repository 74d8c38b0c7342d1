package rollout

import (
	"cmp"
	"context"
	"testing"
	"time"
)

// A node that was taken out and joins again in the same wave is one that has joined, and none that the change has brought down.
func TestTakenOutAndBack(t *testing.T) {
	for _, before := range []time.Duration{-time.Second, 5 * time.Second} { // it is taken out before the rollout is opened, and in its last wave
		w := newWorld(t, 1, 12, 3)
		w.idle, w.probed = true, true
		d := w.driver()
		one := w.nodes[0]
		if before < 0 {
			one.gone = w.now
		}
		w.open("42", harmless, "a")
		for w.docs["42"].State.Open() && w.now.Before(wall.Add(10*time.Minute)) {
			w.second()
			d.look(context.Background())
			r := w.docs["42"]
			switch in := w.now.Sub(r.Since); {
			case r.Wave < 3:
			case in == before:
				one.gone = w.now
			case in == 15*time.Second:
				one.gone, one.boot, one.sets, one.probes = time.Time{}, w.rng.Uint64(), nil, map[ID]*Probe{}
			}
		}
		if r := w.docs["42"]; r.State != Passed || !one.gone.IsZero() {
			t.Errorf("taken out at %v: %s", before, w.story("42"))
		}
	}
}

// A node that is taken out in a wave that is paused after it is not looked for while it is, nor afterwards: not by the driver that has paused it, and not by the next one.
func TestTakenOutAndPaused(t *testing.T) {
	w := newWorld(t, 1, 12, 3)
	w.idle = true
	d := w.driver()
	w.open("42", harmless, "a")
	for w.docs["42"].State != Paused && w.now.Before(wall.Add(10*time.Minute)) {
		w.second()
		d.look(context.Background())
		r := w.docs["42"]
		if r.State == Baking && r.Wave < 3 && w.now.Sub(r.Since) > 2*time.Second { // nobody can tell how it does: a person has it go on to the last wave
			w.docs["42"] = released(r, r.Wave+1, alive((&seat{world: w}).Nodes()), w.now)
			w.watched["42"] = w.now
		}
		if r.Wave == 3 && w.now.Sub(r.Since) > 20*time.Second {
			w.nodes[0].gone = cmp.Or(w.nodes[0].gone, w.now)
		}
	}
	for range 90 {
		w.second()
		d.look(context.Background())
	}
	d = w.driver()
	for range 90 {
		w.second()
		d.look(context.Background())
	}
	if r := w.docs["42"]; r.State != Paused || w.nodes[0].gone.IsZero() {
		t.Error(w.story("42"))
	}
}
