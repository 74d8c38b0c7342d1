package rollout

import (
	"cmp"
	"slices"
	"time"
)

// The documents that follow one another. Each function returns a new one; none changes what it is given.

// date is a time as documents have it.
func date(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

// released returns the document with the wave as the one that is watched. alive are the nodes that could hold it.
func released(r *Rollout, wave int, alive []Member, now time.Time) *Rollout {
	to := *r
	to.State, to.Wave, to.Since = Baking, wave, date(now)
	to.Why, to.By = "", ""
	if wave == 0 && r.State == Queued {
		to.Canaries = nil
		if r.Plan.Waves[0] == Canary {
			to.Canaries = canaries(r.ID, alive)
		}
	}
	to.Reached = reached(&to, alive)
	if to.Reached == 0 && len(alive) > 0 && len(to.Canaries) < MaxCanaries {
		// A share of a small fleet may have nobody in it, and then there would be nothing to judge: the first in line stands in.
		first := slices.MinFunc(alive, func(a, b Member) int { return cmp.Compare(hash(r.ID, a.Name), hash(r.ID, b.Name)) })
		to.Canaries = append(slices.Clone(to.Canaries), first.Name)
		slices.Sort(to.Canaries)
		to.Reached = 1
	}
	return &to
}

// reached returns how many of the nodes the wave has.
func reached(r *Rollout, alive []Member) int {
	n := 0
	for _, m := range alive {
		if r.reaches(m.Name) {
			n++
		}
	}
	return n
}

// stillReached returns how many of the nodes that the wave has had since Since were not taken out of the fleet.
func (r *Rollout) stillReached(nodes []Heard) int {
	n := r.Reached
	for i := range nodes {
		if at := nodes[i].Gone; !at.IsZero() && at.After(r.Since) && r.reaches(nodes[i].Name) {
			n--
		}
	}
	return max(n, 0)
}

// judged returns the document with a verdict in it.
func (r *Rollout) judged(v Verdict, now time.Time) *Rollout {
	to := *r
	to.Why, to.By = clip(v.Why, MaxText), ""
	to.Evidence = Evidence{Time: date(now), Wave: r.Wave, Figures: slices.Clone(v.Figures)}
	return &to
}

// paused, resumed and ended return the document in another state.
func paused(r *Rollout, nodes []Heard, why, by string, now time.Time) *Rollout {
	to := *r
	to.State, to.Since, to.Why, to.By = Paused, date(now), clip(why, MaxText), clip(by, MaxAuthor)
	to.Reached = r.stillReached(nodes) // Since is another now
	return &to
}

func resumed(r *Rollout, alive []Member, why, by string, now time.Time) *Rollout {
	to := *r
	to.State, to.Since, to.Why, to.By = Baking, date(now), clip(why, MaxText), clip(by, MaxAuthor)
	to.Reached = reached(&to, alive)
	return &to
}

func ended(r *Rollout, state State, why, by string, now time.Time) *Rollout {
	to := *r
	to.State, to.Since, to.Why, to.By = state, date(now), clip(why, MaxText), clip(by, MaxAuthor)
	to.Baseline = nil
	return &to
}

// Abort returns the document of a rollout that is ended by something else than its gate: a change that goes to all nodes at once and shares a key. Who
// commits that puts this document into the same commit.
func Abort(r *Rollout, why, by string, now time.Time) *Rollout {
	return ended(r, Aborted, why, by, now)
}
