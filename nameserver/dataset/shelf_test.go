package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/wholefile"
)

func newShelf(t *testing.T) (*Shelf, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := NewShelf(dir, wholefile.OS{})
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func compiled(t *testing.T, text string) ([]byte, Key) {
	t.Helper()
	b, info, err := Build(strings.NewReader(text), Options{Value: 3})
	if err != nil {
		t.Fatal(err)
	}
	return b, Key{Source: info.Source, Value: 3}
}

// A list is on the shelf once and in memory once, for all who ask; the next process opens it without its source.
func TestShelf(t *testing.T) {
	shelf, dir := newShelf(t)
	b, key := compiled(t, "example.com\n")
	if _, err := shelf.Open(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it is there: %v", err)
	}
	sets := make([]*Set, 8)
	var all sync.WaitGroup
	for i := range sets {
		all.Go(func() {
			s, err := shelf.Add(b)
			if err != nil {
				t.Error(err)
			}
			sets[i] = s
		})
	}
	all.Wait()
	for _, s := range sets {
		if s != sets[0] {
			t.Errorf("two sets of one list")
		}
	}
	if v, ok := sets[0].Exact(dns.MustParseName("example.com")); !ok || v != 3 {
		t.Errorf("%d %v", v, ok)
	}
	again, err := NewShelf(dir, wholefile.OS{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := again.Open(key); err != nil || s.Info() != sets[0].Info() {
		t.Errorf("the next process: %v", err)
	}
	other := key
	other.Value = 4
	if _, err := again.Open(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read in another way: %v", err)
	}
}

// A file that is damaged, or another list under this name, is refused, and replaced by the next Add.
func TestShelfReplacesWhatIsDamaged(t *testing.T) {
	shelf, _ := newShelf(t)
	b, key := compiled(t, "example.com\n")
	other, _ := compiled(t, "example.net\n")
	if err := os.WriteFile(shelf.path(key), other, 0o600); err != nil {
		t.Fatal(err)
	}
	var d *DamagedError
	if _, err := shelf.Open(key); !errors.As(err, &d) || !strings.Contains(err.Error(), "another list") {
		t.Errorf("another list: %v", err)
	}
	for _, cut := range []int{0, 100, headerLen, len(b) - 64} {
		if err := os.WriteFile(shelf.path(key), b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := shelf.Open(key); !errors.As(err, &d) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	if s, err := shelf.Add(b); err != nil || s.Info().Names != 1 {
		t.Errorf("%v", err)
	}
	if _, err := shelf.Add(b[:10]); !errors.As(err, &d) {
		t.Errorf("what is no compiled form: %v", err)
	}
}

// Sweep leaves what is to be kept, and what is no data set; a set in use stays usable, and its memory is given back when nothing holds it.
func TestSweep(t *testing.T) {
	shelf, dir := newShelf(t)
	a, keyA := compiled(t, "a.example\n")
	b, keyB := compiled(t, "b.example\n")
	setA, err := shelf.Add(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shelf.Add(b); err != nil {
		t.Fatal(err)
	}
	left := "." + filepath.Base(shelf.path(keyB)) + "-12345"
	for _, name := range []string{"mine.txt", left} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := shelf.Sweep([]Key{keyB}); err != nil {
		t.Fatal(err)
	}
	if _, ok := setA.Exact(dns.MustParseName("a.example")); !ok || setA.Err() != nil {
		t.Errorf("a set whose file is gone: %v", setA.Err())
	}
	for _, k := range []Key{keyB} {
		if _, err := shelf.Open(k); err != nil {
			t.Errorf("kept: %v", err)
		}
	}
	if _, err := os.Stat(shelf.path(keyA)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("swept: %v", err)
	}
	if _, err := NewShelf(dir, wholefile.OS{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed process left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine.txt")); err != nil {
		t.Error(err)
	}
	// One that is wanted again is not the one in memory, of which the disk has nothing: the next process is to find it.
	if _, err := shelf.Open(keyA); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened after it was swept: %v", err)
	}
	again, err := shelf.Add(a)
	if err != nil || again == setA {
		t.Errorf("added after it was swept: %v", err)
	}
	if _, err := os.Stat(shelf.path(keyA)); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(setA)
	if held := weak.Make(setA); true {
		setA = nil
		for i := 0; held.Value() != nil; i++ {
			runtime.GC()
			if i == 10 {
				t.Fatal("a set that nobody holds is still in memory")
			}
		}
	}
}

// One that is being opened while others are swept is not taken away from whoever does.
func TestSweepLeavesWhatIsBeingOpened(t *testing.T) {
	shelf, _ := newShelf(t)
	a, key := compiled(t, "a.example\n")
	if _, err := shelf.Add(a); err != nil {
		t.Fatal(err)
	}
	l := shelf.slot(key)
	l.mu.Lock()
	if err := shelf.Sweep(nil); err != nil {
		t.Fatal(err)
	}
	l.mu.Unlock()
	if _, err := os.Stat(shelf.path(key)); err != nil {
		t.Errorf("swept: %v", err)
	}
	if _, err := shelf.Open(key); err != nil {
		t.Error(err)
	}
}

// A look-up allocates nothing, found or not.
func TestNoAllocation(t *testing.T) {
	shelf, _ := newShelf(t)
	b, _ := compiled(t, strings.Join(newRealistic(7).list(1000), "\n"))
	s, err := shelf.Add(b)
	if err != nil {
		t.Fatal(err)
	}
	names := []dns.Name{dns.MustParseName("www." + newRealistic(7).list(1)[0]), dns.MustParseName("no.such.name.example"), dns.Root}
	wire := []byte(names[0].Wire())
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range names {
			s.Exact(name)
			s.Suffix(name)
		}
		s.ExactWire(wire)
		s.SuffixWire(wire)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
