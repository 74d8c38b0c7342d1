package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/internal/pipe"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
	"github.com/ananas-edge/ananas/telemetry"
)

// fleet is a store and the nodes that follow it, on fake time: their copies are real, and their connections are pipes.
type fleet struct {
	*testing.T
	ctx   context.Context
	mu    sync.Mutex
	nodes map[string]*fleetNode
	work  sync.WaitGroup

	head    store.Head // of the store, and what it has
	entries map[string]store.Entry
	log     []*store.Record
	salts   uint64
}

// fleetNode is one of them.
type fleetNode struct {
	f        *fleet
	name     string
	dir      string
	copy     *replica.Replica
	metrics  *telemetry.Metrics
	source   *Source
	follower *Follower
	stop     context.CancelFunc // the follower
	stopped  chan struct{}
	options  replica.Options
	full     atomic.Bool   // its disk
	mute     atomic.Bool   // the root makes no beats
	read     *bytes.Buffer // what came from sources, if set

	mu          sync.Mutex
	fingerprint [32]byte
	noFile      bool // the fingerprint can't be written down
	statement   []byte
	merged      map[string][]string // reports, by who sent them
	report      []byte
	link        *pipe.Link // to its source
	dialled     int
	delay       atomic.Int64 // of the next link
}

func onFakeTime(t *testing.T, do func(f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fleet{T: t, ctx: ctx, nodes: map[string]*fleetNode{}, head: store.Head{Lineage: store.Lineage{1}}, entries: map[string]store.Entry{}}
		t.Cleanup(func() {
			for _, n := range f.nodes {
				n.close()
			}
			cancel()
			f.work.Wait()
		})
		do(f)
	})
}

// node makes a node, whose copy is empty, with a source that others may follow.
func (f *fleet) node(name string, change ...func(n *fleetNode)) *fleetNode {
	f.Helper()
	n := &fleetNode{f: f, name: name, dir: filepath.Join(f.TempDir(), name), merged: map[string][]string{}, report: []byte(name)}
	f.mu.Lock()
	f.nodes[name] = n
	f.mu.Unlock()
	for _, c := range change {
		c(n)
	}
	n.open()
	return n
}

func (n *fleetNode) open() {
	n.f.Helper()
	n.options.Key = bytes.Repeat([]byte{7}, 32)
	n.options.Disk = func(step string) error {
		if n.full.Load() && (step == "begin" || step == "fill") {
			return syscall.ENOSPC
		}
		return nil
	}
	var err error
	if n.copy, err = replica.Open(n.dir, n.options); err != nil {
		n.f.Fatal(err)
	}
	n.metrics = telemetry.NewMetrics()
	n.source = NewSource(SourceConfig{
		Name: n.name, Copy: n.copy, Gate: fleetGate{n}, Reports: n, Metrics: n.metrics,
		Statement: func() []byte { n.mu.Lock(); defer n.mu.Unlock(); return n.statement },
		Path: func() []string {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.follower == nil {
				return nil
			}
			return n.follower.Path()
		},
	})
}

func (n *fleetNode) close() {
	n.leave()
	n.source.Close()
	n.copy.Close()
}

// restart is what a restart does: what was learned is gone, and what is on the disk is read again.
func (n *fleetNode) restart() {
	n.close()
	n.open()
}

// root makes a node whose copy is that of the store, with a beat each second.
func (f *fleet) root(name string, change ...func(n *fleetNode)) *fleetNode {
	f.Helper()
	n := f.node(name, change...)
	n.statement = signed(f.head.Lineage)
	n.replace(f.head, f.entries)
	f.work.Go(func() {
		for {
			if !n.mute.Load() {
				head := n.copy.View().Head()
				n.source.Beat(Beat{Time: time.Now(), Lineage: head.Lineage, Version: head.Version})
			}
			if !pause(f.ctx, time.Second) {
				return
			}
		}
	})
	return n
}

func signed(l store.Lineage) []byte { return []byte("signed " + l.String()) }

