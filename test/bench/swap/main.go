//go:build linux

// Command swap measures how long it takes from ananas module push --now, and from its commit, until a root and three followers answer with the verdict of the new version of a module, while all of them are asked; and
// whether a query is lost meanwhile, or answered by neither version. See test/bench/README.md.
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
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/test/bench"
)

// options are what the program is started with.
type options struct {
	binary    string
	guest     string
	dir       string
	followers int
	pushes    int
	rate      int
	impure    bool
	check     bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "ananas", "bin/ananas", "program that the nodes run")
	flag.StringVar(&o.guest, "guest", "nameserver/plugin/testdata/guests/told.wasm", "module that answers with the address in its data")
	flag.StringVar(&o.dir, "dir", "", "folder for all data; empty: a new one in the system's folder for such, removed at the end")
	flag.IntVar(&o.followers, "followers", 3, "nodes that follow the root")
	flag.IntVar(&o.pushes, "pushes", 20, "new versions that are pushed, up to 200")
	flag.IntVar(&o.rate, "rate", 1000, "queries a second to each node")
	flag.BoolVar(&o.impure, "impure", false, "the module is called for each query, and its verdict not kept with the answer")
	flag.BoolVar(&o.check, "check", false, "fail if something that is needed is not met")
	flag.Parse()
	if code, err := bench.EnterNetwork(); err != nil {
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

const needed = time.Second // from the commit, and so with what followers compile, to the verdict on all of them

func run(ctx context.Context, o options, out io.Writer) (err error) {
	if o.pushes < 1 || o.pushes > 200 || o.followers < 1 || o.rate < 1 {
		return errors.New("reading the options: 1 to 200 pushes to 1 follower or more, asked once a second or more")
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "ananas-bench-swap-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	f, err := startFleet(ctx, &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.push(ctx, 1); err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	watches, asked := f.ask(asking, o.rate)
	var all []swap
	for v := 2; v <= o.pushes+1; v++ {
		s, err := f.swap(ctx, watches, v)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "push %2d: %v\n", v-1, s)
		all = append(all, s)
		if err := pause(ctx, betweenPushes); err != nil {
			return err
		}
	}
	stop()
	if err := asked(); err != nil {
		return err
	}
	return tell(&o, out, all, watches)
}

// betweenPushes is how long all nodes are watched after each: that none says what the version before said.
const betweenPushes = 500 * time.Millisecond

// tell writes the table.
func tell(o *options, out io.Writer, all []swap, watches []*watch) error {
	column := func(of func(swap) time.Duration) times {
		var t times
		for _, s := range all {
			t = append(t, of(s))
		}
		return t
	}
	var n bench.Needs
	sinceCommit := column(func(s swap) time.Duration { return s.verdict.Sub(s.committed) })
	n.Need(fmt.Sprintf("commit to new verdict on all of %d followers, %d pushes: median / worst", len(watches)-1, len(all)), "1 s", sinceCommit.spread(), sinceCommit.at(1) < needed)
	n.Note("start of ananas module push --now to new verdict on all followers", column(func(s swap) time.Duration { return s.verdict.Sub(s.began) }).spread())
	n.Note("of it until the commit: upload, compiling at the root, two looks at what changes", column(func(s swap) time.Duration { return s.committed.Sub(s.began) }).spread())
	n.Note("commit to new verdict at the root itself", column(func(s swap) time.Duration { return s.root.Sub(s.committed) }).spread())
	var sum watch
	for _, w := range watches {
		sum.asked += w.asked
		sum.lost += w.lost
		sum.neither += w.neither
		sum.back += w.back
		sum.slowest = max(sum.slowest, w.slowest)
		if w.example != "" {
			sum.example = w.example
		}
	}
	n.Need(fmt.Sprintf("queries lost, of %d", sum.asked), "0", fmt.Sprint(sum.lost), sum.lost == 0)
	n.Need("answered by neither version", "0", fmt.Sprint(sum.neither), sum.neither == 0)
	n.Need("answered by the version before, though the node had answered by the next one when they were sent", "0", fmt.Sprint(sum.back), sum.back == 0)
	n.Note("the slowest answer", sum.slowest.Round(100*time.Microsecond).String())
	fmt.Fprint(out, n.Table())
	if sum.example != "" {
		fmt.Fprintln(os.Stderr, "for example:", sum.example)
	}
	if o.check {
		return n.Missed()
	}
	return nil
}
