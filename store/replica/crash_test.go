package replica_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("REPLICA_TEST_WRITES"); dir != "" {
		writeForEver(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// crashWorld is the same in the process that is killed and in the one that looks at what is left.
func crashWorld(t fataler, commits int) *world {
	w := newWorld()
	rng := rand.New(rand.NewPCG(11, 12))
	for len(w.log) < commits {
		w.commit(t, random(rng, 300, 40)...)
	}
	return w
}

const crashCommits = 2000

// writeForEver goes from the version that the copy has to the last of the world, by records and snapshots. Before each step it says which version it tries, after it that it has it.
func writeForEver(dir string) {
	t := dies{}
	w := crashWorld(t, crashCommits)
	r, err := replica.Open(dir, replica.Options{Key: nodeKey, LogBytes: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("open", r.View().Head().Version)
	if r.View().Head().Lineage == (store.Lineage{}) {
		begin(t, r, start(), nil)
	}
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	for {
		have := int(r.View().Head().Version)
		next := min(have+1+rng.IntN(3), crashCommits)
		if next == have {
			fmt.Println("end")
			select {}
		}
		fmt.Println("try", next)
		if rng.IntN(8) == 0 {
			head := store.Head{Lineage: w.head.Lineage}
			for _, rec := range w.log[:next] {
				if head, err = head.Next(rec); err != nil {
					t.Fatal(err)
				}
			}
			begin(t, r, head, w.past[next])
		} else if err := r.Apply(context.Background(), w.log[have:next]); err != nil {
			t.Fatal(err)
		}
		fmt.Println("did", next)
	}
}

type dies struct{}

func (dies) Helper() {}
func (dies) Fatal(args ...any) {
	fmt.Println(append([]any{"error"}, args...)...)
	os.Exit(1)
}
func (d dies) Fatalf(format string, args ...any) { d.Fatal(fmt.Sprintf(format, args...)) }

// A process that is killed at any instant leaves a copy that is at the version that it has said it is at, or at the one that it tried, whole.
func TestKill(t *testing.T) {
	w := crashWorld(t, crashCommits)
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(13, 14))
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	between := 0
	for range rounds {
		var did, tried int
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "REPLICA_TEST_WRITES="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		steps, spin := rng.IntN(40), rng.IntN(3_000_000)
		lines := bufio.NewScanner(out)
		killed := false
		for lines.Scan() {
			var n int
			what, rest, _ := strings.Cut(lines.Text(), " ")
			fmt.Sscan(rest, &n)
			switch what {
			case "open":
				did, tried = n, n
			case "try":
				tried = n
			case "did":
				did = n
			case "end":
			default:
				t.Fatal(lines.Text())
			}
			if steps--; steps <= 0 && !killed {
				for range spin { // some part of a millisecond, or of the next step
					spin++
				}
				cmd.Process.Kill()
				killed = true
			}
		}
		cmd.Wait()
		r := open(t, dir, func(o *replica.Options) { o.LogBytes = 100_000 })
		if r.Found() != nil {
			t.Fatal(r.Found())
		}
		if v := int(r.View().Head().Version); v != did && v != tried {
			t.Fatalf("it is at version %d; it said it was at %d, and tried %d", v, did, tried)
		}
		if did != tried {
			between++
		}
		if err := w.differs(r.View()); err != nil {
			t.Fatal(err)
		}
		if head, floor := r.View().Head().Version, r.Floor(); head > floor {
			if records, err := r.Records(floor, 1<<30); err != nil || len(records) != int(head-floor) {
				t.Fatalf("its log has %d records, from %d to %d: %v", len(records), floor, head, err)
			}
		}
		r.Close()
		if tried == crashCommits {
			break
		}
	}
	t.Logf("%d of %d kills were in the middle of a change", between, rounds)
}

// A failure of power leaves any part of what was written since the last sync: of a transaction any of its pages and not the meta page, or all of them and that.
func TestPowerCut(t *testing.T) {
	dir, w := written(t)
	path := filepath.Join(dir, "replica.db")
	rng := rand.New(rand.NewPCG(15, 16))
	const page = 4096
	for range 8 {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		old := w.head
		r := open(t, dir)
		apply(t, r, w.commit(t, random(rng, 60, 30)...))
		r.Close()
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		grown := append(bytes.Clone(before), make([]byte, len(after)-len(before))...)
		var metas, pages []int
		for from := 0; from < len(after); from += page {
			if !bytes.Equal(grown[from:from+page], after[from:from+page]) {
				if from < 2*page {
					metas = append(metas, from)
				} else {
					pages = append(pages, from)
				}
			}
		}
		if len(metas) != 1 || len(pages) < 3 {
			t.Fatalf("a commit wrote the meta pages %v and %d others", metas, len(pages))
		}
		for range 20 {
			left := bytes.Clone(grown)
			for _, from := range pages {
				if rng.IntN(2) == 0 {
					copy(left[from:from+page], after[from:])
				} else if rng.IntN(4) == 0 {
					copy(left[from:from+page/2], after[from:]) // and half a page
				}
			}
			v, err := replica.CheckFile(left, nodeKey)
			if err != nil || v.Head() != old {
				t.Fatalf("before the meta page: %v", err)
			}
			if err := w.differs(v); err != nil {
				t.Fatal(err)
			}
		}
		// The meta page, or the first sectors of it: what counts is in the first.
		for _, n := range []int{512, 1024, page} {
			left := bytes.Clone(after)
			copy(left[metas[0]+n:metas[0]+page], grown[metas[0]+n:])
			if v, err := replica.CheckFile(left, nodeKey); err != nil || v.Head() != w.head {
				t.Fatalf("%d octets of the meta page: %v", n, err)
			}
		}
	}
}

// steps counts the steps on the disk, and has one fail, or looks at what a kill there would leave.
type steps struct {
	n, fail int // the step that fails, from 1
	err     error
	look    func(step string)
	names   []string
}

func (s *steps) step(name string) error {
	s.n++
	s.names = append(s.names, name)
	if s.look != nil {
		s.look(name)
	}
	if s.n == s.fail {
		return s.err
	}
	return nil
}

// Whichever step on the disk fails: the copy stays as it is, or is the new one, whole; the error says what to do; the same call made again does it; and what is on
// the disk is one of the two as well.
func TestDiskFails(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		for fail := 1; ; fail++ {
			w := newWorld()
			rng := rand.New(rand.NewPCG(17, 18))
			dir := t.TempDir()
			disk := &steps{err: syscall.ENOSPC}
			r := open(t, dir, func(o *replica.Options) { o.Disk = disk.step })
			begin(t, r, start(), nil)
			for range 5 {
				apply(t, r, w.commit(t, random(rng, 60, 30)...))
			}
			w.commit(t, random(rng, 60, 30)...)
			w.commit(t, random(rng, 60, 30)...)
			do := func() error {
				if !snapshot {
					return r.Apply(t.Context(), w.log[5:])
				}
				in, err := r.BeginSnapshot(w.head)
				if err != nil {
					return err
				}
				for key, e := range w.entries {
					if err := in.Add(key, e); err != nil {
						return err
					}
				}
				return in.Commit()
			}
			*disk = steps{err: syscall.ENOSPC, fail: fail}
			err := do()
			if err == nil {
				if disk.n >= fail {
					t.Fatalf("step %d failed, and nobody was told", fail)
				}
				t.Log(disk.names)
				r.Close()
				break // there are no more steps
			}
			failed := disk.names[fail-1]
			var full *replica.DiskError
			if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(full.Hint(), "make room") {
				t.Fatalf("%s: %v", failed, err)
			}
			want := store.Version(5)
			if failed == "folder" {
				want = 7 // the new file is there
			}
			if got := r.View().Head().Version; got != want {
				t.Fatalf("%s: the copy is at %d, not %d", failed, got, want)
			}
			if err := w.differs(r.View()); err != nil {
				t.Fatalf("%s: %v", failed, err)
			}
			if err := w.logDiffers(r); err != nil {
				t.Fatalf("%s: %v", failed, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "replica.db.new")); err == nil {
				t.Fatalf("%s: half a snapshot was left", failed)
			}
			if fail%2 == 0 { // by another process
				r.Close()
				r = open(t, dir)
				if v := r.View().Head().Version; r.Found() != nil || v != 5 && v != 7 {
					t.Fatalf("%s: opened again it is at %d: %v", failed, v, r.Found())
				}
			}
			if err := do(); err != nil {
				t.Fatalf("%s: a second time: %v", failed, err)
			}
			apply(t, r, w.commit(t, random(rng, 60, 30)...))
			if err := w.differs(r.View()); err != nil || r.View().Head() != w.head {
				t.Fatalf("%s: after it was done again: %v, version %d", failed, err, r.View().Head().Version)
			}
			if err := w.logDiffers(r); err != nil {
				t.Fatalf("%s: %v", failed, err)
			}
			r.Close()
		}
	}
}

// It may take several failures in a row to find out what became of a commit whose last sync failed: until then nothing moves, and then it is there once.
func TestDiskFailsAgain(t *testing.T) {
	w := newWorld()
	disk := map[string]int{}
	dir := t.TempDir()
	r := open(t, dir, func(o *replica.Options) {
		o.Disk = func(step string) error {
			if disk[step] > 0 {
				disk[step]--
				return syscall.EIO
			}
			return nil
		}
	})
	begin(t, r, start(), nil)
	apply(t, r, w.commit(t, store.Edit{Key: "a", Value: []byte("1")}))
	rec := w.commit(t, store.Edit{Key: "a", Value: []byte("2")})
	disk["committed"], disk["reopen"] = 2, 2
	for try := range 5 {
		err := r.Apply(t.Context(), []*store.Record{rec})
		var failed *replica.DiskError
		if try == 4 {
			if err != nil || r.View().Head() != w.head {
				t.Fatalf("at last: %v, at %+v", err, r.View().Head())
			}
			break
		}
		if !errors.As(err, &failed) || failed.Hint() == "" || r.View().Head().Version != 1 {
			t.Fatalf("try %d: %v, at version %d", try, err, r.View().Head().Version)
		}
	}
	// Who does not repeat the call, but sends what comes after it, is at the right place as well.
	third, fourth := w.commit(t, store.Edit{Key: "b"}), w.commit(t, store.Edit{Key: "c"})
	disk["committed"] = 1
	if err := r.Apply(t.Context(), []*store.Record{third}); err == nil {
		t.Fatal("the disk failed")
	}
	apply(t, r, fourth)
	// And so is a commit of this node's own.
	own := open(t, t.TempDir(), func(o *replica.Options) {
		o.Disk = func(step string) error {
			if disk[step] > 0 {
				disk[step]--
				return syscall.EIO
			}
			return nil
		}
	})
	load := func() (*store.Record, error) {
		return own.Load(store.Proposal{Kind: store.KindLoad, Edits: []store.Edit{{Key: "a", Value: []byte("1")}}})
	}
	disk["committed"] = 1
	if _, err := load(); err == nil || own.View().Len() != 0 {
		t.Fatal("the disk failed")
	}
	if rec, err := load(); rec != nil || err != nil || own.View().Head().Version != 1 || !own.View().Own() {
		t.Fatalf("what was loaded is there: %v, %v", rec, err)
	}
	for _, c := range []*replica.Replica{r, own} {
		c.Close()
	}
	if r = open(t, dir); w.differs(r.View()) != nil || w.logDiffers(r) != nil || r.View().Head() != w.head {
		t.Errorf("opened again it is at %+v", r.View().Head())
	}
}

// A kill at any step leaves the old copy or the new one.
func TestKillAtSteps(t *testing.T) {
	w := newWorld()
	rng := rand.New(rand.NewPCG(19, 20))
	dir := t.TempDir()
	disk := &steps{}
	r := open(t, dir, func(o *replica.Options) { o.Disk = disk.step })
	begin(t, r, start(), nil)
	seen := make(map[string]bool)
	disk.look = func(step string) {
		left := t.TempDir()
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		o := open(t, left)
		defer o.Close()
		have, next := r.View().Head().Version, w.head.Version
		if v := o.View().Head().Version; o.Found() != nil || v != have && v != next {
			t.Fatalf("killed at %s: version %d, neither %d nor %d: %v", step, v, have, next, o.Found())
		}
		if err := w.differs(o.View()); err != nil {
			t.Fatalf("killed at %s: %v", step, err)
		}
		seen[step] = true
	}
	for i := range 12 {
		rec := w.commit(t, random(rng, 60, 30)...)
		if i%4 == 3 {
			begin(t, r, w.head, w.entries)
		} else {
			apply(t, r, rec)
		}
	}
	for _, step := range []string{"begin", "commit", "committed", "create", "fill", "sync", "rename", "folder"} {
		if !seen[step] {
			t.Errorf("no step %q", step)
		}
	}
}
