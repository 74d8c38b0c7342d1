//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	ours "github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/cluster"
)

const (
	startTime   = 3 * time.Minute  // for all nodes to start
	startBeside = 4                // that start at one time: a start is half a second of a processor
	lateTime    = 30 * time.Second // for a commit to get everywhere
)

// forwards is what is applied: other servers for one zone.
const forwards = "settings: { forward: [{ zone: corp.example, servers: [192.0.%d.%d] }] }\n"

// nodes are the real nodes: processes of the program that users run.
type nodes struct {
	*cluster.Cluster
	root      *cluster.Node
	api       *client.Client
	followers []*cluster.Node
}

// fleet measures the way of a commit at a root to the tables of real nodes, and what these cost their root.
func fleet(ctx context.Context, b *bench) error {
	n, err := b.startRoot(ctx)
	if err != nil {
		return err
	}
	defer n.Close()
	if _, err := n.apply(ctx, 1); err != nil { // the first settings
		return err
	}
	alone, err := n.idle(ctx, b.idle, nil)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := n.startFollowers(ctx, b); err != nil {
		return err
	}
	say("%d nodes follow, after %v", len(n.followers), round(time.Since(began)))
	if err := n.settle(ctx); err != nil {
		return err
	}
	crowd, err := n.idle(ctx, b.idle, n.followers)
	if err != nil {
		return err
	}
	each := float64(len(n.followers))
	b.note("the root's processor time a second, for each follower, idle: beats and reports", fmt.Sprintf("%.0f us", (crowd.root-alone.root)/each*1e6))
	b.note("the root's memory, for each follower", fmt.Sprintf("%.0f KiB", float64(crowd.memory-alone.memory)/each/1024))
	b.note("the root without followers: processor time a second, etcd's; memory, etcd's", fmt.Sprintf("%.1f ms, %.1f ms; %d MiB, %d MiB", alone.root*1e3, alone.etcd*1e3, alone.memory>>20, alone.etcdMemory>>20))
	b.note("an idle follower: processor time a second; memory", fmt.Sprintf("%.1f ms; %d MiB", crowd.follower*1e3, crowd.followerMemory>>20))
	say("idle, a second: the root %.1f ms (alone %.1f), etcd %.1f (alone %.1f), a follower %.2f; memory: the root %d MiB (alone %d), a follower %d",
		crowd.root*1e3, alone.root*1e3, crowd.etcd*1e3, alone.etcd*1e3, crowd.follower*1e3, crowd.memory>>20, alone.memory>>20, crowd.followerMemory>>20)
	return n.commits(ctx, b, crowd)
}