// replace puts a whole map in the place of a copy.
func (n *fleetNode) replace(head store.Head, entries map[string]store.Entry) {
	n.f.Helper()
	in, err := n.copy.BeginSnapshot(head)
	for key, e := range entries {
		err = errors.Join(err, in.Add(key, e))
	}
	if err == nil {
		err = in.Commit()
	}
	if err != nil {
		n.f.Fatal(err)
	}
}

// record makes the next commit; nobody has it yet. A value of "" deletes.
func (f *fleet) record(keysAndValues ...string) *store.Record {
	f.Helper()
	var edits []store.Edit
	for i := 0; i < len(keysAndValues); i += 2 {
		value := keysAndValues[i+1]
		edits = append(edits, store.Edit{Key: keysAndValues[i], Value: []byte(value), Delete: value == ""})
	}
	salt := func() (s store.Salt) {
		f.salts++
		binary.LittleEndian.PutUint64(s[:], f.salts)
		return s
	}
	s := salt()
	at := func(key string) (store.Entry, bool) { e, ok := f.entries[key]; return e, ok }
	r, err := store.Prepare(f.head, store.Proposal{ID: store.ID(s), Kind: store.KindNow, Author: "ada", Edits: edits}, at, time.Now(), salt)
	if err == nil && r == nil {
		err = errors.New("nothing changes")
	}
	if err == nil {
		f.head, err = f.head.Next(r)
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(f.entries, c.Key)
		} else {
			f.entries[c.Key] = c.Entry
		}
	}
	f.log = append(f.log, r)
	return r
}

// commit makes a commit, and puts it on this node's copy, as its root does.
func (n *fleetNode) commit(keysAndValues ...string) {
	n.f.Helper()
	n.apply(n.f.record(keysAndValues...))
}

func (n *fleetNode) apply(records ...*store.Record) {
	n.f.Helper()
	if err := n.copy.Apply(context.Background(), records); err != nil {
		n.f.Fatal(err)
	}
}

// fork makes another store of what f is now.
func (f *fleet) fork() *fleet {
	return &fleet{T: f.T, ctx: f.ctx, nodes: f.nodes, head: f.head, entries: maps.Clone(f.entries), salts: f.salts + 1<<32}
}

// follow has a node follow others.
func (n *fleetNode) follow(sources ...string) {
	chance := uint64(len(n.name))
	follower := NewFollower(FollowerConfig{
		Name: n.name, Copy: n.copy, Sources: sources, Dial: n.dial, Reports: n, Metrics: telemetry.NewMetrics(),
		Lineage: func(l store.Lineage, statement []byte) error {
			if !bytes.Equal(statement, signed(l)) {
				return errors.New("nobody has signed it")
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.statement = bytes.Clone(statement)
			return nil
		},
		Access: func() [32]byte { n.mu.Lock(); defer n.mu.Unlock(); return n.fingerprint },
		Accessed: func(sum [32]byte) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.noFile {
				return syscall.ENOSPC
			}
			n.fingerprint = sum
			return nil
		},
		Beat: n.source.Beat, Boot: bootTime(), Random: func() uint64 { chance = chance*6364136223846793005 + 1; return chance >> 1 },
	})
	n.mu.Lock()
	n.follower = follower
	n.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	n.stop, n.stopped = stop, done
	go func() { follower.Run(ctx); close(done) }()
}

func bootTime() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) + time.Hour }
}

// leave ends following.
func (n *fleetNode) leave() {
	if n.stop != nil {
		n.stop()
		<-n.stopped
		n.stop = nil
	}
}

func (n *fleetNode) dial(_ context.Context, address string) (net.Conn, error) {
	n.f.mu.Lock()
	to := n.f.nodes[address]
	n.f.mu.Unlock()
	if to == nil {
		return nil, fmt.Errorf("nobody listens at %q", address)
	}
	a, b, link := pipe.New(n.name, address)
	n.mu.Lock()
	n.link = link
	link.Delay(time.Duration(n.delay.Load()))
	n.dialled++
	n.mu.Unlock()
	to.source.Take(b)
	if n.read != nil {
		return tapped{a, n.read}, nil
	}
	return a, nil
}

// tapped keeps what is read.
type tapped struct {
	net.Conn
	read *bytes.Buffer
}

