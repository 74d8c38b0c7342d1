package vitals

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/rollout"
)

// Limits of a registry.
const (
	// MaxNodes is how many nodes are remembered: at 500 octets each 10 MiB. Beyond it those that were not heard of for the longest time are forgotten.
	MaxNodes = 20_000

	// MaxGroups is how many groups of nodes are summed apart: 500 sites with one change at half of them, twice over. Of more, those that nobody was counted in for groupAge are forgotten: change
	// sets that have ended. What is more still is summed without its site, in maxLumps groups more, and what is beyond those is left out. At 450 octets each, with as many marks as rollouts may be open,
	// it is 30 MiB at worst.
	MaxGroups = 2048
	maxLumps  = MaxGroups / 8

	// groupAge is how long nobody was counted in a group that may be forgotten: a node is counted each second, whether it was asked anything or not, and what is compared reaches back ten
	// minutes. One that comes back in a longer watch counts for less than there was, so that the watch waits.
	groupAge = 15 * time.Minute

	// told is how long a row is handed up after it was last heard of: three reports, so that one may be lost.
	told = 3 * time.Second
)

// Registry gathers what nodes tell. Its methods may be called from any goroutine.
type Registry struct {
	now func() time.Duration // boot time

	mu     sync.Mutex
	nodes  map[string]*row
	total  map[group]*Sum          // since the registry began, or the group did
	added  map[group]time.Duration // when the groups of total were last added to
	swept  time.Duration           // when it was last looked for old ones
	to     map[string]*outlet
	limits uint64 // times that a limit was hit
}

type row struct {
	node   Node
	seen   time.Duration
	onward bool // it is to be told to others
}

// outlet is somebody who is reported to.
type outlet struct {
	pending map[group]*Sum // since the last report
	next    string         // name at which the next report begins, if not all fit into the last one
}

// group is what is summed together.
type group struct{ lineage, site, sets string }

// Row is a node, and how long ago it was heard of.
type Row struct {
	Node
	Silent time.Duration
}

// AgeNow is how long ago the root last confirmed the node's copy, as far as is known here: since it told its Age nobody has heard of a newer one. Negative: never.
func (r Row) AgeNow() time.Duration {
	if r.Age < 0 {
		return r.Age
	}
	return r.Age + r.Silent
}

// NewRegistry makes an empty one; now is boot time.
func NewRegistry(now func() time.Duration) *Registry {
	return &Registry{now: now, nodes: map[string]*row{}, total: map[group]*Sum{}, added: map[group]time.Duration{}, to: map[string]*outlet{}}
}

// setsKey writes change sets in one form.
func setsKey(ids []rollout.ID) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = string(id)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func setsOf(key string) []rollout.ID {
	var ids []rollout.ID
	for _, id := range strings.Fields(key) {
		ids = append(ids, rollout.ID(id))
	}
	return ids
}

// Take takes a report in. Rows of the node itself, which its own report has, are left out: nobody tells a node how it is. onward says whether what it has is to be in this
// node's own reports.
func (g *Registry) Take(r *Report, self string, onward bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range r.Nodes {
		if r.Nodes[i].Name != self {
			g.see(r.Nodes[i], onward)
		}
	}
	for i := range r.Sums {
		g.add(&r.Sums[i], onward)
	}
}

// Tell takes in what this node has to say of itself; sum is since it last did.
func (g *Registry) Tell(n Node, sum rollout.Sum) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.see(n, true)
	g.add(&Sum{Lineage: n.Lineage, Site: n.Site, Sets: n.Sets, Nodes: 1, Sum: sum}, true)
}

func (g *Registry) see(n Node, onward bool) {
	at := g.nodes[n.Name]
	if at == nil {
		if len(g.nodes) >= MaxNodes {
			g.limits++
			g.forgetOldest()
		}
		at = new(row)
		g.nodes[n.Name] = at
	}
	at.node, at.seen, at.onward = n, g.now(), onward
}

func (g *Registry) forgetOldest() {
	oldest := ""
	for name, r := range g.nodes {
		if oldest == "" || r.seen < g.nodes[oldest].seen {
			oldest = name
		}
	}
	delete(g.nodes, oldest)
}

func (g *Registry) add(s *Sum, onward bool) {
	if len(g.total) >= MaxGroups {
		g.forgetOld()
	}
	if key, ok := g.addTo(g.total, s); ok {
		g.added[key] = g.now()
	}
	if !onward {
		return
	}
	for _, o := range g.to {
		g.addTo(o.pending, s)
	}
}

// forgetOld forgets groups that nobody was counted in for long. It looks once a minute: what is told could have it look at each line.
func (g *Registry) forgetOld() {
	now := g.now()
	if now-g.swept < time.Minute {
		return
	}
	g.swept = now
	for key, last := range g.added {
		if now-last >= groupAge {
			delete(g.added, key)
			delete(g.total, key)
		}
	}
}

// addTo adds a sum to its group, which it returns; false if there is no room for it.
func (g *Registry) addTo(m map[group]*Sum, s *Sum) (group, bool) {
	key := group{s.Lineage, s.Site, setsKey(s.Sets)}
	at := m[key]
	if at == nil && len(m) >= MaxGroups {
		g.limits++
		key.site = ""
		if at = m[key]; at == nil && len(m) >= MaxGroups+maxLumps {
			return key, false
		}
	}
	if at == nil {
		at = &Sum{Lineage: key.lineage, Site: key.site, Sets: setsOf(key.sets)}
		m[key] = at
	}
	at.Sum.Add(&s.Sum)
	at.Nodes = s.Nodes
	return key, true
}

// Report makes the next report to somebody: rows that were heard of lately, and the sums since the last one to him. What does not fit is in the one after it. Sums are
// counted for him from his first report on.
func (g *Registry) Report(to string) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.to[to]
	if o == nil {
		o = &outlet{pending: map[group]*Sum{}}
		g.to[to] = o
	}
	now := g.now()
	var r Report
	size := 16
	for key, s := range o.pending {
		n := len(appendSum(nil, s))
		if size+n > MaxReport || len(r.Sums) == MaxRows {
			g.limits++
			break
		}
		size += n
		r.Sums = append(r.Sums, *s)
		delete(o.pending, key)
	}
	names := slices.Sorted(maps.Keys(g.nodes))
	from, _ := slices.BinarySearch(names, o.next)
	o.next = ""
	for i := range names {
		name := names[(from+i)%len(names)]
		at := g.nodes[name]
		if !at.onward || now-at.seen > told {
			continue
		}
		row := Row{at.node, now - at.seen}
		row.Age = row.AgeNow()
		n := len(appendNode(nil, &row.Node))
		if size+n > MaxReport || len(r.Nodes) == MaxRows {
			o.next = name
			break
		}
		size += n
		r.Nodes = append(r.Nodes, row.Node)
	}
	return r.Append(nil)
}

// Nodes returns all that were heard of, by name.
func (g *Registry) Nodes() []Row {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	out := make([]Row, 0, len(g.nodes))
	for _, r := range g.nodes {
		out = append(out, Row{r.node, now - r.seen})
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Forget forgets a node: it was revoked.
func (g *Registry) Forget(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.nodes, name)
}

// Limited returns how often a limit was hit.
func (g *Registry) Limited() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limits
}

// Totals returns what was counted since the registry began, by lineage, site and change sets, each once.
func (g *Registry) Totals() []Sum {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Sum, 0, len(g.total))
	for _, s := range g.total {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(a.Lineage, b.Lineage), cmp.Compare(a.Site, b.Site), cmp.Compare(setsKey(a.Sets), setsKey(b.Sets)))
	})
	return out
}
