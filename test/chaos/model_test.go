package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/store"
)

var (
	runs = flag.Int("runs", 50, "how many runs of the model there are")
	seed = flag.Uint64("seed", 1, "seed of the first one; the others have those that follow")
)

// writers is how many write; the first two at one member of the root.
const writers = 3

// Times of a run, all of them fake.
const (
	storm = 60 * time.Second // while there are faults
	calm  = 90 * time.Second // until all have to be level after the last one: silence, a read deadline and some attempts to connect
)

func TestMain(m *testing.M) {
	// Copies lie where a sync costs nothing, if there is such a place: what a disk loses is for the tests of the replica.
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}

func TestModel(t *testing.T) {
	for i := range *runs {
		s := *seed + uint64(i)
		t.Run(fmt.Sprint("seed=", s), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("again: go test ./test/chaos -run Model -runs 1 -seed %d -v", s)
				}
			}()
			synctest.Test(t, func(t *testing.T) { run(t, s) })
		})
	}
}

func run(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	for _, n := range w.nodes {
		n.begin()
	}
	writing, stopWriting := context.WithCancel(w.ctx)
	for i := range writers {
		d := w.dice.fork()
		w.work.Go(func() { w.writer(writing, w.nodes[i/2], i, d) })
	}
	odds := 0
	for _, f := range faults {
		odds += f.odds
	}
	d := w.dice.fork()
	for end := time.Now().Add(storm); time.Now().Before(end); {
		time.Sleep(time.Duration(100+d.n(3000)) * time.Millisecond)
		at := d.n(odds)
		for _, f := range faults {
			if at -= f.odds; at < 0 {
				if testing.Verbose() {
					t.Logf("%v: %s", time.Since(end.Add(-storm)), f.name)
				}
				f.do(w, d)
				break
			}
		}
	}
	w.over.Store(true)
	w.heal()
	time.Sleep(30 * time.Second) // the last of what was to be done later
	w.heal()
	last := w.dice.fork()
	m, _ := w.root()
	if !w.commit(w.ctx, w.nodes[0], m, last, nil, store.Edit{Key: "last", Value: []byte("write")}) {
		t.Error("when all is well nothing can be written")
	}
	stopWriting()
	w.level(m)
	say := func(format string, args ...any) { t.Errorf(format, args...) }
	for _, n := range w.nodes {
		w.checkLog(n, say)
	}
	w.cancel()
	for _, n := range w.nodes {
		n.kill()
	}
	w.work.Wait() // from here on nobody but this goroutine has anything
	w.check(say)
	done, unknown := 0, 0
	for _, one := range w.writes {
		if one.done() {
			done++
		} else if one.unknown() {
			unknown++
		}
	}
	views := 0
	for _, n := range w.nodes {
		views += len(n.seen)
	}
	t.Logf("%d writes: %d done, %d unknown; %d lineages, %d views seen", len(w.writes), done, unknown, w.models, views)
	if done == 0 {
		t.Error("nothing was ever written")
	}
}

// level waits until all copies have what the root has.
func (w *world) level(m *store.Model) {
	w.t.Helper()
	for end := time.Now().Add(calm); ; time.Sleep(100 * time.Millisecond) {
		head, err := m.Head(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		behind := ""
		if w.truths[head.Lineage].version() < head.Version {
			behind = " the truth"
		}
		for _, n := range w.nodes {
			if n.copy.View().Head() != head {
				behind += fmt.Sprintf(" %s (%d", n.name, n.copy.View().Head().Version)
				if n.follower != nil {
					behind += fmt.Sprintf(", %v", n.follower.State().Err)
				}
				behind += ")"
			}
		}
		if l := w.byName[limited].copy.View(); behind == "" && l.Head() == head && narrow(l) != hides(l) && w.hasHidden(head) {
			behind = " " + limited + ", in what it may read"
		}
		if behind == "" {
			return
		}
		if !time.Now().Before(end) {
			w.t.Errorf("%v after the last fault these are not at version %d:%s", calm, head.Version, behind)
			return
		}
	}
}

func hides(v interface{ Hidden() (uint64, store.Sum) }) bool { n, _ := v.Hidden(); return n > 0 }

// hasHidden tells whether there is anything to be hidden.
func (w *world) hasHidden(head store.Head) bool {
	tr := w.truths[head.Lineage]
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for key := range tr.entries[head.Version] {
		if !access(true).Readable(key) {
			return true
		}
	}
	return false
}