// startRoot starts a root of one member.
func (b *bench) startRoot(ctx context.Context) (*nodes, error) {
	dir, err := b.folder("fleet")
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(b.binary)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w (make build makes it)", err)
	}
	n := &nodes{Cluster: &cluster.Cluster{Dir: dir, Binary: binary, Net: byte(64 + os.Getpid()%128)}}
	c := cluster.Config{Name: "root", Root: true}
	if b.profile {
		c.Extra = "  pprof: true\n"
	}
	if n.root, err = n.Add(c); err == nil {
		err = n.root.Start("")
	}
	if err == nil {
		err = within(ctx, startTime, n.root.Serving)
	}
	if err == nil {
		n.api, err = n.root.API()
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// startFollowers starts all that follow, a few at a time: each with a token of its own.
func (n *nodes) startFollowers(ctx context.Context, b *bench) error {
	for i := range b.followers {
		c := cluster.Config{Name: fmt.Sprintf("f%03d", i), Join: []*cluster.Node{n.root}}
		if b.profile {
			c.Extra = "  pprof: true\n"
		}
		f, err := n.Add(c)
		if err != nil {
			return err
		}
		n.followers = append(n.followers, f)
	}
	room := make(chan struct{}, startBeside)
	failed := make([]error, len(n.followers))
	var all sync.WaitGroup
	for i, f := range n.followers {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			failed[i] = within(ctx, startTime, func(ctx context.Context) error {
				t, err := n.api.NewToken(ctx, admin.NewToken{Name: f.Name, Author: "bench"})
				if err != nil {
					return err
				}
				if err := f.Start(t.Token); err != nil {
					return err
				}
				return f.Serving(ctx)
			})
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

func within(ctx context.Context, most time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return do(ctx)
}

// settle waits until the root has heard of all.
func (n *nodes) settle(ctx context.Context) error {
	return within(ctx, lateTime, func(ctx context.Context) error {
		for {
			r, err := n.api.Root(ctx)
			if err != nil {
				return err
			}
			up := 0
			for _, node := range r.Nodes {
				if node.Up && node.Version > 0 {
					up++
				}
			}
			if up == len(n.followers)+1 {
				return nil
			}
			if err := pause(ctx, 200*time.Millisecond); err != nil {
				return fmt.Errorf("%d of %d nodes are up: %w", up, len(n.followers)+1, err)
			}
		}
	})
}

// cost is what processes took of a second of processor time, and of memory in octets.
type cost struct {
	root, etcd, follower               float64
	memory, etcdMemory, followerMemory int64
}

// all is the processor time that all nodes take of a second.
func (c cost) all(followers int) float64 { return c.root + c.etcd + float64(followers)*c.follower }

// idle measures what nodes cost to which nothing is done. That of followers is the mean.
func (n *nodes) idle(ctx context.Context, idle time.Duration, followers []*cluster.Node) (c cost, err error) {
	if err := pause(ctx, 3*time.Second); err != nil { // what was started has ended
		return c, err
	}
	root := n.root.PID()
	etcd := children(root)
	var all []int
	for _, f := range followers {
		all = append(all, f.PID())
	}
	r, e, f, at := ours.CPUOf([]int{root}), ours.CPUOf(etcd), ours.CPUOf(all), time.Now()
	if err := pause(ctx, idle); err != nil {
		return c, err
	}
	took := time.Since(at).Seconds()
	c.root, c.etcd = (ours.CPUOf([]int{root})-r).Seconds()/took, (ours.CPUOf(etcd)-e).Seconds()/took
	c.memory = resident(root)
	for _, pid := range etcd {
		c.etcdMemory += resident(pid)
	}
	if len(all) > 0 {
		c.follower = (ours.CPUOf(all) - f).Seconds() / took / float64(len(all))
		for _, pid := range all {
			c.followerMemory += resident(pid) / int64(len(all))
		}
	}
	return c, nil
}

// made is a commit, and when.
type made struct {
	version  uint64
	recorded time.Time // what its record says: before etcd is asked
	answered time.Time // the API has said that it is done
}

// apply changes where the questions for one zone are sent, at all nodes at once.
func (n *nodes) apply(ctx context.Context, i int) (m made, err error) {
	done, err := n.api.Apply(ctx, admin.Apply{Files: []admin.SettingsFile{{Name: "forward.yaml", Text: fmt.Sprintf(forwards, 1+i/250%250, 1+i%250)}},
		Now: true, Reason: "a benchmark", Author: "bench"})
	if err != nil {
		return m, err
	}
	if done.Version == 0 {
		return m, errors.New("a commit has changed nothing")
	}
	return made{version: done.Version, answered: time.Now()}, nil
}

// commits makes commits, one a second, and measures until every follower says that it uses it.
func (n *nodes) commits(ctx context.Context, b *bench, idle cost) error {
	from := make([]int, len(n.followers))
	for i, f := range n.followers {
		from[i] = len(f.Lines())
	}
	fromRoot := len(n.root.Lines())
	var profiles sync.WaitGroup
	if b.profile {
		for _, node := range append([]*cluster.Node{n.root}, n.followers...) {
			profiles.Go(func() {
				if err := profile(ctx, node, filepath.Join(b.dir, node.Name+".pprof"), min(30, b.commits)); err != nil {
					say("no profile of %s: %v", node.Name, err)
				}
			})
		}
	}
	before, cpuBefore, at := ours.CPUOf([]int{n.root.PID()}), n.allCPU(), time.Now()
	var all []made
	chance := rand.New(rand.NewPCG(15, 16))
	for i := range b.commits {
		m, err := n.apply(ctx, i+10)
		if err != nil {
			return err
		}
		all = append(all, m)
		if err := pause(ctx, betweenCommits(chance)); err != nil {
			return err
		}
	}
	took := time.Since(at).Seconds()
	root, cpu := (ours.CPUOf([]int{n.root.PID()})-before).Seconds()/took, (n.allCPU() - cpuBefore).Seconds()
	profiles.Wait()
	if err := n.recorded(ctx, all); err != nil {
		return err
	}
	var toTable, sinceAnswer, toDecide, atRoot times
	for _, m := range all {
		toDecide.add(m.answered.Sub(m.recorded))
	}
	used := func(node *cluster.Node, from int, found func(m made, at time.Time)) error {
		return within(ctx, lateTime, func(ctx context.Context) error {
			for _, m := range all {
				l, err := node.Await(ctx, from, func(l cluster.Line) bool { return l.Msg == "settings in use" && uint64(l.Version) >= m.version })
				if err != nil {
					return err
				}
				found(m, l.Time)
			}
			return nil
		})
	}
	for i, f := range n.followers {
		err := used(f, from[i], func(m made, at time.Time) { toTable.add(at.Sub(m.recorded)); sinceAnswer.add(at.Sub(m.answered)) })
		if err != nil {
			return err
		}
	}
	if err := used(n.root, fromRoot, func(m made, at time.Time) { atRoot.add(at.Sub(m.recorded)) }); err != nil {
		return err
	}
	b.need(fmt.Sprintf("commit to swapped-in table, %d real followers: median / 99th / worst", len(n.followers)), "99th 250 ms", toTable.spread(), toTable.at(0.99) < 250*time.Millisecond)
	b.note("the same since the API has said that it is done", sinceAnswer.spread())
	b.note("until then, of the same; at the root's own table", toDecide.spread()+"; "+atRoot.spread())
	b.note("processor time of a commit, all nodes together, beside what they take idle", fmt.Sprintf("%.0f ms", 1e3*(cpu-idle.all(len(n.followers))*took)/float64(len(all))))
	say("commit to table %s; since the answer %s; to decide %s; the root's table %s; the root %.1f ms a second, all nodes %.0f ms a commit", toTable.spread(), sinceAnswer.spread(), toDecide.spread(), atRoot.spread(), root*1e3, 1e3*cpu/float64(len(all)))
	return nil
}

// allCPU is the processor time of all nodes so far.
func (n *nodes) allCPU() time.Duration {
	pids := append(children(n.root.PID()), n.root.PID())
	for _, f := range n.followers {
		pids = append(pids, f.PID())
	}
	return ours.CPUOf(pids)
}

// recorded looks up when the commits were made.
func (n *nodes) recorded(ctx context.Context, all []made) error {
	at := make(map[uint64]time.Time)
	before := uint64(0)
	for at[all[0].version].IsZero() {
		h, err := n.api.History(ctx, admin.HistoryQuery{Before: before, Limit: 100})
		if err != nil {
			return err
		}
		if len(h.Commits) == 0 {
			return errors.New("the history does not reach back to the first commit")
		}
		for _, c := range h.Commits {
			at[c.Version], before = c.Time, c.Version
		}
	}
	for i := range all {
		if all[i].recorded = at[all[i].version]; all[i].recorded.IsZero() {
			return fmt.Errorf("version %d is not in the history", all[i].version)
		}
	}
	return nil
}

// profile takes a processor profile of a node.
func profile(ctx context.Context, n *cluster.Node, file string, seconds int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:8053/debug/pprof/profile?seconds=%d", n.Address, seconds), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
