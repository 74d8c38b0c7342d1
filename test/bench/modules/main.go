//go:build linux

// Command modules measures what modules cost: processor time of a cached query with none, with one whose verdict is kept, and with one that is called each time and looks the name up in a list of a million; the same policy
// beside Unbound, Knot Resolver, PowerDNS Recursor, dnsdist and CoreDNS; and what honest queries notice of modules that mean harm. See test/bench/README.md.
//
//	go run ./test/bench/modules                                                         all of it, about 15 minutes
//	go run ./test/bench/modules -rounds 1 -t 500ms -only ananas,ananas-impure -parts policy   a first look
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/test/bench"
)

// options of the benchmark, beside those of the rig.
type options struct {
	rig     bench.Options
	parts   []string
	only    []string
	rounds  int
	long    time.Duration
	entries int
	names   int
	seed    uint64
	nice    int
	harms   []string
	check   bool
}

func main() {
	var o options
	list := func(w *[]string) func(string) error {
		return func(s string) error { *w = strings.Split(s, ","); return nil }
	}
	o.parts = []string{"policy", "hostile"}
	flag.Func("parts", "policy, hostile, with a comma between; empty: both", list(&o.parts))
	flag.Func("only", "servers, with commas between; empty: all", list(&o.only))
	flag.Func("harms", "harms, with commas between; empty: all", list(&o.harms))
	flag.IntVar(&o.rounds, "rounds", 5, "rounds: in each, every server is asked once in every way")
	flag.DurationVar(&o.long, "t", 2*time.Second, "length of a run")
	flag.IntVar(&o.entries, "entries", 1_000_000, "names of the list")
	flag.IntVar(&o.names, "names", 100_000, "questions, all different, with answers in the cache")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of names")
	flag.IntVar(&o.nice, "nice", -12, "niceness of servers and load, as sessions: below 0 before other work of the machine; 0: like all")
	flag.BoolVar(&o.check, "check", false, "fail if what is needed is not met")
	o.rig.Flags(flag.CommandLine)
	flag.Parse()
	if err := o.prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	bench.Run(o.rig, func(ctx context.Context, r *bench.Rig) error { return o.run(ctx, r) })
}

// prepare checks the options and says what the rig needs.
func (o *options) prepare() error {
	if o.rounds < 1 || o.long < 100*time.Millisecond || o.entries < 1000 || o.entries > 1<<20 || o.names < 1000 || o.names > 1<<20 {
		return fmt.Errorf("%d rounds of %v with %d names and a list of %d: must be 1 or more, of 100 ms or more, and 1,000 to %d", o.rounds, o.long, o.names, o.entries, 1<<20)
	}
	for _, p := range o.parts {
		if p != "policy" && p != "hostile" {
			return fmt.Errorf("reading -parts: there is no part %q", p)
		}
	}
	// Debian keeps servers where only root looks.
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	if cache, err := os.UserCacheDir(); err == nil {
		path += ":" + filepath.Join(cache, "ananas-peers") // where test/install-peers go puts what it builds
	}
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	o.rig.Packages = []string{"./test/bench/asker"}
	o.rig.Programs = []string{"nsd"}
	o.rig.Hint = "./test/install-peers cached (as root on Debian), or leave servers out with -only"
	for _, s := range servers("") {
		if o.measured(s) && s.args[0] != "{ananas}" && !s.extra && slices.Contains(o.parts, "policy") {
			o.rig.Programs = append(o.rig.Programs, s.args[0])
		}
	}
	return nil
}

func (o *options) measured(s *server) bool {
	return len(o.only) == 0 || slices.Contains(o.only, s.name)
}

func (o *options) run(ctx context.Context, r *bench.Rig) error {
	b := &bout{options: o, ctx: ctx, rig: r, file: r.Dir + "/questions", began: time.Now()}
	r.Say("servers on processor %d, load and NSD on %d", r.ResolverCPU, r.OtherCPU)
	var err error
	if b.set, err = writeQuestions(b.file, o.seed, o.entries, o.names); err != nil {
		return err
	}
	if err := b.writeLists(); err != nil {
		return err
	}
	if err := b.serveNames(); err != nil {
		return err
	}
	var needs bench.Needs
	if slices.Contains(o.parts, "policy") {
		if err := b.policy(); err != nil {
			return err
		}
		fmt.Print(b.tell(&needs))
	}
	if slices.Contains(o.parts, "hostile") {
		if err := b.harms(); err != nil {
			return err
		}
		fmt.Print(b.tellHarms(&needs))
	}
	fmt.Print(needs.Table())
	if o.check {
		return needs.Missed()
	}
	return nil
}

// policy measures all servers.
func (b *bout) policy() error {
	var running []*contestant
	defer func() {
		for _, c := range running {
			c.proc.Stop(5 * time.Second)
		}
	}()
	for i, s := range servers(b.rig.Dir) {
		if !b.measured(s) {
			continue
		}
		if _, err := exec.LookPath(s.args[0]); err != nil && s.extra {
			b.rig.Say("%s is left out: %v; ./test/install-peers go builds it, if it can be had", s.name, err)
			continue
		}
		c, err := b.start(s, i)
		if err == nil {
			err = b.fill(c)
		}
		if c != nil && err != nil {
			c.proc.Stop(5 * time.Second)
			if b.ctx.Err() != nil || c.base == "ananas" || c.name == "ananas" {
				return err
			}
			b.rig.Say("%s is left out: %v", s.name, err)
			continue
		}
		if err != nil {
			return err
		}
		running = append(running, c)
	}
	for round := range b.rounds {
		for _, w := range ways {
			first := round % max(1, len(running))
			for _, c := range slices.Concat(running[first:], running[:first]) { // another one first each round
				if !w.blocked && !c.own {
					continue
				}
				if err := b.measure(c, w, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
