package rollout

import "time"

// Progress is what the driver knows of a rollout beyond its document.
type Progress struct {
	Elapsed time.Duration // since the watch over the wave began
	Waiting string        // what it waits for; "" if it is in the document
	Holders Count         // nodes of the wave
}

// Progress returns what is known of a rollout that is open, if this node drives.
func (d *Driver) Progress(id ID) (Progress, bool) {
	d.shown.mu.Lock()
	defer d.shown.mu.Unlock()
	p, ok := d.shown.progress[id]
	return p, ok
}

// Trouble returns what kept the driver from doing its work when it last looked; nil if nothing did.
func (d *Driver) Trouble() error {
	d.shown.mu.Lock()
	defer d.shown.mu.Unlock()
	return d.shown.trouble
}

// Driving tells whether this node drives.
func (d *Driver) Driving() bool {
	d.shown.mu.Lock()
	defer d.shown.mu.Unlock()
	return d.shown.leading
}

// show puts down what others may see.
func (d *Driver) show(all []*Rollout, err error) {
	progress := make(map[ID]Progress, len(all))
	var open [states]int
	now := d.now()
	for _, r := range all {
		if r.State < states {
			open[r.State]++
		}
		m := d.known[r.ID]
		if m == nil {
			continue
		}
		p := Progress{Waiting: m.waits}
		if w := m.watch; w != nil {
			p.Elapsed, p.Holders = now.Sub(w.since), w.holders
			if w.verdict.Decision == Wait && w.state == Baking {
				p.Waiting = w.verdict.Why
			}
		}
		progress[r.ID] = p
	}
	d.shown.mu.Lock()
	defer d.shown.mu.Unlock()
	d.shown.progress, d.shown.open, d.shown.leading, d.shown.trouble = progress, open, d.leading, err
}

// WaveState is what became of a wave.
type WaveState struct {
	Wave    Wave
	State   string        // waiting, baking, paused, passed, failed, skipped
	Nodes   int           // that are in it, as far as is known; 0 while it waits
	Named   []string      // those that are named in the document, in the first wave
	Elapsed time.Duration // of Bake, in the wave that is baking
	Bake    time.Duration
}

// Waves says where each wave of a rollout is. progress is what the driver knows, or the zero value.
func (r *Rollout) Waves(progress Progress) []WaveState {
	all := make([]WaveState, len(r.Plan.Waves))
	for i := range all {
		w := &all[i]
		w.Wave, w.Bake = r.Plan.Waves[i], r.Plan.Bake
		if i == 0 {
			w.Named = r.Canaries
		}
		switch {
		case i < r.Wave:
			w.State = "passed"
		case r.State == Queued || i > r.Wave && r.State.Open():
			w.State = "waiting"
		case i > r.Wave:
			w.State = "skipped"
		default:
			w.State, w.Nodes = r.State.String(), r.Reached
			if r.State == Aborted || r.State == Passed && r.By != "" {
				w.State = "skipped"
			}
			if r.State == Baking {
				w.Elapsed = progress.Elapsed
			}
		}
	}
	return all
}
