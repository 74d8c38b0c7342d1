package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/test/cluster"
)

// chaosTime is how long faults are made. A driver of rollouts begins none in its first 10 s, so that there is as much again.
const chaosTime = 20 * time.Second

// convergeTime is how long nodes may take, after the last fault has ended, until all have the root's last version: a silent source is left after 10 s, and a node tries again
// after 5 to 10 s.
const convergeTime = 60 * time.Second

// member is a node of a run.
type member struct {
	*cluster.Node
	index  int
	links  []*link
	offset string // file of its clock's offset
	api    *client.Client

	busy sync.Mutex // held by a fault of it, so that two do not meet
	seen observed
}

// run is one run with processes.
type run struct {
	seed    uint64
	random  *rand.Rand // of the schedule
	dir     string
	c       *cluster.Cluster
	members []*member
	root    *member
	between time.Duration // two writes

	begun     chan struct{} // a write begins; nobody has to listen
	written   int
	writes    []write
	rollouts  []opened
	forgotten uint64         // versions that no node was seen with: those of the start
	paused    int            // rollouts at the end, which were promoted
	ended     map[string]int // rollouts, by how

	mu     sync.Mutex
	faults []string // in words
	wrong  []error  // what was found to be wrong
	full   int      // how often a full node was asked and answered
}

func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (r *run) bad(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) < 20 {
		r.wrong = append(r.wrong, fmt.Errorf(time.Now().Format("15:04:05.000 ")+format, args...))
	}
}

// runInside makes the run of a seed.
func runInside(in inside) error {
	if err := prepare(); err != nil {
		return err
	}
	r := &run{seed: in.Seed, random: rand.New(rand.NewPCG(in.Seed, 5)), dir: in.Dir, begun: make(chan struct{}), ended: make(map[string]int), c: &cluster.Cluster{Dir: in.Dir, Binary: in.Binary}}
	r.between = time.Duration(r.random.IntN(60)) * time.Millisecond
	began := time.Now()
	err := r.whole()
	if err != nil {
		r.noteEtcd()
	}
	if stop := r.c.Close(); stop != nil {
		err = errors.Join(err, stop)
	}
	if err != nil {
		for _, f := range r.faults {
			fmt.Println("   ", f)
		}
		for _, m := range r.members {
			lines := m.Lines()
			if !in.Verbose { // what there is hundreds of says nothing
				lines = slices.DeleteFunc(lines, func(l cluster.Line) bool { return l.Msg == "settings in use" || l.Msg == "admin request" })
				lines = lines[max(0, len(lines)-40):]
			}
			fmt.Printf("  %s:\n", m.Name)
			for _, l := range lines {
				fmt.Println("   ", l.Time.Format("15:04:05.000"), l.Level, l.Msg, l.Error)
			}
		}
		return err
	}
	var told [3]int
	for _, w := range r.writes {
		told[w.outcome]++
	}
	fmt.Printf("seed %d: ok in %v: %d faults; writes: %d done, %d not done, %d unknown; rollouts: %d live, %d withdrawn, %d paused at the end; full nodes answered %d times; %d versions are in no history\n",
		in.Seed, time.Since(began).Round(time.Second), len(r.faults)-1, told[done], told[notDone], told[unknown], r.ended["live"], r.ended["withdrawn"], r.paused, r.full, r.forgotten)
	return nil
}

// whole is the run: start, faults, end, checks.
func (r *run) whole() error {
	ctx := context.Background()
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	chaos, end := context.WithTimeout(ctx, chaosTime)
	defer end()
	var all sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	defer stop()
	for _, m := range r.members {
		m.seen.pairs, m.seen.commits = make(map[uint64]int), make(map[uint64]admin.Commit)
		all.Go(func() { r.watch(watching, m) })
		all.Go(func() { r.collect(watching, m) })
	}
	var writers sync.WaitGroup
	writers.Go(func() { r.commit(chaos) })
	writers.Go(func() { r.roll(chaos) })
	r.chaos(chaos)
	writers.Wait()
	last, err := r.converge(ctx)
	stop()
	all.Wait()
	if err == nil {
		err = r.check(ctx, last)
	}
	return errors.Join(append([]error{err}, r.wrong...)...)
}

