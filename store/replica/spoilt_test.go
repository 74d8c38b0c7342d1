package replica_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// written is a copy on disk that has something of everything: trees of several pages, a document that needs several, secrets, hidden entries, a log.
func written(t testing.TB) (dir string, w *world) {
	t.Helper()
	w = newWorld()
	dir = t.TempDir()
	r := open(t, dir)
	begin(t, r, start(), nil)
	rng := rand.New(rand.NewPCG(3, 4))
	var edits []store.Edit
	for i := range 900 {
		edits = append(edits, store.Edit{Key: fmt.Sprintf("many/%04d", i), Value: []byte(strings.Repeat("x", rng.IntN(100)))})
	}
	apply(t, r, w.commit(t, edits...))
	apply(t, r, w.commit(t, store.Edit{Key: "large", Value: bytes.Repeat([]byte("large"), 5000)}))
	for range 20 {
		apply(t, r, w.commit(t, random(rng, 60, 30)...))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, w
}

// damage is a way in which a disk spoils a file.
func damage(rng *rand.Rand, file []byte) (what string, spoilt []byte) {
	const page = 4096
	at := rng.IntN(len(file))
	from := at / page * page
	switch rng.IntN(12) {
	case 0:
		what, spoilt = fmt.Sprintf("page %d is zero", at/page), bytes.Clone(file)
		clear(spoilt[from : from+page])
	case 1:
		other := rng.IntN(len(file)/page) * page
		what, spoilt = fmt.Sprintf("page %d is a copy of page %d", at/page, other/page), bytes.Clone(file)
		copy(spoilt[from:from+page], file[other:])
	case 2:
		what, spoilt = fmt.Sprintf("it ends after %d octets", at), bytes.Clone(file[:at])
	case 3:
		what, spoilt = fmt.Sprintf("sector %d is random", at/512), bytes.Clone(file)
		for i := at / 512 * 512; i < at/512*512+512; i++ {
			spoilt[i] = byte(rng.Uint32())
		}
	case 4:
		at %= 2 * page // the meta pages have few octets that count
		at = at/page*page + at%page%100
		fallthrough
	default:
		flip := byte(1 + rng.IntN(255))
		what, spoilt = fmt.Sprintf("octet %d is changed by %#x", at, flip), bytes.Clone(file)
		spoilt[at] ^= flip
	}
	return what, spoilt
}

// Whatever is spoilt in a file, wherever: it is what it was, or known to be broken. Never something else, never a crash.
func TestSpoiltFileIsFound(t *testing.T) {
	dir, w := written(t)
	file, err := os.ReadFile(filepath.Join(dir, "replica.db"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := replica.CheckFile(file, nodeKey); err != nil || w.differs(v) != nil || v.Head() != w.head {
		t.Fatalf("as it was written: %v", err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	good := 0
	for range rounds {
		what, spoilt := damage(rng, file)
		v, err := replica.CheckFile(spoilt, nodeKey)
		if err != nil {
			var format *replica.FormatError
			var key *replica.KeyError
			if errors.As(err, &format) || errors.As(err, &key) {
				t.Fatalf("%s: %v", what, err)
			}
			continue
		}
		good++
		if v.Head() != w.head {
			t.Fatalf("%s: the head is %+v", what, v.Head())
		}
		if err := w.differs(v); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	t.Logf("of %d files %d had what they should, and %d were known to be broken", rounds, good, rounds-good)
}

// What little of a file is covered by one check alone is spoilt octet by octet: the meta pages, one of which bbolt would do without and go back by a commit, and
// the texts of records.
func TestSpoiltMetaAndLog(t *testing.T) {
	dir, w := written(t)
	path := filepath.Join(dir, "replica.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := func(at int, flip byte) bool {
		spoilt := bytes.Clone(file)
		spoilt[at] ^= flip
		_, err := replica.CheckFile(spoilt, nodeKey)
		return err != nil
	}
	for at := range 64 {
		for _, page := range []int{0, 4096} {
			if !broken(page+16+at, 1) || !broken(page+16+at, 0x80) {
				t.Errorf("octet %d of the meta page at %d may be anything", at, page)
			}
		}
	}
	found := 0
	for at := 0; ; at++ {
		n := bytes.Index(file[at:], []byte("\x03ada\x03why"))
		if n < 0 {
			break
		}
		if at += n; broken(at+1, 1) { // others are on pages that are free
			found++
		}
	}
	if found < 2 {
		t.Errorf("%d records that were spoilt were found to be", found)
	}

	// A page in use that is said to be free would be written over.
	newest := file[16:]
	if binary.NativeEndian.Uint64(file[4096+16+48:]) > binary.NativeEndian.Uint64(newest[48:]) {
		newest = file[4096+16:]
	}
	root, list := binary.NativeEndian.Uint64(newest[16:]), binary.NativeEndian.Uint64(newest[32:])
	for _, id := range []uint64{root, list, 0, 1 << 40} {
		spoilt := bytes.Clone(file)
		binary.NativeEndian.PutUint64(spoilt[list*4096+16:], id)
		if _, err := replica.CheckFile(spoilt, nodeKey); err == nil {
			t.Errorf("page %d is free, and nobody minds", id)
		}
	}

	// A meta page from some commits ago.
	for range 4 {
		r := open(t, dir)
		apply(t, r, w.commit(t, store.Edit{Key: "a", Value: fmt.Append(nil, len(w.log))}))
		r.Close()
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []int{0, 4096} {
		mixed := bytes.Clone(now)
		copy(mixed[page:page+4096], file[page:])
		if _, err := replica.CheckFile(mixed, nodeKey); err == nil {
			t.Errorf("the meta page at %d is an old one, and nobody sees it", page)
		}
	}
}

// The same with the whole of it: a copy is opened, written to and opened again, or an empty one begins, the spoilt file stays aside, and a snapshot mends it.
func TestSpoiltFileIsPutAside(t *testing.T) {
	dir, before := written(t)
	file, err := os.ReadFile(filepath.Join(dir, "replica.db"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	dir = t.TempDir()
	path := filepath.Join(dir, "replica.db")
	for range rounds {
		copied := *before
		w := &copied
		what, spoilt := damage(rng, file)
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		r := open(t, dir)
		if found := r.Found(); found != nil {
			if found.Hint() == "" || r.View().Len() != 0 || r.View().Head() != (store.Head{}) {
				t.Fatalf("%s: %v, and %d entries", what, found, r.View().Len())
			}
			if aside, err := os.ReadFile(found.Moved); err != nil || !bytes.Equal(aside, spoilt) {
				t.Fatalf("%s: it is not kept: %v", what, err)
			}
			begin(t, r, w.head, w.entries)
		}
		apply(t, r, w.commit(t, store.Edit{Key: "after", Value: []byte(what)}, store.Edit{Key: "many/0100", Delete: true}))
		r.Close()
		r = open(t, dir)
		if r.Found() != nil || r.View().Head() != w.head {
			t.Fatalf("%s: after it was mended: %v, %+v", what, r.Found(), r.View().Head())
		}
		if err := w.differs(r.View()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := w.logDiffers(r); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		r.Close()
	}
	names, err := filepath.Glob(path + ".broken-*")
	if err != nil || len(names) != 2 {
		t.Errorf("kept: %q, %v", names, err)
	}
}

// A file that is spoilt while it is open, here one that lost its end, does not end the process: memory is read as before, the log and writing say what is wrong, and a snapshot mends it.
func TestFileSpoiltWhileOpen(t *testing.T) {
	dir, w := written(t)
	r := open(t, dir)
	if err := os.Truncate(filepath.Join(dir, "replica.db"), 8192); err != nil {
		t.Fatal(err)
	}
	var broken *replica.BrokenError
	if _, err := r.Records(2, 1<<20); !errors.As(err, &broken) || broken.Hint() == "" {
		t.Fatalf("reading the log: %v", err)
	}
	next := w.commit(t, store.Edit{Key: "next"})
	if err := r.Apply(t.Context(), []*store.Record{next}); !errors.As(err, &broken) {
		t.Fatalf("writing: %v", err)
	}
	if err := w.differs(r.View()); err != nil {
		t.Fatal(err)
	}
	begin(t, r, w.head, w.entries)
	apply(t, r, w.commit(t, store.Edit{Key: "last"}))
	if err := w.differs(r.View()); err != nil {
		t.Fatal(err)
	}
	if err := w.logDiffers(r); err != nil {
		t.Fatal(err)
	}
}

// The same where the first to find it is who writes.
func TestFileSpoiltWhileWriting(t *testing.T) {
	dir, w := written(t)
	r := open(t, dir)
	if err := os.Truncate(filepath.Join(dir, "replica.db"), 8192); err != nil {
		t.Fatal(err)
	}
	var broken *replica.BrokenError
	if err := r.Apply(t.Context(), []*store.Record{w.commit(t, store.Edit{Key: "next"})}); !errors.As(err, &broken) {
		t.Fatalf("writing: %v", err)
	}
	begin(t, r, w.head, w.entries)
	if err := w.differs(r.View()); err != nil {
		t.Fatal(err)
	}
}

// Whatever is written over whatever part of a file, its meta pages made good again: it is refused, or has what its head says.
func FuzzFile(f *testing.F) {
	base := smallFile(f)
	f.Add(uint(16+40), []byte{255}, true)
	f.Add(uint(4096+16+16), []byte{3}, true)
	f.Add(uint(3*4096+10), []byte{255, 255}, false)
	f.Add(uint(4*4096+12), []byte{1, 0, 0, 0}, false)
	f.Add(uint(5*4096+16), []byte{1, 0, 0, 0, 0, 0, 0, 1}, false)
	f.Fuzz(func(t *testing.T, at uint, over []byte, good bool) {
		file := bytes.Clone(base)
		copy(file[at%uint(len(file)):], over)
		if good {
			for meta := 16; meta < 8192; meta += 4096 {
				h := fnv.New64a()
				h.Write(file[meta : meta+56])
				binary.NativeEndian.PutUint64(file[meta+56:], h.Sum64())
			}
		}
		v, err := replica.CheckFile(file, nodeKey)
		if err != nil {
			return
		}
		sum := store.Sum{}
		for key, e := range v.All() {
			sum.Add(store.DigestOf(key, e))
		}
		if _, hidden := v.Hidden(); sum.Plus(hidden) != v.Head().Sum {
			t.Fatal("its entries are not those of its head")
		}
	})
}