func (c tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Write(b[:n])
	return n, err
}

// Own is that of Reports: what the node says, and what it was told, each once.
func (n *fleetNode) Own() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := [][]byte{n.report}
	for _, from := range slices.Sorted(maps.Keys(n.merged)) {
		all = append(all, []byte(n.merged[from][len(n.merged[from])-1]))
	}
	return bytes.Join(all, []byte("+"))
}

// Merge is that of Reports.
func (n *fleetNode) Merge(from string, body []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.merged[from] = append(n.merged[from], string(body))
}

// dials returns how often it has connected.
func (n *fleetNode) dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dialled
}

func (n *fleetNode) links(do func(l *pipe.Link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do(n.link)
}

// fleetGate lets everybody in but whom ~node/NAME revokes ("revoked"), and reads in ~access who may not read what: lines of a name and a prefix.
type fleetGate struct{ n *fleetNode }

func (g fleetGate) Admit(_ context.Context, conn net.Conn) (Peer, error) {
	return g.Recheck(Peer{Name: conn.RemoteAddr().String()})
}

func (g fleetGate) Recheck(p Peer) (Peer, error) {
	view := g.n.copy.View()
	if doc, _ := view.Get(store.NodePrefix + p.Name); string(doc) == "revoked" {
		return p, &Goodbye{Code: "revoked", Text: fmt.Sprintf("%q was revoked", p.Name), Mend: "ask ada"}
	}
	var hidden []string
	doc, _ := view.Get(store.AccessKey)
	for line := range strings.Lines(string(doc)) {
		if name, prefix, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == p.Name {
			hidden = append(hidden, prefix)
		}
	}
	p.Access = hiddenPrefixes(hidden)
	return p, nil
}

type hiddenPrefixes []string

func (h hiddenPrefixes) Readable(key string) bool {
	return !slices.ContainsFunc(h, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

func (h hiddenPrefixes) Fingerprint() [32]byte {
	return sha256.Sum256([]byte("x" + strings.Join(h, "\n")))
}

// until waits for something, for a time at most.
func (f *fleet) until(within time.Duration, what string, done func() bool) {
	f.Helper()
	end := time.Now().Add(within)
	for !done() {
		if !time.Now().Before(end) {
			for _, name := range slices.Sorted(maps.Keys(f.nodes)) {
				n := f.nodes[name]
				var state State
				if n.follower != nil {
					state = n.follower.State()
				}
				f.Logf("%s is at version %d, %+v", name, n.copy.View().Head().Version, state)
			}
			f.Fatalf("after %v not yet: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// reaches waits until a node has what the store has, and checks all of it.
func (n *fleetNode) reaches(f *fleet, within time.Duration, hidden ...string) {
	n.f.Helper()
	n.f.until(within, fmt.Sprintf("%s has version %d", n.name, f.head.Version), func() bool { return n.copy.View().Head() == f.head })
	got := maps.Collect(n.copy.View().All())
	for key, e := range f.entries {
		mine, there := got[key]
		if may := (hiddenPrefixes(hidden)).Readable(key); there != may || may && !bytes.Equal(mine.Value, e.Value) {
			n.f.Fatalf("%s has %.40q (%v) at %q; it is %.40q", n.name, mine.Value, there, key, e.Value)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		n.f.Fatalf("%s has keys that the store has not: %q", n.name, slices.Collect(maps.Keys(got)))
	}
}

// snapshots checks how many a follower has taken.
func (n *fleetNode) snapshots(want uint64) {
	n.f.Helper()
	if got := n.follower.State().Snapshots; got != want {
		n.f.Fatalf("%s has taken %d snapshots, not %d", n.name, got, want)
	}
}

// fill commits some documents of 60 KiB.
func (n *fleetNode) fill(documents int) {
	n.f.Helper()
	for i := range documents {
		n.commit(fmt.Sprintf("big/%04d", i), strings.Repeat(string(rune('a'+i%26)), 60<<10))
	}
}

// TestMain sees to it that copies lie where a sync costs little, if there is such a place.
func TestMain(m *testing.M) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}
