package rollout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// harm is what a change does to the nodes that hold it.
type harm string

const (
	harmless   harm = "harmless"
	failing    harm = "a third of the queries fail"
	slow       harm = "queries take a second longer"
	panicking  harm = "one query in a hundred panics"
	crashing   harm = "the process crashes"
	cutting    harm = "the node is cut off"
	uncompiled harm = "a node can't compile it"
	unanswered harm = "its probe fails"
)

// world is a store and a fleet, on a clock of its own. It stands for what is not ours to run here: a root that commits, nodes that answer clients. It checks with each commit what must
// always be true.
type world struct {
	t     testing.TB
	rng   *rand.Rand
	now   time.Time
	nodes []*simNode
	sums  map[cell]*Sum

	order    []ID
	docs     map[ID]*Rollout
	keys     map[ID][]string
	harms    map[ID]harm
	watched  map[ID]time.Time // when the wave that it is in was committed
	live     map[ID]int       // how often it was made live
	ends     map[ID]int
	widest   map[ID]int // nodes that held it at once, while it was open
	idle     bool
	probed   bool
	fault    func() fault // of the next commit
	late     []func()     // commits that are still under way
	term     int
	elected  time.Time
	coldTell bool // a new driver's counts begin with its term
}

type fault int

const (
	committed  fault = iota
	refusedIt        // it was not done, and that is known
	lostBefore       // it was not done, and nobody knows
	lostAfter        // it was done, and nobody knows
	underWay         // it may be done a little later, and nobody knows
)

type simNode struct {
	name, site string
	boot       uint64
	sets       []ID
	refused    []ID
	told       time.Time
	cut        bool
	gone       time.Time // when it was taken out of the fleet
	probes     map[ID]*Probe
}

func newWorld(t testing.TB, seed uint64, nodes, sites int) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), now: wall,
		sums: map[cell]*Sum{}, docs: map[ID]*Rollout{}, keys: map[ID][]string{}, harms: map[ID]harm{}, watched: map[ID]time.Time{},
		live: map[ID]int{}, ends: map[ID]int{}, widest: map[ID]int{}, fault: func() fault { return committed },
	}
	for _, m := range fleet(nodes, sites) {
		w.nodes = append(w.nodes, &simNode{name: m.Name, site: m.Site(), boot: w.rng.Uint64(), told: wall, probes: map[ID]*Probe{}})
	}
	return w
}

// open puts a rollout into the store.
func (w *world) open(id ID, h harm, keys ...string) {
	w.order = append(w.order, id)
	w.docs[id], w.keys[id], w.harms[id] = New(id, "settings", "admin", "", DefaultPlan(), w.now), keys, h
}

// driver makes a driver of the next term; of the one before nothing is committed any more.
func (w *world) driver() *Driver {
	w.term++
	w.elected = w.now
	at := &seat{world: w, term: w.term, from: totals{}}
	if w.coldTell {
		for c, s := range w.sums {
			at.from[c] = *s
		}
	}
	d := NewDriver(Config{Subject: at, Health: at, Now: func() time.Time { return w.now }})
	d.begin()
	return d
}

// seat is what a driver of one term sees of the world.
type seat struct {
	*world
	term int
	from totals
}

func (w *seat) Open(context.Context) ([]*Rollout, error) {
	var all []*Rollout
	for _, id := range w.order {
		if w.docs[id].State.Open() {
			all = append(all, w.docs[id])
		}
	}
	return all, nil
}

func (w *seat) Find(_ context.Context, id ID) (*Rollout, error) { return w.docs[id], nil }
func (w *seat) Keys(r *Rollout) []string                        { return w.keys[r.ID] }

func (w *seat) Release(_ context.Context, from, to *Rollout) error {
	if !to.State.Open() {
		w.t.Fatalf("released, but %v", to.State)
	}
	return w.commit(from, to)
}

func (w *seat) Promote(_ context.Context, from, to *Rollout) error {
	if to.State != Passed {
		w.t.Fatalf("promoted, but %v", to.State)
	}
	return w.commit(from, to)
}