// start makes a root, a relay, two followers of the relay, and one of the root.
func (r *run) start(ctx context.Context) error {
	add := func(name string, o cluster.Config, disk string, sources ...*member) (*member, error) {
		m := &member{index: len(r.members), offset: filepath.Join(r.dir, name+".offset")}
		var err error
		if o.Address, err = plug(m.index, name, filepath.Join(r.dir, name), disk); err != nil {
			return nil, err
		}
		for _, s := range sources {
			k, err := newLink(name+" to "+s.Name, s.Address+":8054")
			if err != nil {
				return nil, err
			}
			m.links = append(m.links, k)
			o.JoinAt = append(o.JoinAt, k.listen.Addr().String())
		}
		if err := os.WriteFile(m.offset, []byte("0\n"), 0o600); err != nil {
			return nil, err
		}
		o.Name, o.Extra, o.Wrap = name, "  testing: { offset_file: "+m.offset+" }\n", []string{"ip", "netns", "exec", name}
		if m.Node, err = r.c.Add(o); err != nil {
			return nil, err
		}
		token := ""
		if r.root != nil {
			t, err := r.root.api.NewToken(ctx, admin.NewToken{})
			if err != nil {
				return nil, err
			}
			token = t.Token
		}
		if err := m.Start(token); err != nil {
			return nil, err
		}
		r.members = append(r.members, m)
		return m, r.reachable(ctx, m)
	}
	var err error
	if r.root, err = add("root1", cluster.Config{Root: true}, "512m"); err != nil {
		return err
	}
	if err := serveNames(); err != nil {
		return err
	}
	if err := r.settles(ctx, func() error {
		_, err := r.root.api.Apply(ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "first", Text: firstSettings}}, Author: "chaos"})
		return err
	}); err != nil {
		return fmt.Errorf("the first settings: %w", err)
	}
	if w := commitPair(ctx, r.root.api, 0); w.err != nil {
		return fmt.Errorf("the first pair: %w", w.err)
	}
	relay, err := add("relay1", cluster.Config{Relay: true}, "64m", r.root)
	if err != nil {
		return err
	}
	if err := r.settles(ctx, func() error { return r.reached(ctx, relay, 1) }); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		sources []*member
	}{{"f1", []*member{relay, r.root}}, {"f2", []*member{relay, r.root}}, {"f3", []*member{r.root}}} {
		m, err := add(f.name, cluster.Config{}, "64m", f.sources...)
		if err != nil {
			return err
		}
		if err := r.settles(ctx, func() error { return r.reached(ctx, m, 1) }); err != nil {
			return err
		}
	}
	return nil
}

// reachable waits for a node's API, and makes its client.
func (r *run) reachable(ctx context.Context, m *member) error {
	return r.settles(ctx, func() error {
		if m.PID() == 0 {
			return errors.New("it has ended")
		}
		token, err := admin.ReadToken(m.Data)
		if err != nil {
			return err
		}
		if m.api == nil {
			if m.api, err = client.New(client.Options{Node: m.Address + ":8053", Token: token, Getenv: func(string) string { return "" }}); err != nil {
				return err
			}
		}
		_, err = m.api.Status(ctx)
		return err
	})
}

// settles repeats what may take a while.
func (r *run) settles(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		r.pause(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("not within %v: %w", convergeTime, err)
		}
	}
}

// reached tells whether a node has a version in use, or a later one.
func (r *run) reached(ctx context.Context, m *member, version uint64) error {
	s, err := m.api.Status(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	if s.Store.Version < version || s.Store.Applied < version {
		return fmt.Errorf("%s has version %d, and %d in use; want %d; it says %q", m.Name, s.Store.Version, s.Store.Applied, version, s.Store.Error)
	}
	return nil
}

// answersDNS asks a node what it answers by itself: its name.
func answersDNS(m *member) error {
	conn, err := net.DialTimeout("udp", m.Address+":5335", time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	// id.server CH TXT, RFC 4892.
	question := "\x5a\x5a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02id\x06server\x00\x00\x10\x00\x03"
	for range 3 {
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err = conn.Write([]byte(question)); err != nil {
			continue
		}
		b := make([]byte, 1500)
		var n int
		if n, err = conn.Read(b); err == nil {
			if !strings.HasPrefix(string(b[:n]), question[:2]) || n < 12 || b[7] == 0 && b[3]&15 != 5 {
				return fmt.Errorf("it answers %x", b[:n])
			}
			return nil
		}
	}
	return err
}
