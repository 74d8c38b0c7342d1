package chaos

import (
	"os"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/internal/pipe"
	"github.com/ananas-edge/ananas/store"
)

// fault is something that goes wrong for a time.
type fault struct {
	name string
	odds int // against the others
	do   func(w *world, d *dice)
}

var faults = []fault{
	{"kill a node", 8, func(w *world, d *dice) { w.some(d).restart(d, func(*node) {}) }},
	{"kill a node, and spoil its file", 3, func(w *world, d *dice) { w.some(d).restart(d, func(n *node) { n.spoil(d) }) }},
	{"kill a node, and its disk is new", 1, func(w *world, d *dice) {
		w.some(d).restart(d, func(n *node) { n.kept = false; os.RemoveAll(n.dir) })
	}},
	{"fill a disk", 6, func(w *world, d *dice) {
		n := w.some(d)
		n.full.Store(true)
		w.later(d, 15*time.Second, func() { n.full.Store(false) })
	}},
	{"cut a link", 6, func(w *world, d *dice) { w.each(w.way(d), (*pipe.Link).Cut) }},
	{"part two nodes", 5, func(w *world, d *dice) {
		way := w.way(d)
		w.part(way, true)
		w.later(d, 30*time.Second, func() { w.part(way, false) })
	}},
	{"delay a link", 5, func(w *world, d *dice) {
		way, by := w.way(d), time.Duration(d.n(2000))*time.Millisecond
		w.delay(way, by)
		w.later(d, 20*time.Second, func() { w.delay(way, 0) })
	}},
	{"set a clock", 3, func(w *world, d *dice) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.skew[w.nodes[d.n(len(w.nodes))].name] = time.Duration(d.n(100*24)-50*24) * time.Hour // beyond the age of the log
	}},
	{"trim the log of the root", 3, func(w *world, d *dice) {
		m, generation := w.root()
		seen := w.truths[store.Lineage{generation}].version()
		m.Trim(w.ctx, seen-min(seen, store.Version(d.n(10)))) // what the truth has not seen stays
	}},
	{"have the root fail now and then", 4, func(w *world, d *dice) {
		w.failing.Store(uint32(50 + d.n(400)))
		w.later(d, 10*time.Second, func() { w.failing.Store(0) })
	}},
	{"have the root down", 2, func(w *world, d *dice) {
		w.failing.Store(1000)
		w.later(d, 15*time.Second, func() { w.failing.Store(0) })
	}},
	{"depose who leads", 3, func(w *world, d *dice) {
		m, _ := w.root()
		m.Depose()
	}},
	{"restore the root from a snapshot", 2, func(w *world, d *dice) {
		m, _ := w.root()
		if w.models > 3 {
			return
		}
		entries := map[string][]byte{}
		if _, err := m.Entries(w.ctx, func(key string, e store.Entry) error { entries[key] = e.Value; return nil }); err == nil {
			w.begin(entries)
		}
	}},
}

func (w *world) some(d *dice) *node { return w.nodes[d.n(len(w.nodes))] }

// way chooses two nodes of which one follows the other.
func (w *world) way(d *dice) string {
	for {
		if n := w.some(d); n.sources != nil {
			return n.name + ">" + n.sources[d.n(len(n.sources))]
		}
	}
}

// later does something after a random time. What was not done when the faults end is done by heal.
func (w *world) later(d *dice, most time.Duration, do func()) {
	after := time.Duration(d.n(int(most/time.Millisecond))) * time.Millisecond
	w.work.Go(func() {
		if pause(w.ctx, after) {
			do()
		}
	})
}

func (w *world) part(way string, parted bool) {
	w.mu.Lock()
	w.parted[way] = parted
	w.mu.Unlock()
	w.each(way, func(l *pipe.Link) { l.Hold(parted) })
}

func (w *world) delay(way string, by time.Duration) {
	w.mu.Lock()
	w.delays[way] = by
	w.mu.Unlock()
	w.each(way, func(l *pipe.Link) { l.Delay(by) })
}

// restart kills a node, does something while it is down, and starts it after a time.
func (n *node) restart(d *dice, down func(n *node)) {
	select {
	case n.turn <- struct{}{}:
	default:
		return // it is being restarted
	}
	n.kill()
	down(n)
	after := time.Duration(d.n(15000)) * time.Millisecond
	n.w.work.Go(func() {
		defer func() { <-n.turn }()
		pause(n.w.ctx, after)
		n.begin()
	})
}

// begin starts a node, as soon as its disk lets it.
func (n *node) begin() {
	for n.w.ctx.Err() == nil {
		err := n.start()
		if err == nil {
			return
		}
		if !n.full.Load() {
			n.w.t.Errorf("starting %s: %v", n.name, err)
			return
		}
		pause(n.w.ctx, time.Second)
	}
}

// spoil changes some octets of the file of a node that is down.
func (n *node) spoil(d *dice) {
	path := filepath.Join(n.dir, "replica.db")
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return
	}
	switch d.n(4) {
	case 0:
		b = b[:d.n(len(b))]
	case 1:
		at := d.n(len(b))
		clear(b[at:min(len(b), at+4096)])
	default:
		for range 1 + d.n(20) {
			b[d.n(len(b))] ^= byte(1 + d.n(255))
		}
	}
	n.kept = false
	if err := os.WriteFile(path, b, 0o600); err != nil {
		n.w.t.Error(err)
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.failing.Store(0)
	for _, n := range w.nodes {
		n.full.Store(false)
		for _, source := range n.sources {
			w.part(n.name+">"+source, false)
			w.delay(n.name+">"+source, 0)
		}
	}
	for _, n := range w.nodes {
		n.turn <- struct{}{} // it is up, or gets up within 15 s
		<-n.turn
	}
	for _, n := range w.nodes { // what was done later, after all
		n.full.Store(false)
	}
	w.failing.Store(0)
}
