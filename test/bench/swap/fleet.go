//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/test/cluster"
	"github.com/ananas-edge/ananas/wasm"
)

// fleet is a root and who follows it.
type fleet struct {
	*cluster.Cluster
	options *options
	guest   []byte
	root    *cluster.Node
	api     *client.Client
	nodes   []*cluster.Node // the root first
}

const startTime = time.Minute // for all nodes to start, on a machine with other work

// startFleet starts all nodes, and gives them their first settings.
func startFleet(ctx context.Context, o *options) (_ *fleet, err error) {
	f := &fleet{Cluster: &cluster.Cluster{Dir: o.dir, Binary: o.binary, Net: 64}, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if f.guest, err = os.ReadFile(o.guest); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	start := func(c cluster.Config, token string) error {
		n, err := f.Add(c)
		if err == nil {
			err = n.Start(token)
		}
		if err == nil {
			f.nodes = append(f.nodes, n)
			err = n.Serving(ctx)
		}
		return err
	}
	if err = start(cluster.Config{Name: "root", Root: true}, ""); err != nil {
		return nil, err
	}
	f.root = f.nodes[0]
	if f.api, err = f.root.API(); err != nil {
		return nil, err
	}
	// Nobody answers there: every name is the module's.
	first := "settings:\n  recursion: { trust_anchors: none }\n  forward: [{ zone: \".\", servers: [\"127.0.0.9:9\"] }]\n"
	if _, err = f.api.Apply(ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "first.yaml", Text: first}}, Author: "bench", Reason: "first", Now: true}); err != nil {
		return nil, err
	}
	for i := range o.followers {
		name := fmt.Sprintf("f%d", i+1)
		t, err := f.api.NewToken(ctx, admin.NewToken{Name: name, Author: "bench"})
		if err != nil {
			return nil, err
		}
		if err := start(cluster.Config{Name: name, Join: []*cluster.Node{f.root}}, t.Token); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// mark stands before the address in the guest's data.
const mark = "ADDRESS:"

// addressOf is what version v of the module answers with.
func addressOf(v int) net.IP { return net.IPv4(192, 0, 2, byte(v)).To4() }

// module is version v.
func (f *fleet) module(v int) ([]byte, error) {
	at := bytes.Index(f.guest, []byte(mark))
	if at < 0 || at+len(mark)+4 > len(f.guest) {
		return nil, fmt.Errorf("%q has no address behind %q", f.options.guest, mark)
	}
	b := bytes.Clone(f.guest)
	copy(b[at+len(mark):], addressOf(v))
	manifest := fmt.Sprintf("abi: 1\nname: told\nversion: '%d'\nphases: [query]\npure: %v\n", v, !f.options.impure)
	return wasm.Attach(b, []byte(manifest))
}

// push does what a person does, and waits until all nodes answer by it if it is the first.
func (f *fleet) push(ctx context.Context, v int) error {
	b, err := f.module(v)
	if err != nil {
		return err
	}
	file := filepath.Join(f.options.dir, "told.wasm")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, f.options.binary, "module", "push", file, "--mode", "closed", "--yes", "--now", "--reason", fmt.Sprintf("version %d", v), "--node", f.root.Address+":8053", "--data", f.root.Data)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pushing version %d: %w: %s", v, err, out)
	}
	if v > 1 {
		return nil
	}
	for _, n := range f.nodes {
		if err := await(ctx, n, v); err != nil {
			return err
		}
	}
	return nil
}

// await waits until a node answers by version v.
func await(ctx context.Context, n *cluster.Node, v int) error {
	w := watch{expected: v, newest: v}
	c, err := net.Dial("udp", n.Address+":5335")
	if err != nil {
		return err
	}
	defer c.Close()
	for until := time.Now().Add(startTime); time.Now().Before(until); {
		if w.ask(c, 0, 0) == v {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not answer by version %d: %s\n%s", n.Name, v, w.example, n.Tail(20))
}

// swap is one push, and when what had happened.
type swap struct {
	began, committed time.Time
	verdict          time.Time // when the last follower answered by it, and none by the version before any more
	root             time.Time // the same of the root
}

func (s swap) String() string {
	return fmt.Sprintf("%v after the commit, %v after the push began", s.verdict.Sub(s.committed).Round(time.Millisecond), s.verdict.Sub(s.began).Round(time.Millisecond))
}

const swapLimit = 30 * time.Second // for a new verdict to be everywhere

// swap pushes version v, and waits for its verdict.
func (f *fleet) swap(ctx context.Context, watches []*watch, v int) (s swap, err error) {
	for _, w := range watches {
		w.expect(v)
	}
	s.began = time.Now()
	if err := f.push(ctx, v); err != nil {
		return s, err
	}
	for k, w := range watches {
		if err := w.await(ctx, v, swapLimit); err != nil {
			return s, fmt.Errorf("%s after version %d was pushed: %w", f.nodes[k].Name, v, err)
		}
	}
	if err := pause(ctx, betweenPushes/2); err != nil { // for answers of the version before that come late
		return s, err
	}
	for k, w := range watches {
		at := w.swapped(v)
		if k == 0 {
			s.root = at
		} else if at.After(s.verdict) {
			s.verdict = at
		}
	}
	h, err := f.api.History(ctx, admin.HistoryQuery{Key: "modules/told", Limit: 1, Settings: true})
	if err != nil {
		return s, err
	}
	if len(h.Commits) == 0 || h.Commits[0].Reason != fmt.Sprintf("version %d", v) {
		return s, fmt.Errorf("the history does not know the commit of version %d: %+v", v, h.Commits)
	}
	s.committed = h.Commits[0].Time
	return s, nil
}

// pause waits, or returns why not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
