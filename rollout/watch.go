package rollout

import (
	"slices"
	"strings"
	"time"
)

// Health tells what nodes say of themselves. It keeps it in memory, for all nodes that report to the one that drives. What is of another lineage of the store is left out.
type Health interface {
	// Nodes returns all nodes that were heard of lately, each once, in any order.
	Nodes() []Heard

	// Totals returns what was counted since some moment that stays the same while the driver runs, by site and change sets, each pair once. Numbers only grow.
	Totals() []Total
}

// Heard is a node and how long ago it was heard of.
type Heard struct {
	NodeState
	Silent time.Duration

	// Gone is when the node was taken out of the fleet; the zero time: it was not. Nothing is expected of one that was, so that it fails no gate by its silence.
	Gone time.Time
}

// Total is what was counted by the nodes of a site whose tables had the same change sets in them.
type Total struct {
	Site string
	Sets []ID
	Sum  Sum
}

// cell is what a Total is of.
type cell struct {
	site string
	sets string // sorted, with slashes between them, which an id does not have
}

func (t *Total) cell() cell { return cell{t.Site, join(t.Sets, "")} }

// join writes change sets in one form, but for one of them.
func join(sets []ID, without ID) string {
	parts := make([]string, 0, len(sets))
	for _, s := range sets {
		if s != without {
			parts = append(parts, string(s))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "/")
}

// totals are the totals of one moment.
type totals map[cell]Sum

func totalsOf(all []Total) totals {
	t := make(totals, len(all))
	for i := range all {
		t[all[i].cell()] = all[i].Sum
	}
	return t
}

// since returns what was counted after was.
func (s Sum) since(was Sum) Sum {
	for i := range s.Results {
		s.Results[i] -= min(s.Results[i], was.Results[i])
	}
	for i := range s.Latency {
		s.Latency[i] -= min(s.Latency[i], was.Latency[i])
	}
	s.Panics -= min(s.Panics, was.Panics)
	s.Faults -= min(s.Faults, was.Faults)
	s.Decided -= min(s.Decided, was.Decided)
	return s
}

// Moments of totals are kept so that a rollout has something to compare with from before it was opened: one a minute, ten of them. At 450 octets for each of 2,000 pairs of site and change sets they are 9 MiB.
const (
	momentEvery = time.Minute
	moments     = 10
)

// history is totals at moments.
type history struct {
	last time.Time
	ring []totals // the oldest first
}

func (h *history) note(t totals, now time.Time) {
	if len(h.ring) > 0 && now.Sub(h.last) < momentEvery {
		return
	}
	h.last = now
	if h.ring = append(h.ring, t); len(h.ring) > moments {
		h.ring = slices.Delete(h.ring, 0, 1)
	}
}

// oldest returns the totals of the oldest moment. A driver that has just begun has none; then it is the beginning of all counting.
func (h *history) oldest() totals {
	if len(h.ring) == 0 {
		return nil
	}
	return h.ring[0]
}

// memory is what the driver remembers of a rollout for as long as it is open and this node drives.
type memory struct {
	origin totals          // from when on figures without the change count as those of before
	past   map[string]Past // of nodes, as they last were without the change
	watch  *watch          // nil while it is queued
	waits  string          // what for, while it is queued
}

// watch is the time in which one wave is looked at.
type watch struct {
	wave  int
	state State
	since time.Time

	mark    totals            // at since
	boots   map[string]uint64 // of nodes that were alive at since, or were heard of after it
	verdict Verdict           // the last
	holders Count             // at the last verdict
}

func newMemory(h *history) *memory {
	return &memory{origin: h.oldest(), past: make(map[string]Past)}
}

// learn takes in how nodes are that do not hold the change.
func (m *memory) learn(id ID, nodes []Heard) {
	for i := range nodes {
		n := &nodes[i]
		if n.holds(id) || has(n.Refused, id) || n.Silent >= fading || !n.Gone.IsZero() {
			continue
		}
		probe, _ := n.probe(id)
		m.past[n.Name] = Past{Broken: n.Error != "", Probe: probe}
	}
}

// begin begins to watch the wave that a rollout is in.
func (m *memory) begin(r *Rollout, nodes []Heard, now totals, at time.Time) {
	boots := make(map[string]uint64, len(nodes))
	if m.watch != nil && m.watch.wave == r.Wave {
		boots = m.watch.boots // it was paused, or goes on: a crash in that second counts
	}
	m.watch = &watch{wave: r.Wave, state: r.State, since: at, mark: now, boots: boots}
	for i := range nodes {
		if _, known := boots[nodes[i].Name]; !known && nodes[i].Silent < fading && nodes[i].Gone.IsZero() {
			boots[nodes[i].Name] = nodes[i].Boot
		}
	}
}

// view puts together what is known of a rollout.
func (m *memory) view(r *Rollout, nodes []Heard, now totals, at time.Time) *View {
	w := m.watch
	v := &View{ID: r.ID, Since: w.since, Reached: r.stillReached(nodes), Baseline: r.Baseline}
	watched := at.Sub(w.since)
	unheard := make(map[string]bool, len(r.Canaries))
	for _, name := range r.Canaries {
		unheard[name] = true
	}
	for i := range nodes {
		n := &nodes[i]
		if !n.Gone.IsZero() {
			delete(unheard, n.Name)
			delete(w.boots, n.Name) // if it joins again, it is another process
			continue
		}
		boot, known := w.boots[n.Name]
		if n.Silent < watched {
			if !known { // it has joined, or come back
				boot, known = n.Boot, true
				w.boots[n.Name] = boot
			}
		}
		in := r.reaches(n.Name)
		if !known && !unheard[n.Name] {
			continue
		}
		delete(unheard, n.Name)
		v.See(&r.Plan, &Row{NodeState: n.NodeState, Silent: min(n.Silent, watched), Restarted: known && n.Boot != boot, Before: m.past[n.Name]}, in)
	}
	for _, name := range r.Canaries {
		if unheard[name] {
			v.See(&r.Plan, &Row{NodeState: NodeState{Name: name}, Silent: watched}, true)
		}
	}
	for c, sum := range now {
		sets := split(c.sets)
		s := v.Stratum(c.site, join(sets, r.ID))
		counted := sum.since(w.mark[c])
		if has(sets, r.ID) {
			s.Holders.Add(&counted)
			continue
		}
		s.Others.Add(&counted)
		before := w.mark[c].since(m.origin[c])
		s.Before.Add(&before)
	}
	slices.SortFunc(v.Strata, func(a, b *Stratum) int { return strings.Compare(a.Site+"\x00"+a.With, b.Site+"\x00"+b.With) })
	return v
}

func split(sets string) []ID {
	if sets == "" {
		return nil
	}
	parts := strings.Split(sets, "/")
	ids := make([]ID, len(parts))
	for i, p := range parts {
		ids[i] = ID(p)
	}
	return ids
}

// baseline returns the figures without the change, to be kept with the gate that was passed; the last ones where there are none.
func (v *View) baseline(p *Plan) *Sum {
	var others, before Sum
	for _, s := range v.Strata {
		others.Add(&s.Others)
		before.Add(&s.Before)
	}
	switch {
	case others.Queries() >= p.Queries:
		return &others
	case v.Baseline != nil:
		return v.Baseline
	case before.Queries() >= p.Queries:
		return &before
	}
	return nil
}
