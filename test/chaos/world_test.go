package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/pipe"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/replica"
)

// tree is who follows whom, by name: the sources of each node, in the order in which it prefers them. Those of no source are members of the root.
var tree = []struct {
	name    string
	sources []string
}{
	{"m0", nil}, {"m1", nil},
	{"r0", []string{"m0", "m1"}}, {"r1", []string{"m1", "m0"}},
	{"q0", []string{"r0", "r1", "q1"}}, {"q1", []string{"r1", "q0", "r0"}}, // two relays that know each other
	{"l0", []string{"q0", "q1"}}, {"l1", []string{"q1", "q0"}}, {"l2", []string{"q0", "r1"}},
}

// hidden begins the keys that the leaf l2 may not read while store.AccessKey says so.
const (
	hidden  = "h/"
	limited = "l2"
)

// world is one run.
type world struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	dice   *dice
	nodes  []*node
	byName map[string]*node

	mu     sync.Mutex
	model  *store.Model
	models int // lineages so far
	all    map[store.Lineage]*store.Model
	truths map[store.Lineage]*truth
	writes []*write
	links  map[string][]*pipe.Link // by who dialled, and whom
	parted map[string]bool         // likewise: nothing arrives
	delays map[string]time.Duration
	skew   map[string]time.Duration // of clocks, by name

	over    atomic.Bool   // there are no more faults
	failing atomic.Uint32 // in 1,000 calls of the model; in all of them: it is down
}

// dice are a source of chance that many may use.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))} }

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

func (d *dice) uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Uint64()
}

func (d *dice) fork() *dice { return newDice(d.uint64()) }

func (d *dice) id() (id [16]byte) {
	binary.LittleEndian.PutUint64(id[:], d.uint64())
	binary.LittleEndian.PutUint64(id[8:], d.uint64())
	return id
}

// node is one node: what it has of memory goes with each kill, what it has of disk stays.
type node struct {
	w       *world
	name    string
	dir     string
	sources []string
	log     int64 // octets that its log may have
	dice    *dice

	turn chan struct{} // of who starts and kills it; a mutex would stop the fake time
	full atomic.Bool   // its disk fails
	dead atomic.Bool   // it is being killed: its disk fails for good

	mu          sync.Mutex
	fingerprint [32]byte // these two are files of the node
	generation  byte     // of its lineage: what a statement signs
	copy        *replica.Replica
	source      *feed.Source // nil: it is down
	follower    *feed.Follower
	stop        context.CancelFunc
	work        sync.WaitGroup
	kept        bool // the file was not touched since the node was killed

	seen []sight // by the one goroutine that watches the copy
}