func (w *seat) Withdraw(_ context.Context, from, to *Rollout) error {
	if to.State != Failed && to.State != Aborted {
		w.t.Fatalf("withdrawn, but %v", to.State)
	}
	return w.commit(from, to)
}

var errOutcome = errors.New("it is not known whether the commit was made")

func (w *seat) commit(from, to *Rollout) error {
	decide := func() error {
		if w.term != w.world.term || !same(w.t, w.docs[from.ID], from) {
			return ErrConflict
		}
		w.check(from, to)
		w.docs[to.ID] = reread(w.t, to)
		return nil
	}
	switch w.fault() {
	case refusedIt:
		return errors.New("the root has no room")
	case lostBefore:
		return errOutcome
	case lostAfter:
		if err := decide(); errors.Is(err, ErrConflict) {
			return err
		}
		return errOutcome
	case underWay:
		w.late = append(w.late, func() { _ = decide() })
		return errOutcome
	}
	return decide()
}

// reread returns a document as everybody reads it.
func reread(t testing.TB, r *Rollout) *Rollout {
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = Decode(b); err != nil {
		t.Fatal(err)
	}
	return r
}

func same(t testing.TB, a, b *Rollout) bool {
	x, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

// check holds each commit to what must be true whatever has happened.
func (w *world) check(from, to *Rollout) {
	bake := to.Plan.Bake
	gate := to.By == "" && (to.State == Passed || to.Wave > from.Wave)
	switch {
	case !from.State.Open():
		w.t.Fatalf("rollout %s has ended as %v, and ends again as %v", to.ID, from.State, to.State)
	case gate && from.State != Baking:
		w.t.Fatalf("rollout %s passes a gate while it is %v", to.ID, from.State)
	case to.Wave > from.Wave+1 || to.Wave < from.Wave:
		w.t.Fatalf("rollout %s goes from wave %d to %d", to.ID, from.Wave, to.Wave)
	case gate && to.State == Passed && to.Wave != len(to.Plan.Waves)-1:
		w.t.Fatalf("rollout %s is live after wave %d", to.ID, to.Wave)
	case gate && (w.now.Sub(w.watched[to.ID]) < bake || w.now.Sub(w.elected) < bake):
		w.t.Fatalf("rollout %s passes wave %d, which was committed %v ago and seen by a driver elected %v ago", to.ID, from.Wave, w.now.Sub(w.watched[to.ID]), w.now.Sub(w.elected))
	}
	for _, id := range w.order {
		if other := w.docs[id]; from.State == Queued && to.State == Baking && id != to.ID && other.State.Open() && other.State != Queued &&
			slices.ContainsFunc(w.keys[id], func(k string) bool { return slices.Contains(w.keys[to.ID], k) }) {
			w.t.Fatalf("rollout %s begins beside %s, which has the same key", to.ID, id)
		}
	}
	if to.State == Baking && (from.State != Baking || to.Wave != from.Wave) {
		w.watched[to.ID] = w.now
	}
	if !to.State.Open() {
		w.ends[to.ID]++
	}
	if to.State == Passed {
		w.live[to.ID]++
	}
}

// second lets a second pass: nodes read the store, answer clients, and say how they are.
func (w *world) second() {
	w.now = w.now.Add(time.Second)
	if len(w.late) > 0 && w.rng.IntN(3) == 0 {
		w.late[0]()
		w.late = w.late[1:]
	}
	holders := make(map[ID]int)
	for _, n := range w.nodes {
		w.node(n)
		for _, id := range n.sets {
			holders[id]++
		}
	}
	for id, n := range holders {
		w.widest[id] = max(w.widest[id], n)
	}
}

func (w *world) node(n *simNode) {
	if !n.gone.IsZero() {
		return
	}
	if n.cut {
		if w.now.Sub(n.told) >= 30*time.Second { // what package node does
			n.cut, n.sets = false, nil
		}
		return
	}
	var sets []ID
	n.refused = nil
	for _, id := range w.order {
		if !Holds(w.docs[id], Member{Name: n.name}) {
			continue
		}
		if w.harms[id] == uncompiled {
			n.refused = append(n.refused, id)
			continue
		}
		sets = append(sets, id)
		switch w.harms[id] {
		case crashing: // as it begins, and whenever it begins again
			if !has(n.sets, id) || w.rng.IntN(4) == 0 {
				n.boot = w.rng.Uint64()
			}
		case cutting:
			if has(n.sets, id) {
				continue
			}
			n.cut, n.told = true, w.now
			n.sets = sets
			return
		}
	}
	if !slices.Equal(n.sets, sets) {
		clear(n.probes)
	}
	n.sets, n.told = sets, w.now
	if w.probed {
		w.probe(n)
	}
	if !w.idle {
		w.clients(n)
	}
}

func (w *world) probe(n *simNode) {
	for _, id := range w.order {
		if !w.docs[id].State.Open() {
			delete(n.probes, id)
			continue
		}
		p := n.probes[id]
		if p == nil {
			p = &Probe{Rollout: id}
			n.probes[id] = p
		}
		if has(n.sets, id) && w.harms[id] == unanswered {
			p.Failing, p.Error = p.Failing+1, "no reply"
		} else {
			p.Passed, p.Failing, p.Error = p.Passed+1, 0, ""
		}
	}
}

func (w *world) clients(n *simNode) {
	c := cell{n.site, join(n.sets, "")}
	sum := w.sums[c]
	if sum == nil {
		sum = new(Sum)
		w.sums[c] = sum
	}
	for range 5 {
		fail, took := 0.01, time.Duration(float64(time.Millisecond)*(1+20*w.rng.Float64()))
		for _, id := range n.sets {
			switch w.harms[id] {
			case failing:
				fail = 0.33
			case slow:
				took += time.Second
			case panicking:
				if w.rng.IntN(100) == 0 {
					sum.Panics++
				}
			}
		}
		class := Answered
		if w.rng.Float64() < fail {
			class = Broken
		}
		sum.Results[class]++
		sum.Latency.Observe(took, 1)
	}
}

// Nodes is that of a Health.
func (w *seat) Nodes() []Heard {
	all := make([]Heard, 0, len(w.nodes))
	for _, n := range w.nodes {
		if !n.gone.IsZero() { // nothing more is known of it, as with package node
			all = append(all, Heard{NodeState: NodeState{Name: n.name}, Gone: n.gone})
			continue
		}
		h := Heard{NodeState: NodeState{Name: n.name, Site: n.site, Boot: n.boot, Sets: slices.Clone(n.sets), Refused: n.refused}, Silent: w.now.Sub(n.told)}
		if len(n.refused) > 0 {
			h.Error = "plugin/family: no such module"
		}
		for _, id := range slices.Sorted(maps.Keys(n.probes)) {
			h.Probes = append(h.Probes, *n.probes[id])
		}
		all = append(all, h)
	}
	return all
}

// Totals is that of a Health.
func (w *seat) Totals() []Total {
	all := make([]Total, 0, len(w.sums))
	for c, s := range w.sums {
		all = append(all, Total{Site: c.site, Sets: split(c.sets), Sum: s.since(w.from[c])})
	}
	return all
}

// run lets a driver look once a second until no rollout is open, or a time is over.
func (w *world) run(d *Driver, most time.Duration) {
	for end := w.now.Add(most); w.now.Before(end); {
		w.second()
		d.look(context.Background())
		if !slices.ContainsFunc(w.order, func(id ID) bool { return w.docs[id].State.Open() }) {
			w.second() // and nodes let go of what has ended
			return
		}
	}
}

// story says what became of a rollout.
func (w *world) story(id ID) string {
	r := w.docs[id]
	return fmt.Sprintf("%v in wave %d after %v: %s", r.State, r.Wave, w.now.Sub(wall), r.Why)
}
