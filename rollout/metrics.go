package rollout

import "github.com/ananas-edge/ananas/telemetry"

// metrics are the counters of a driver.
type metrics struct {
	elections, waves, failures, conflicts, stalls *telemetry.Counter
	ends                                          [states]*telemetry.Counter
}

func (m *metrics) register(t *telemetry.Metrics, d *Driver) {
	m.elections = t.Counter("ananas_rollout_elections_total", "Times that this node was elected to drive rollouts.")
	m.waves = t.Counter("ananas_rollout_waves_passed_total", "Gates that a rollout has passed, while this node drove it.")
	m.failures = t.Counter("ananas_rollout_failures_total", "Looks at the rollouts that could not be finished: the store could not be read or written, or another was first.")
	m.conflicts = t.Counter("ananas_rollout_conflicts_total", "Commits that were refused, because another was first or this node did not drive any more.")
	m.stalls = t.Counter("ananas_rollout_stalls_total", "Times that rollouts were not looked at for 5 s or more, as of a suspended machine; their waves are watched from the beginning.")
	ends := t.CounterVec("ananas_rollout_ended_total", "Rollouts that have ended, while this node drove them, by outcome: passed (live), failed (withdrawn by a gate), aborted.", "outcome")
	for s := Passed; s < states; s++ {
		m.ends[s] = ends.With(s.String())
	}
	t.GaugeFunc("ananas_rollout_driving", "1 on the node that drives rollouts, else 0.", func() float64 {
		d.shown.mu.Lock()
		defer d.shown.mu.Unlock()
		if d.shown.leading {
			return 1
		}
		return 0
	})
	t.GaugeVecFunc("ananas_rollout_open", "Rollouts that are open, on the node that drives them, by state.", []string{"state"}, func(show telemetry.Show) {
		d.shown.mu.Lock()
		defer d.shown.mu.Unlock()
		for s := Queued; s <= Paused; s++ {
			show(float64(d.shown.open[s]), s.String())
		}
	})
}

// count counts a step.
func (m *metrics) count(from, to *Rollout) {
	switch {
	case !to.State.Open():
		m.ends[to.State].Inc()
		if to.State == Passed && to.By == "" {
			m.waves.Inc()
		}
	case to.Wave > from.Wave:
		m.waves.Inc()
	}
}
