//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/feed"
	"github.com/ananas-edge/ananas/store/replica"
	ours "github.com/ananas-edge/ananas/test/bench"
)

// tree is a fleet in this process: a root, which is real, relays with copies on disk, and followers below them whose copies are in memory.
type tree struct {
	b       *bench
	ctx     context.Context
	began   time.Time
	config  *tls.Config
	lineage string
	lost    *lost
	work    sync.WaitGroup

	sources []*feed.Source
	copies  []*replica.Replica
	relays  []*feed.Source // of the last tier
	leaves  []*leaf
}

// simulate measures the way of a commit through two tiers of relays to thousands of followers.
func simulate(ctx context.Context, b *bench) error {
	dir, err := b.folder("sim")
	if err != nil {
		return err
	}
	r, err := openRoot(ctx, dir+"/root")
	if err != nil {
		return err
	}
	defer r.close()
	following, cancel := context.WithCancel(ctx)
	certificate, err := newCertificate()
	if err != nil {
		cancel()
		return err
	}
	t := &tree{b: b, ctx: following, began: time.Now(), lineage: r.copy.Head().Lineage.String(), lost: new(lost)}
	if t.config, err = configOf(certificate); err != nil {
		cancel()
		return err
	}
	defer func() {
		cancel()
		for _, s := range t.sources {
			s.Close()
		}
		t.work.Wait()
		for _, c := range t.copies {
			c.Close()
		}
	}()
	registry := t.registry()
	source := feed.NewSource(feed.SourceConfig{Name: "root", Copy: r.copy, Gate: open{}, Reports: heard{registry, "root"}, Statement: func() []byte { return nil }})
	t.sources = append(t.sources, source)
	defer beats(following, source, r.copy)()
	if b.disks != "" {
		if dir, err = os.MkdirTemp(b.disks, "ananas-bench-store-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a node has 4 MiB before it collects; here are ten thousand
	if err := t.plant(source, dir); err != nil {
		return err
	}
	total := len(t.copies) + len(t.leaves)
	if err := t.settle(func() bool { return len(registry.Nodes()) >= total }, "all are heard of at the root"); err != nil {
		return err
	}
	say("%d relays and %d followers below them are heard of at the root, after %v", len(t.copies), len(t.leaves), time.Since(t.began).Round(time.Second))
	before := ours.OwnTime()
	const idle = 5 * time.Second
	if err := pause(ctx, idle); err != nil {
		return err
	}
	busy := (ours.OwnTime() - before).Seconds() / idle.Seconds()
	say("beats and reports of all of them take %.0f %% of a processor, %.0f us a second for each follower", 100*busy, 1e6*busy/float64(len(t.leaves)))

	chance := rand.New(rand.NewPCG(13, 14))
	made := make(map[store.Version]time.Time)
	var decided times
	for i := range b.waves {
		rec, err := r.commit(ctx, []store.Edit{{Key: benchKey(i), Value: benchValue(chance)}})
		if err != nil {
			return err
		}
		made[rec.Version] = rec.Time
		decided.add(time.Since(rec.Time))
		if err := pause(ctx, betweenCommits(chance)); err != nil {
			return err
		}
	}
	last := r.copy.Head()
	if err := t.settle(func() bool { return t.behind(last) == 0 }, "all have the last commit"); err != nil {
		return err
	}
	all := t.arrived(made)
	if err := t.lost.first(); err != nil {
		say("connections or copies were lost on the way %d times, first: %v", t.lost.count(), err)
	}
	if n := len(all.all); n != b.waves*len(t.leaves) {
		return fmt.Errorf("%d times a commit was applied, in place of %d", n, b.waves*len(t.leaves))
	}
	b.need(fmt.Sprintf("commit to applied, %d simulated followers, two tiers of %d relays: median / 99th / worst", len(t.leaves), len(t.copies)), "99th 1 s", all.spread(), all.at(0.99) < time.Second)
	b.note("of it until etcd had decided", decided.spread())
	b.note("processor time of beats and reports, a second and simulated follower, all three tiers of it", fmt.Sprintf("%.0f us", 1e6*busy/float64(len(t.leaves))))
	say("commit to applied %s, of it to decide %s", all.spread(), decided.spread())
	return nil
}

// settle waits until is holds.
func (t *tree) settle(is func() bool, what string) error {
	for until := time.Now().Add(2 * time.Minute); !is(); {
		if err := pause(t.ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("waited in vain until %s", what)
		}
	}
	return nil
}

func (t *tree) boot() time.Duration { return time.Since(t.began) }

func (t *tree) registry() *vitals.Registry { return vitals.NewRegistry(t.boot) }

// plant starts all tiers, the upper ones first.
func (t *tree) plant(root *feed.Source, dir string) error {
	above := []string{}
	address, err := listen(root, t.config)
	if err != nil {
		return err
	}
	above = append(above, address)
	for tier, text := range strings.Split(t.b.tiers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return fmt.Errorf("-relays: %q is no number of relays", text)
		}
		var here []string
		t.relays = nil
		for i := range n * len(above) {
			name := fmt.Sprintf("relay%d-%03d", tier+1, i)
			s, err := t.relay(name, dir+"/"+name, above[i%len(above)])
			if err != nil {
				return err
			}
			address, err := listen(s, t.config)
			if err != nil {
				return err
			}
			here, t.relays = append(here, address), append(t.relays, s)
		}
		above = here
		if err := t.settle(func() bool {
			for _, c := range t.copies {
				if c.Head().Lineage == (store.Lineage{}) {
					return false
				}
			}
			return true
		}, "the relays have a copy"); err != nil {
			return err
		}
	}
	head := t.copies[0].Head()
	for i := range t.b.leaves * len(t.relays) {
		l := &leaf{head: head, entries: map[string]store.Entry{}}
		t.leaves = append(t.leaves, l)
		t.follow(fmt.Sprintf("leaf%05d", i), l, t.relays[i%len(t.relays)])
		if i%200 == 0 { // so that their seconds do not begin all at once
			if err := pause(t.ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// relay starts a node that follows one address over TLS, and that others follow.
func (t *tree) relay(name, dir, above string) (*feed.Source, error) {
	c, err := replica.Open(dir, replica.Options{})
	if err != nil {
		return nil, err
	}
	t.copies = append(t.copies, c)
	registry := t.registry()
	var s *feed.Source
	var f *feed.Follower
	config := t.follower(name, c, registry)
	config.Sources = []string{above}
	config.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		d := tls.Dialer{Config: t.config}
		return d.DialContext(ctx, "tcp", address)
	}
	config.Beat = func(b feed.Beat) { s.Beat(b) }
	f = feed.NewFollower(config)
	s = feed.NewSource(feed.SourceConfig{Name: name, Copy: c, Gate: open{}, Reports: heard{registry, name}, Statement: func() []byte { return nil }, Path: f.Path})
	t.sources = append(t.sources, s)
	t.work.Go(func() { f.Run(t.ctx) })
	return s, nil
}

// follow starts a follower of a relay, over a connection in memory.
func (t *tree) follow(name string, l *leaf, of *feed.Source) {
	config := t.follower(name, l, t.registry())
	config.Sources = []string{"memory"}
	config.Dial = func(context.Context, string) (net.Conn, error) {
		here, there := net.Pipe()
		of.Take(named{there, name})
		return here, nil
	}
	f := feed.NewFollower(config)
	t.work.Go(func() { f.Run(t.ctx) })
}

func (t *tree) follower(name string, copy feed.Target, g *vitals.Registry) feed.FollowerConfig {
	seed := sha256.Sum256([]byte(name))
	chance := rand.New(rand.NewChaCha8(seed))
	return feed.FollowerConfig{
		Name: name, Copy: copy, Reports: told{heard{g, name}, copy, t.lineage},
		Lineage: func(store.Lineage, []byte) error { return nil }, Access: everything{}.Fingerprint, Accessed: func([32]byte) error { return nil },
		Boot: t.boot, Random: chance.Uint64, Log: slog.New(t.lost),
	}
}

// behind counts the followers that have not come to a head.
func (t *tree) behind(head store.Head) (n int) {
	for _, l := range t.leaves {
		if l.Head() != head {
			n++
		}
	}
	return n
}

// arrived returns how long each commit took to each follower.
func (t *tree) arrived(made map[store.Version]time.Time) (all times) {
	for _, l := range t.leaves {
		l.mu.Lock()
		for _, a := range l.applied {
			if at, ok := made[a.version]; ok {
				all.add(a.at.Sub(at))
			}
		}
		l.mu.Unlock()
	}
	return all
}

// leaf is a copy in memory. It checks all that one on disk checks before it believes a record.
type leaf struct {
	mu      sync.Mutex
	head    store.Head
	entries map[string]store.Entry
	applied []applied
}

type applied struct {
	version store.Version
	at      time.Time
}

// Head is that of feed.Target.
func (l *leaf) Head() store.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Apply is that of feed.Target.
func (l *leaf) Apply(_ context.Context, records []*store.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		next, err := l.head.Next(r)
		if err != nil {
			return err
		}
		for i := range r.Changes {
			c := &r.Changes[i]
			was, there := l.entries[c.Key]
			var digest store.Digest
			if there {
				digest = store.DigestOf(c.Key, was)
			}
			if digest != c.Old {
				return &store.DivergenceError{Have: l.head.Version, Got: r.Version, Why: "an entry is not what it was made for"}
			}
			if c.Deletes() {
				delete(l.entries, c.Key)
			} else {
				l.entries[strings.Clone(c.Key)] = store.Entry{Salt: c.Entry.Salt, Value: append([]byte(nil), c.Entry.Value...)}
			}
		}
		l.head = next
		l.applied = append(l.applied, applied{r.Version, time.Now()})
	}
	return nil
}

// BeginSnapshot is that of feed.Target. None is ever needed: a leaf that has strayed fails the benchmark.
func (l *leaf) BeginSnapshot(store.Head) (*replica.Incoming, error) {
	return nil, errors.New("a simulated follower has lost its way")
}

// lost takes the log of all followers, which warn where they lose their source or their way.
type lost struct {
	slog.Handler // of nobody: all that is asked of it is below
	mu           sync.Mutex
	n            int
	why          error
}

// Enabled is that of slog.Handler.
func (l *lost) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle is that of slog.Handler.
func (l *lost) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && l.why == nil {
			l.why = err
		}
		return true
	})
	return nil
}

func (l *lost) first() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

func (l *lost) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// upstream is who is reported to: who is followed.
const upstream = "up"

// heard is where reports of others come together.
type heard struct {
	registry *vitals.Registry
	name     string
}

// Own is that of feed.Reports.
func (h heard) Own() []byte { return h.registry.Report(upstream) }

// Merge is that of feed.Reports.
func (h heard) Merge(_ string, body []byte) {
	if r, err := vitals.Parse(body); err == nil {
		h.registry.Take(r, h.name, true)
	}
}

// told are the reports of a node that says how it is, too.
type told struct {
	heard
	copy    feed.Target
	lineage string
}

// Own is that of feed.Reports.
func (t told) Own() []byte {
	head := t.copy.Head()
	n := vitals.Node{NodeState: rollout.NodeState{Name: t.name, Site: t.name[:5], Lineage: t.lineage, Version: uint64(head.Version)}, Copy: uint64(head.Version), Release: "bench", Role: "follower"}
	t.registry.Tell(n, rollout.Sum{})
	return t.registry.Report(upstream)
}
