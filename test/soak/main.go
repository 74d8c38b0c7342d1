// Command soak runs a node for a long time under everything at once: hits, misses and denials over UDP and TCP, with and without DO and CD, a cache that is full, and settings
// that are swapped each second. It fails on a wrong answer, on too many lost ones, on a crash, or if the resident set still grows at the end. Under the race detector (make soak)
// the arenas are on the heap, so that it sees them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/node"
	"github.com/ananas-edge/ananas/settings"
)

const (
	zones = 200
	hosts = 250 // in each: 50,000 names, some 10 MiB with their finished answers
	// absent is how many names without records are asked for. The lab remembers what it was asked; with these it knows them all after some minutes, so that what grows later is
	// not its.
	absent = 100_000
	cache  = "4MiB"
)

func main() {
	t := flag.Duration("t", 30*time.Minute, "how long")
	growth := flag.Bool("growth", true, "fail if the resident set grows in the last quarter")
	flag.Parse()
	if err := run(*t, *growth); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// world is a zone of all names. The address tells the name, so that an answer for another one shows.
func world() string {
	var b strings.Builder
	b.WriteString("[zone example servers=192.0.2.1,192.0.2.2]\n")
	for z := range zones {
		fmt.Fprintf(&b, "$GENERATE 1-%d n$.z%d A 10.0.%d.$\n", hosts, z, z)
	}
	return b.String()
}

// file writes the settings of step n to a file and reads them.
func file(folder string, n int) (*settings.File, error) {
	depth := 12 // answers depend on it, so a change of it is another generation of images
	if n/5%2 == 1 {
		depth = 11
	}
	text := fmt.Sprintf(`node:
  data: %s
  cache: %s
  listen: { dns: ["127.0.0.1:0"], admin: "" }
settings:
  recursion:
    root_hints: %s
    trust_anchors: none
    limits: { cname_depth: %d }
  limits: { queries_per_client: %d }
`, folder, cache, filepath.Join(folder, "root.hints"), depth, 1000+n%2)
	path := filepath.Join(folder, "soak.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return settings.Open(path)
}

// counts is what the clients saw.
type counts struct {
	asked, answered, lost, failed atomic.Int64

	mu    sync.Mutex
	wrong []string
}

// odd notes an answer that is wrong.
func (c *counts) odd(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) < 10 {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

func run(t time.Duration, growth bool) (err error) {
	folder, err := os.MkdirTemp("", "ananas-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	w, err := lab.ParseWorld(world())
	if err != nil {
		return err
	}
	internet, err := lab.New(lab.Config{Seed: 1, World: w})
	if err != nil {
		return err
	}
	network := internet.Network()
	defer func() { err = errors.Join(err, network.Close()) }()
	if err := os.WriteFile(filepath.Join(folder, "root.hints"), []byte(internet.RootHints()), 0o600); err != nil {
		return err
	}
	first, err := file(folder, 0)
	if err != nil {
		return err
	}
	step := 0
	n, err := node.Start(context.Background(), node.Options{
		File: first, Network: network, Version: "soak", Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Reread: func() (*settings.File, error) { step++; return file(folder, step) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()

	ctx, cancel := context.WithTimeout(context.Background(), t)
	defer cancel()
	var c counts
	var clients sync.WaitGroup
	server := n.Addrs()[0]
	for i := range 6 {
		clients.Go(func() { udpClient(ctx, server, rand.New(rand.NewPCG(uint64(i), 1)), &c) })
	}
	for i := range 2 {
		clients.Go(func() { tcpClient(ctx, server, rand.New(rand.NewPCG(uint64(i), 2)), &c) })
	}
	sizes, err := watch(ctx, n, &c, t)
	cancel()
	clients.Wait()
	if err != nil {
		return err
	}
	return judge(&c, sizes, growth)
}

// watch swaps the settings each second and says how it goes, until ctx ends. It returns the resident set, sampled.
func watch(ctx context.Context, n *node.Node, c *counts, t time.Duration) (sizes []int64, err error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began, every := time.Now(), max(1, int(t/time.Second/60))
	for s := 1; ; s++ {
		select {
		case <-ctx.Done():
			return sizes, nil
		case <-tick.C:
		}
		if _, err := n.Reload(ctx); err != nil && ctx.Err() == nil {
			return sizes, fmt.Errorf("reloading: %w", err)
		}
		if s%every != 0 {
			continue
		}
		size, err := resident()
		if err != nil {
			return sizes, err
		}
		sizes = append(sizes, size)
		fmt.Printf("%6s of %v: %d asked, %d answered, %d failed, %d lost, resident %d MiB\n", time.Since(began).Round(time.Second), t,
			c.asked.Load(), c.answered.Load(), c.failed.Load(), c.lost.Load(), size>>20)
	}
}

// judge tells what was not as it should be.
func judge(c *counts, sizes []int64, growth bool) error {
	var all []error
	for _, w := range c.wrong {
		all = append(all, errors.New(w))
	}
	if lost, asked := c.lost.Load()+c.failed.Load(), c.asked.Load(); asked == 0 || lost*1000 > asked {
		all = append(all, fmt.Errorf("%d of %d answers were lost or failed", lost, asked))
	}
	if n := len(sizes); growth && n >= 8 {
		third, last := most(sizes[n/2:n*3/4]), most(sizes[n*3/4:])
		if last > third+third/20 {
			all = append(all, fmt.Errorf("the resident set still grows: %d MiB in the third quarter, %d in the last", third>>20, last>>20))
		}
	}
	return errors.Join(all...)
}

func most(sizes []int64) (m int64) {
	for _, s := range sizes {
		m = max(m, s)
	}
	return m
}

// resident returns the octets of memory that the process has in use.
func resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var total, pages int64
	if _, err := fmt.Sscan(string(b), &total, &pages); err != nil {
		return 0, fmt.Errorf("reading /proc/self/statm: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}
