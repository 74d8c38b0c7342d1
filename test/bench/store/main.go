//go:build linux

// Command store measures the store: reads from the local copy, the way of a commit to a hundred real nodes and to ten thousand simulated ones, how nodes come and come back, and
// how fast the root decides. It ends with a table of what is needed and what was measured. See test/bench/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/store/etcd"
	ours "github.com/ananas-edge/ananas/test/bench"
)

// options are what the program is started with.
type options struct {
	only   string
	dir    string
	binary string
	check  bool

	keys  int
	reads time.Duration // of one round

	followers int
	commits   int
	idle      time.Duration // in which it is measured what they cost to which nothing is done
	profile   bool

	tiers  string
	leaves int
	waves  int    // commits to the simulated fleet
	disks  string // of the relays

	rounds int           // of a cold follower
	commit time.Duration // of the committer
}

func (o *options) flags(f *flag.FlagSet) {
	f.StringVar(&o.only, "only", "reads,fleet,sim,cold,commit", "parts to run, with commas between")
	f.StringVar(&o.dir, "dir", "", "folder for all data; empty: a new one in the system's folder for such, removed at the end")
	f.StringVar(&o.binary, "ananas", "bin/ananas", "program that the real nodes run")
	f.BoolVar(&o.check, "check", false, "fail if something that is needed is not met")
	f.IntVar(&o.keys, "keys", 1_000_000, "keys of the copy that is read, and that a cold follower takes")
	f.DurationVar(&o.reads, "reads", 2*time.Second, "length of a round of reads")
	f.IntVar(&o.followers, "followers", 100, "real nodes that follow the root")
	f.IntVar(&o.commits, "commits", 100, "commits to the real nodes, one a second")
	f.DurationVar(&o.idle, "idle", 10*time.Second, "time in which the real nodes are measured while nothing is committed")
	f.BoolVar(&o.profile, "profile", false, "leave processor profiles of this program and of the real nodes in -dir")
	f.StringVar(&o.tiers, "relays", "10,10", "relays of the simulated fleet: below the root, and below each of those")
	f.IntVar(&o.leaves, "leaves", 100, "simulated followers below each relay of the second tier")
	f.IntVar(&o.waves, "sim-commits", 40, "commits to the simulated fleet, one a second")
	f.StringVar(&o.disks, "relay-dir", "/dev/shm", "folder for the copies of the simulated fleet's relays, of which each has a disk of its own elsewhere; empty: that of all else")
	f.IntVar(&o.rounds, "rounds", 2, "followers that begin with nothing, one after another")
	f.DurationVar(&o.commit, "commit", 15*time.Second, "length of the run of the committer")
}

// part is one measurement.
type part struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var parts = []part{{"reads", reads}, {"fleet", fleet}, {"sim", simulate}, {"cold", cold}, {"commit", commits}}

// bench is a run of the program.
type bench struct {
	options
	results []result
	filled  *filled // the copy with all keys, made once
}

// roleVariable makes this program what one of its parts needs as a process of its own.
const roleVariable = "ANANAS_BENCH_ROLE"

func main() {
	switch os.Getenv(roleVariable) {
	case "etcd":
		if err := etcd.RunMember(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	case "follower":
		if err := followRemote(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "follower:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	o.flags(flag.CommandLine)
	flag.Parse()
	if code, err := ours.EnterNetwork(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	} else if code >= 0 {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run measures; the table goes to out.
func run(ctx context.Context, o options, out io.Writer) error {
	var chosen []part
	for _, name := range strings.Split(o.only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("there is no part %q", name)
		}
		chosen = append(chosen, parts[i])
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "ananas-bench-store-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	b := &bench{options: o}
	defer b.close()
	disk, err := fdatasync(o.dir, syncProbe)
	if err != nil {
		return err
	}
	say("%s", machine())
	say("the disk of %s: fdatasync of %d KiB takes %v (median; 99th %v)", filepath.Dir(o.dir), syncProbe>>10, round(disk.at(0.5)), round(disk.at(0.99)))
	began := time.Now()
	for _, p := range chosen {
		at, before := time.Now(), busyTime()
		if err := b.profiled(p.name, func() error { return p.run(ctx, b) }); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		took := time.Since(at)
		say("%s took %v; load %s, processors busy %.0f %%", p.name, took.Round(time.Second), loadAverage(), 100*(busyTime()-before).Seconds()/took.Seconds()/float64(processors()))
	}
	say("all took %v", time.Since(began).Round(time.Second))
	fmt.Fprint(out, table(b.results))
	if missed := b.missed(); o.check && missed != "" {
		return errors.New("not met: " + missed)
	}
	return nil
}

func (b *bench) close() {
	if b.filled != nil {
		b.filled.close()
	}
}

// profiled does something, and leaves a processor profile of this program where that is wanted.
func (b *bench) profiled(name string, do func() error) error {
	if !b.profile {
		return do()
	}
	f, err := os.Create(filepath.Join(b.dir, name+".pprof"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return do()
}

// folder makes an empty folder.
func (b *bench) folder(name string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}
