package blobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// clock is boot time as a test wants it.
type clock struct {
	mu  sync.Mutex
	now time.Duration
}

func (c *clock) boot() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

func open(t testing.TB, dir string, change ...func(*Options)) *Folder {
	t.Helper()
	o := Options{Boot: new(clock).boot}
	for _, c := range change {
		c(&o)
	}
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func put(t testing.TB, f *Folder, content []byte) [32]byte {
	t.Helper()
	sum, err := f.Put(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if sum != sha256.Sum256(content) {
		t.Fatalf("the digest of %d octets is %x", len(content), sum)
	}
	return sum
}

// content returns octets that are the same for the same seed.
func content(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// holds fails unless the folder has these contents and nothing else, on disk and in what it says.
func holds(t testing.TB, f *Folder, want ...[]byte) {
	t.Helper()
	var names, have []string
	total := int64(0)
	for _, c := range want {
		sum := sha256.Sum256(c)
		names, total = append(names, hex.EncodeToString(sum[:])), total+int64(len(c))
		if got, err := f.Read(sum, MaxBlob); err != nil || !bytes.Equal(got, c) {
			t.Fatalf("reading a blob of %d octets: %d, %v", len(c), len(got), err)
		}
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		have = append(have, e.Name())
	}
	slices.Sort(names)
	if !slices.Equal(names, have) || f.Len() != len(want) || f.total != total {
		t.Fatalf("the folder holds %v; %d blobs and %d octets were said, want %v with %d", have, f.Len(), f.total, names, total)
	}
}

func TestPut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	f := open(t, dir)
	all := [][]byte{{}, {1}, content(1, 100_000), content(2, 1<<20)}
	for range 2 { // once more changes nothing
		for _, c := range all {
			if sum := put(t, f, c); !f.Has(sum) {
				t.Error("it is not there")
			}
		}
	}
	holds(t, f, all...)
	holds(t, open(t, dir), all...)

	// Parts make up the whole.
	sum, whole := sha256.Sum256(all[2]), []byte(nil)
	for {
		part, size, ok, err := f.Part(sum, int64(len(whole)), 30_000)
		if err != nil || !ok || size != 100_000 || len(part) > 30_000 {
			t.Fatalf("%d octets of %d, %v, %v", len(part), size, ok, err)
		}
		if len(part) == 0 {
			break
		}
		whole = append(whole, part...)
	}
	if !bytes.Equal(whole, all[2]) {
		t.Error("the parts are not the whole")
	}
	for _, offset := range []int64{-1, 100_001} {
		if _, _, ok, err := f.Part(sum, offset, 10); ok || err != nil {
			t.Errorf("at %d: %v, %v", offset, ok, err)
		}
	}
	var missing *MissingError
	if _, err := f.Read([32]byte{1}, 10); !errors.As(err, &missing) || missing.Hint() == "" {
		t.Errorf("%v", err)
	}
	if _, _, ok, err := f.Part([32]byte{1}, 0, 10); ok || err != nil || f.Has([32]byte{1}) {
		t.Errorf("%v, %v", ok, err)
	}
	var limit *LimitError
	if _, err := f.Read(sum, 99_999); !errors.As(err, &limit) {
		t.Errorf("%v", err)
	}
}

// What comes under a digest is that, or it is not taken.
func TestDigest(t *testing.T) {
	f := open(t, t.TempDir())
	c := content(1, 1000)
	for _, came := range [][]byte{nil, c[:999], content(2, 1000), append(slices.Clone(c), 0)} {
		w, err := f.Begin(sha256.Sum256(c))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(came); err != nil {
			t.Fatal(err)
		}
		var digest *DigestError
		if err := w.Commit(); !errors.As(err, &digest) || digest.Octets != int64(len(came)) || digest.Hint() == "" {
			t.Errorf("%d octets: %v", len(came), err)
		}
		if _, err := w.Write(c); err == nil || w.Commit() == nil {
			t.Error("it goes on after that")
		}
		holds(t, f)
	}
	w, _ := f.Begin(sha256.Sum256(c))
	for i := range c {
		w.Write(c[i : i+1])
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	holds(t, f, c)
}

func TestLimits(t *testing.T) {
	f := open(t, t.TempDir(), func(o *Options) { o.MaxTotal = 1000 })
	first := content(1, 600)
	put(t, f, first)
	var limit *LimitError
	refused := func(err error, name string) {
		t.Helper()
		if !errors.As(err, &limit) || limit.Name != name || limit.Hint() == "" || !strings.Contains(err.Error(), name) {
			t.Errorf("%v", err)
		}
	}
	_, err := f.Put(bytes.NewReader(content(2, 401)))
	refused(err, "max_total")
	holds(t, f, first)
	w, _ := f.Begin([32]byte{})
	if _, err := w.Write(make([]byte, 300)); err != nil {
		t.Fatal(err)
	}
	_, err = f.Put(bytes.NewReader(content(2, 101))) // what is on its way counts
	refused(err, "max_total")
	w.n = MaxBlob - 5
	_, err = w.Write(make([]byte, 6))
	refused(err, "max_blob")
	refused(w.Commit(), "max_blob")
	w.Abort()
	f.total = 600
	put(t, f, content(2, 400))
	holds(t, f, first, content(2, 400))
}

// A disk that fails at any step, and at any call of it, leaves what was there, is told with a hint, and does no harm later.
func TestDiskFails(t *testing.T) {
	before, next := content(1, 1000), content(2, 100_000)
	for _, step := range []string{"create", "write", "sync", "rename", "folder"} {
		failing := false
		f := open(t, t.TempDir(), func(o *Options) {
			o.Disk = func(s string) error {
				if failing && s == step {
					return syscall.ENOSPC
				}
				return nil
			}
		})
		put(t, f, before)
		failing = true
		_, err := f.Put(bytes.NewReader(next))
		var disk *DiskError
		if !errors.As(err, &disk) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(disk.Hint(), "make room") {
			t.Errorf("%s: %v", step, err)
		}
		if f.Has(sha256.Sum256(next)) {
			t.Errorf("%s fails, and the blob is there all the same", step)
		}
		if step != "folder" {
			holds(t, f, before)
		}
		failing = false
		put(t, f, next)
		holds(t, f, before, next)
	}
	for _, err := range []error{syscall.EROFS, syscall.EIO} {
		f := open(t, t.TempDir(), func(o *Options) { o.Disk = func(string) error { return err } })
		var disk *DiskError
		if _, got := f.Put(bytes.NewReader(nil)); !errors.As(got, &disk) || disk.Hint() == "" || strings.Contains(disk.Hint(), "make room") {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// A kill between any two steps leaves blobs that are whole, and nothing else after the next start.
func TestKilledBetweenSteps(t *testing.T) {
	dir, seen := t.TempDir(), 0
	var expect [][]byte // what must be there
	var f *Folder
	c := new(clock)
	f = open(t, dir, func(o *Options) {
		o.Boot = c.boot
		o.Disk = func(step string) error {
			seen++
			other := t.TempDir()
			if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
				return err
			}
			g := open(t, other)
			for sum := range g.all {
				if _, err := g.Read(sum, MaxBlob); err != nil {
					t.Errorf("killed before %s: %v", step, err)
				}
			}
			for _, e := range expect {
				if !g.Has(sha256.Sum256(e)) {
					t.Errorf("killed before %s: a blob that was there is not", step)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(other, temporary+"*")); len(left) > 0 {
				t.Errorf("killed before %s: %v is left", step, left)
			}
			return nil
		}
	})
	for i := range 4 {
		b := content(uint64(i), 40_000)
		put(t, f, b)
		expect = append(expect, b)
	}
	c.advance(Grace)
	gone := sha256.Sum256(expect[0])
	expect = expect[1:]
	if n, err := f.Sweep(func(sum [32]byte) bool { return sum != gone }); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if seen < 20 {
		t.Errorf("there were %d steps", seen)
	}
}

// What is spoilt on the disk is never given out whole, and is asked for anew.
func TestSpoilt(t *testing.T) {
	c := content(1, 5000)
	sum := sha256.Sum256(c)
	for name, spoil := range map[string]func(path string) error{
		"a bit":   func(path string) error { b := slices.Clone(c); b[4000] ^= 4; return os.WriteFile(path, b, 0o600) },
		"cut":     func(path string) error { return os.Truncate(path, 3000) },
		"longer":  func(path string) error { return os.WriteFile(path, append(slices.Clone(c), 1), 0o600) },
		"removed": os.Remove,
	} {
		for _, again := range []bool{false, true} { // found after a start too
			f := open(t, t.TempDir())
			put(t, f, c)
			if err := spoil(f.path(sum)); err != nil {
				t.Fatal(err)
			}
			if again {
				f = open(t, f.dir)
			}
			var missing *MissingError
			got, err := f.Read(sum, MaxBlob)
			if name == "longer" && !again {
				if err != nil || !bytes.Equal(got, c) { // it has all of it
					t.Errorf("%s: %v", name, err)
				}
				if f.Has(sum) {
					t.Errorf("%s: its size is another, and it is there", name)
				}
			} else if !errors.As(err, &missing) || f.Has(sum) {
				t.Errorf("%s, %v: %v", name, again, err)
			}
			var spoilt *SpoiltError
			if errors.As(err, &spoilt) && spoilt.Hint() == "" {
				t.Errorf("%v", err)
			}
			put(t, f, c)
			holds(t, f, c)
		}
	}
	f := open(t, t.TempDir())
	put(t, f, c)
	if err := os.Truncate(f.path(sum), 3000); err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := f.Part(sum, 2500, 5000); ok || err == nil {
		t.Errorf("a part of a file that was cut: %v, %v", ok, err)
	}
}

func TestSweep(t *testing.T) {
	c := new(clock)
	var f *Folder
	f = open(t, t.TempDir(), func(o *Options) { o.Boot = c.boot })
	kept, asked, again, gone := content(1, 10), content(2, 10), content(3, 10), content(4, 10)
	for _, b := range [][]byte{kept, asked, again, gone} {
		put(t, f, b)
	}
	sweep := func(want int) {
		t.Helper()
		n, err := f.Sweep(func(sum [32]byte) bool { return sum == sha256.Sum256(kept) })
		if n != want || err != nil {
			t.Errorf("%d were swept, %v", n, err)
		}
	}
	c.advance(Grace - 1)
	sweep(0)
	f.Has(sha256.Sum256(asked))
	put(t, f, again)
	c.advance(1)
	sweep(1)
	holds(t, f, kept, asked, again)
	c.advance(Grace)
	sweep(2)
	holds(t, f, kept)

	// One that is asked for while it is swept stays.
	late := put(t, f, asked)
	c.advance(Grace)
	if n, err := f.Sweep(func(sum [32]byte) bool { return sum != late || !f.Has(late) }); n != 0 || err != nil || !f.Has(late) {
		t.Errorf("%d, %v", n, err)
	}

	// After a start the time counts from there.
	f = open(t, f.dir, func(o *Options) { o.Boot = c.boot })
	sweep(0)
	c.advance(Grace)
	f.opt.Disk = func(string) error { return syscall.EIO }
	if _, err := f.Sweep(func([32]byte) bool { return false }); err == nil {
		t.Error("the disk fails, and nobody says so")
	}
}

// Names in the folder that are not ours are left alone; what was being written is not.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("ab", 32)
	for _, n := range []string{name, strings.ToUpper(name), name[1:], temporary + "1", "other"} {
		if err := os.WriteFile(filepath.Join(dir, n), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, strings.Repeat("cd", 32)), 0o700); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir)
	if left, _ := os.ReadDir(dir); f.Len() != 1 || f.total != 1 || len(left) != 5 {
		t.Errorf("%d blobs of %d octets, %v", f.Len(), f.total, left)
	}
	if _, err := Open(filepath.Join(dir, "other"), Options{Boot: new(clock).boot}); err == nil {
		t.Error("a file is no folder")
	}
}

// Many write, read, ask and sweep at one time: nobody gets anything but what he asked for.
func TestTogether(t *testing.T) {
	c := new(clock)
	f := open(t, t.TempDir(), func(o *Options) { o.Boot = c.boot })
	var work sync.WaitGroup
	for worker := range 6 {
		work.Add(1)
		go func() {
			defer work.Done()
			rng := rand.New(rand.NewPCG(uint64(worker), 2))
			for range 150 {
				b := content(rng.Uint64N(6), 3000)
				sum := sha256.Sum256(b)
				switch rng.IntN(4) {
				case 0:
					put(t, f, b)
					if !f.Has(sum) && c.boot() < Grace { // it is not swept for a while
						t.Error("what was put is not there")
					}
				case 1:
					if got, err := f.Read(sum, 3000); err == nil && !bytes.Equal(got, b) {
						t.Error("another was read")
					} else if err != nil && !errors.As(err, new(*MissingError)) {
						t.Error(err)
					}
				case 2:
					f.Sweep(func(s [32]byte) bool { return s[0]&1 == 0 })
					c.advance(Grace / 8)
				case 3:
					if _, _, _, err := f.Part(sum, 1000, 1000); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	work.Wait()
	left, _ := os.ReadDir(f.dir)
	if int64(len(left))*3000 != f.total || len(left) != f.Len() {
		t.Errorf("%d files, %d blobs, %d octets", len(left), f.Len(), f.total)
	}
}

// FuzzFolder holds a folder against a map, over steps that are chosen by the octets: puts, parts of blobs, sweeps, failures of the disk, starts.
func FuzzFolder(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x02\x01\x03\x02\x04\x05\x00\x03\x00\x02\x05\x06\x04"))
	f.Add([]byte{0, 1, 4, 30, 3, 1, 0, 2, 5, 0, 6, 2, 0, 3, 3, 255})
	f.Fuzz(func(t *testing.T, steps []byte) {
		c := new(clock)
		fail := -1
		options := func(o *Options) {
			o.Boot, o.MaxTotal = c.boot, 2000
			o.Disk = func(string) error {
				if fail--; fail == 0 {
					return syscall.ENOSPC
				}
				return nil
			}
		}
		f := open(t, t.TempDir(), options)
		model, used := map[[32]byte][]byte{}, map[[32]byte]time.Duration{}
		for len(steps) > 1 && len(model) < 50 {
			op, x := steps[0], steps[1]
			steps = steps[2:]
			b := content(uint64(x%16), int(x)*3)
			sum := sha256.Sum256(b)
			switch op % 7 {
			case 0, 1:
				if _, err := f.Put(bytes.NewReader(b)); err == nil {
					model[sum], used[sum] = b, c.boot()
				}
			case 2:
				w, err := f.Begin(sum)
				if err != nil {
					break
				}
				w.Write(b[:len(b)/2])
				if x&1 == 0 {
					w.Write(b[len(b)/2:])
				}
				if err := w.Commit(); err == nil {
					model[sum], used[sum] = b, c.boot()
				}
				w.Abort()
			case 3:
				keep := func(s [32]byte) bool { return s[0] < x }
				if _, err := f.Sweep(keep); err == nil {
					for s := range model {
						if !keep(s) && c.boot()-used[s] >= Grace {
							delete(model, s)
						}
					}
				} else {
					for s := range model {
						if !f.Has(s) {
							delete(model, s)
						} else {
							used[s] = c.boot()
						}
					}
				}
			case 4:
				c.advance(time.Duration(x) * Grace / 16)
			case 5:
				fail = int(x % 16)
				continue
			case 6:
				f = open(t, f.dir, options)
				for s := range f.all {
					got, err := os.ReadFile(f.path(s))
					if err != nil || sha256.Sum256(got) != s {
						t.Fatalf("a blob is not whole after a start: %v", err)
					}
					model[s], used[s] = got, c.boot() // one whose last step failed may be there
				}
			}
			fail = -1
			total := int64(0)
			for s, b := range model {
				total += int64(len(b))
				got, err := f.Read(s, MaxBlob)
				if err != nil || !bytes.Equal(got, b) {
					t.Fatalf("after %d: %v", op%7, err)
				}
			}
			if f.Len() != len(model) || f.total != total {
				t.Fatalf("after %d: %s", op%7, fmt.Sprint(f.Len(), len(model), f.total, total))
			}
		}
	})
}