// sight is a view that the copy has shown.
type sight struct {
	view  *replica.View
	first bool // after a start
	kept  bool // and the file is what the node before it left
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, dice: newDice(seed), byName: map[string]*node{}, truths: map[store.Lineage]*truth{}, all: map[store.Lineage]*store.Model{}, links: map[string][]*pipe.Link{}, parted: map[string]bool{},
		delays: map[string]time.Duration{}, skew: map[string]time.Duration{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.begin(nil)
	dir := t.TempDir()
	for _, place := range tree {
		n := &node{w: w, turn: make(chan struct{}, 1), name: place.name, dir: filepath.Join(dir, place.name), sources: place.sources, dice: w.dice.fork(), log: 1 << 20}
		if w.dice.n(3) == 0 {
			n.log = int64(1 + w.dice.n(8<<10))
		}
		w.nodes = append(w.nodes, n)
		w.byName[n.name] = n
	}
	return w
}

// begin begins a lineage, with some entries.
func (w *world) begin(entries map[string][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.models++
	l := store.Lineage{byte(w.models)}
	m := store.NewModel(l)
	if len(entries) > 0 {
		p := store.Proposal{ID: w.dice.id(), Kind: store.KindRestore}
		for key, value := range entries {
			p.Edits = append(p.Edits, store.Edit{Key: key, Value: value})
		}
		none := func(string) (store.Entry, bool) { return store.Entry{}, false }
		head := store.Head{Lineage: l}
		r, err := store.Prepare(head, p, none, time.Now(), func() store.Salt { return w.dice.id() })
		if err == nil {
			err = m.Commit(w.ctx, head, r, nil)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	faults := w.dice.fork()
	m.Fault = func(call string) store.Fault { return w.fault(faults, call) }
	w.model, w.all[l] = m, m
	w.truths[l] = newTruth(w, l, m)
}

// fault decides what goes wrong with a call of the model.
func (w *world) fault(d *dice, call string) store.Fault {
	odds := int(w.failing.Load())
	if call == "Lookup" && odds > 0 {
		odds += 500 // so that now and then nobody can tell what became of a commit
	}
	if d.n(1000) >= odds {
		return store.None
	}
	if call != "Commit" {
		return store.Before
	}
	return []store.Fault{store.Before, store.After, store.Unknown}[d.n(3)]
}

func (w *world) root() (*store.Model, byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.model, byte(w.models)
}

func (n *node) now() time.Time {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return time.Now().Add(n.w.skew[n.name])
}

// disk is what replica.Options.Disk asks.
func (n *node) disk(step string) error {
	if n.dead.Load() || n.full.Load() && n.dice.n(10) < 7 {
		return syscall.ENOSPC
	}
	return nil
}

// start starts a node from what it has on its disk.
func (n *node) start() error {
	n.dead.Store(false)
	c, err := replica.Open(n.dir, replica.Options{Now: n.now, Random: randomOf{n.dice}, Key: bytes.Repeat([]byte{7}, 32), LogBytes: n.log, Disk: n.disk})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	n.copy = c
	config := feed.SourceConfig{Name: n.name, Copy: c, Gate: gate{n}, Statement: n.statement}
	n.follower = nil
	if n.sources != nil {
		boot := time.Now()
		n.follower = feed.NewFollower(feed.FollowerConfig{
			Name: n.name, Copy: c, Sources: n.sources, Dial: n.dial, Lineage: n.take, Boot: func() time.Duration { return time.Since(boot) }, Random: n.dice.uint64,
			Access:   func() [32]byte { n.mu.Lock(); defer n.mu.Unlock(); return n.fingerprint },
			Accessed: n.accessed,
			Beat: func(b feed.Beat) {
				if s := n.up(); s != nil {
					s.Beat(b)
				}
			},
		})
		config.Path = n.follower.Path
	}
	n.source = feed.NewSource(config)
	seen := n.seen
	n.seen = append(seen, sight{c.View(), true, n.kept})
	n.kept = true
	n.work.Go(func() { n.watch(ctx, c) })
	if f := n.follower; f != nil {
		n.work.Go(func() { f.Run(ctx) })
	} else {
		n.work.Go(func() { n.member(ctx, c) })
		s := n.source
		n.work.Go(func() { n.beat(ctx, s) })
	}
	return nil
}

func (n *node) accessed(sum [32]byte) error {
	if err := n.disk("access"); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fingerprint = sum
	return nil
}

// up returns the source of a node; nil if it is down.
func (n *node) up() *feed.Source {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.source
}

// kill ends a node as a kill does, as far as that goes in a process: nobody hears a word, and a write that is under way fails at its next step.
func (n *node) kill() {
	n.mu.Lock()
	s, c, stop := n.source, n.copy, n.stop
	n.source = nil
	n.mu.Unlock()
	if s == nil {
		return
	}
	n.dead.Store(true)
	silent := n.dice.n(2) == 0 // the machine has gone, and not only the process
	n.w.each(n.name, func(l *pipe.Link) {
		if silent {
			l.Hold(true)
		} else {
			l.Cut()
		}
	})
	stop()
	s.Close()
	n.work.Wait()
	if err := c.Close(); err != nil {
		n.w.t.Errorf("closing the copy of %s: %v", n.name, err)
	}
}

// watch notes each view that a copy shows.
func (n *node) watch(ctx context.Context, c *replica.Replica) {
	last := c.View()
	for {
		changed := c.Changed(last.Head().Version)
		if v := c.View(); v != last {
			last = v
			n.mu.Lock()
			n.seen = append(n.seen, sight{view: v})
			n.mu.Unlock()
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// member keeps the copy of a member of the root at what the root has, as package node does.
func (n *node) member(ctx context.Context, c *replica.Replica) {
	for ctx.Err() == nil {
		m, generation := n.w.root()
		if err := n.followRoot(ctx, c, m, generation); err != nil {
			pause(ctx, 100*time.Millisecond)
		}
	}
}

func (n *node) followRoot(ctx context.Context, c *replica.Replica, m *store.Model, generation byte) error {
	head, err := m.Head(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.generation = generation
	n.mu.Unlock()
	if at := c.View().Head(); at.Lineage != head.Lineage {
		return n.copyEntries(ctx, c, m)
	} else if at.Version > head.Version {
		n.w.t.Errorf("%s has version %d, and the root %d", n.name, at.Version, head.Version)
	}
	one, stop := context.WithTimeout(ctx, time.Second) // then it looks whether another lineage has begun
	defer stop()
	err = m.Follow(one, c.View().Head().Version, func(r *store.Record) error { return c.Apply(ctx, []*store.Record{r}) })
	var floor *store.FloorError
	var strayed *store.DivergenceError
	if errors.As(err, &floor) || errors.As(err, &strayed) {
		return n.copyEntries(ctx, c, m)
	}
	return err
}

func (n *node) copyEntries(ctx context.Context, c *replica.Replica, m *store.Model) error {
	head, err := m.Head(ctx)
	if err != nil {
		return err
	}
	in, err := c.BeginSnapshot(head)
	if err != nil {
		return err
	}
	defer in.Abort()
	if read, err := m.Entries(ctx, in.Add); err != nil || read != head {
		return errors.Join(err, errors.New("something was committed in between"))
	}
	return in.Commit()
}

// beat makes the beats of a member, while the root answers.
func (n *node) beat(ctx context.Context, s *feed.Source) {
	for {
		m, _ := n.w.root()
		if head, err := m.Head(ctx); err == nil {
			s.Beat(feed.Beat{Time: n.now(), Lineage: head.Lineage, Version: head.Version})
		}
		if !pause(ctx, time.Second) {
			return
		}
	}
}

// statement is that a lineage has begun; "signed" and its number.
func (n *node) statement() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return []byte{'s', n.generation}
}

// take decides about another lineage: a later one alone.
func (n *node) take(l store.Lineage, statement []byte) error {
	if err := n.disk("lineage"); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(statement) != 2 || statement[1] != l[0] || statement[1] < n.generation {
		return fmt.Errorf("the statement %q is about another lineage than %v, or an earlier one than %d", statement, l, n.generation)
	}
	n.generation = statement[1]
	return nil
}

// dial connects to another node, if the network and that node let it.
func (n *node) dial(ctx context.Context, address string) (net.Conn, error) {
	w, to := n.w, n.w.byName[address]
	w.mu.Lock()
	way := n.name + ">" + address
	if w.parted[way] {
		w.mu.Unlock()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a, b, link := pipe.New(n.name, address)
	link.Delay(w.delays[way])
	w.links[way] = append(w.links[way], link)
	if old := len(w.links[way]) - 8; old > 0 {
		w.links[way] = w.links[way][old:]
	}
	w.mu.Unlock()
	s := to.up()
	if s == nil {
		return nil, errors.New("connection refused")
	}
	s.Take(b)
	return a, nil
}

// each does something with the links of a node, or of a way.
func (w *world) each(name string, do func(l *pipe.Link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for way, links := range w.links {
		from, to, _ := strings.Cut(way, ">")
		if way == name || from == name || to == name {
			for _, l := range links {
				do(l)
			}
		}
	}
}

// gate lets everybody in. One leaf may not read all, while the store says so.
type gate struct{ n *node }

func (g gate) Admit(_ context.Context, conn net.Conn) (feed.Peer, error) {
	return g.Recheck(feed.Peer{Name: conn.RemoteAddr().String()})
}

func (g gate) Recheck(p feed.Peer) (feed.Peer, error) {
	g.n.mu.Lock()
	c := g.n.copy
	g.n.mu.Unlock()
	p.Access = access(p.Name == limited && narrow(c.View()))
	return p, nil
}

func narrow(m store.Map) bool {
	doc, _ := m.Get(store.AccessKey)
	return string(doc) == "narrow"
}

// access is whether the hidden keys may not be read.
type access bool

func (a access) Readable(key string) bool { return !bool(a) || !strings.HasPrefix(key, hidden) }

func (a access) Fingerprint() [32]byte { return sha256.Sum256(fmt.Append(nil, bool(a))) }

type randomOf struct{ d *dice }

func (r randomOf) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.d.uint64())
	}
	return len(b), nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
