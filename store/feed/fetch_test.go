package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
	"github.com/ananas-edge/ananas/store/replica"
)

// blobNode is a node with a copy and blobs, as far as they are told here; a document names a blob as "blob HEX".
type blobNode struct {
	t        *testing.T
	name     string
	dir      string
	copy     *replica.Replica
	blobs    *blobs.Folder
	full     atomic.Bool  // the disk of the blobs
	early    atomic.Int64 // records and snapshots that were written before their blobs were there
	parts    atomic.Int64 // of blobs, that others were given
	source   *Source
	follower *Follower // nil: it is a root
}

var blobStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newBlobNode(t *testing.T, name string) *blobNode {
	t.Helper()
	n := &blobNode{t: t, name: name, dir: t.TempDir()}
	var err error
	boot := time.Now()
	n.blobs, err = blobs.Open(filepath.Join(n.dir, "blobs"), blobs.Options{Boot: func() time.Duration { return time.Since(boot) }, Disk: func(step string) error {
		if n.full.Load() && step == "write" {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err == nil {
		n.copy, err = replica.Open(n.dir, replica.Options{Disk: func(step string) error {
			if step == "committed" || step == "renamed" || step == "rename" {
				n.look()
			}
			return nil
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	n.source = NewSource(SourceConfig{Name: name, Copy: n.copy, Gate: blobGate{}, Blobs: n, MayPut: func(p Peer) bool { return p.Name == "root" }, Statement: func() []byte { return nil }})
	t.Cleanup(func() {
		n.source.Close()
		n.copy.Close()
	})
	return n
}

// look counts the blobs that the copy names and that are not there.
func (n *blobNode) look() {
	if n.copy == nil {
		return
	}
	for key, doc := range n.copy.View().Under("") {
		n.early.Add(int64(len(n.Missing(key, doc))))
	}
}

func named(doc []byte) (sum [32]byte, ok bool) {
	text, ok := strings.CutPrefix(string(doc), "blob ")
	b, err := hex.DecodeString(text)
	copy(sum[:], b)
	return sum, ok && err == nil && len(b) == len(sum)
}

func (n *blobNode) Missing(key string, doc []byte) [][32]byte {
	if sum, ok := named(doc); ok && !n.blobs.Has(sum) {
		return [][32]byte{sum}
	}
	return nil
}

func (n *blobNode) Has(sum [32]byte) bool { return n.blobs.Has(sum) }

func (n *blobNode) Part(sum [32]byte, offset int64, max int) ([]byte, int64, bool, error) {
	n.parts.Add(1)
	return n.blobs.Part(sum, offset, max)
}

func (n *blobNode) Begin(sum [32]byte) (BlobWriter, error) {
	w, err := n.blobs.Begin(sum)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// blobConn is a connection of which it is known who is at its other end.
type blobConn struct {
	net.Conn
	who string
}

// blobGate lets everybody in.
type blobGate struct{}

func (blobGate) Admit(_ context.Context, conn net.Conn) (Peer, error) {
	who := conn.(blobConn).who
	return Peer{Name: who, Access: blobAccess(who)}, nil
}

func (blobGate) Recheck(p Peer) (Peer, error) {
	if p.Name == "revoked" {
		return p, errors.New("revoked")
	}
	return p, nil
}

// blobAccess lets all read all, but for one.
type blobAccess string

func (a blobAccess) Readable(key string) bool {
	return a != "blind" || !strings.HasPrefix(key, "hidden/")
}
func (a blobAccess) Fingerprint() [32]byte {
	if a == "blind" {
		return [32]byte{1}
	}
	return [32]byte{}
}

// dial connects who to n, over a pipe.
func (n *blobNode) dial(who string) net.Conn {
	a, b := net.Pipe()
	n.source.Take(blobConn{b, who})
	return a
}

// follow has n follow sources until the test ends.
func (n *blobNode) follow(sources ...*blobNode) *Follower {
	ctx, cancel := context.WithCancel(context.Background())
	var addresses []string
	by := map[string]*blobNode{}
	for _, s := range sources {
		addresses, by[s.name] = append(addresses, s.name), s
	}
	rng := rand.New(rand.NewPCG(1, 2))
	boot := time.Now()
	f := NewFollower(FollowerConfig{
		Name: n.name, Copy: n.copy, Sources: addresses, Blobs: n,
		Dial:    func(_ context.Context, address string) (net.Conn, error) { return by[address].dial(n.name), nil },
		Lineage: func(store.Lineage, []byte) error { return nil }, Access: blobAccess(n.name).Fingerprint, Accessed: func([32]byte) error { return nil },
		Beat: n.source.Beat, Boot: func() time.Duration { return time.Since(boot) }, Random: rng.Uint64,
	})
	n.follower = f
	var done sync.WaitGroup
	done.Add(1)
	go func() { defer done.Done(); f.Run(ctx) }()
	n.t.Cleanup(func() { cancel(); done.Wait() })
	return f
}

// beats has a root live, until the test ends.
func (n *blobNode) beats() {
	ctx, cancel := context.WithCancel(context.Background())
	n.t.Cleanup(cancel)
	go func() {
		for pause(ctx, time.Second) {
			n.source.Beat(Beat{Time: time.Now(), Lineage: n.copy.View().Head().Lineage, Version: n.copy.View().Head().Version})
		}
	}()
}

// begin makes n the copy of a store that begins.
func (n *blobNode) begin() *blobNode {
	n.t.Helper()
	in, err := n.copy.BeginSnapshot(store.Head{Lineage: store.Lineage{7}})
	if err == nil {
		err = in.Commit()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.beats()
	return n
}

// commit puts a document at a key.
func (n *blobNode) commit(key, doc string) store.Version {
	n.t.Helper()
	view := n.copy.View()
	p := store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: key, Value: []byte(doc)}}}
	binary.LittleEndian.PutUint64(p.ID[:], uint64(view.Head().Version)+1)
	r, err := store.Prepare(view.Head(), p, view.Entry, blobStart, func() store.Salt { return store.Salt{1} })
	if err == nil {
		err = n.copy.Apply(context.Background(), []*store.Record{r})
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return r.Version
}

func blobContent(seed uint64, size int) ([]byte, [32]byte, string) {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	sum := sha256.Sum256(b)
	return b, sum, fmt.Sprintf("blob %x", sum)
}

// put puts a content on n alone.
func (n *blobNode) put(content []byte) {
	n.t.Helper()
	if _, err := n.blobs.Put(bytes.NewReader(content)); err != nil {
		n.t.Fatal(err)
	}
}

// reaches fails unless n is at a version within some time, with these blobs.
func (n *blobNode) reaches(v store.Version, within time.Duration, contents ...[]byte) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := n.copy.WaitFor(ctx, v); err != nil {
		n.t.Fatalf("%s is at version %d: %v; %v", n.name, n.copy.View().Head().Version, err, n.err())
	}
	for _, c := range contents {
		if got, err := n.blobs.Read(sha256.Sum256(c), len(c)); err != nil || !bytes.Equal(got, c) {
			n.t.Errorf("%s: %v", n.name, err)
		}
	}
	if early := n.early.Load(); early > 0 {
		n.t.Errorf("%s had %d times a version without its blobs", n.name, early)
	}
}

// A blob comes through relays, by records and by snapshots, before the version that names it; one that is there already does not come again.
func TestBlobsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, relay, leaf, late := newBlobNode(t, "root").begin(), newBlobNode(t, "relay"), newBlobNode(t, "leaf"), newBlobNode(t, "late")
		relay.follow(root)
		leaf.follow(relay)
		var all [][]byte
		var last store.Version
		for i, size := range []int{0, 1, BlobChunk - 1, BlobChunk, BlobChunk + 1, 3*BlobChunk + 7} {
			content, _, doc := blobContent(uint64(i), size)
			root.put(content)
			all = append(all, content)
			last = root.commit(fmt.Sprintf("file/%d", i), doc)
			relay.reaches(last, time.Minute, all...)
			leaf.reaches(last, time.Minute, all...)
		}
		sent := root.parts.Load()
		last = root.commit("file/again", string(bytes.Clone(mustGet(t, root, "file/5"))))
		leaf.reaches(last, time.Minute, all...)
		if root.parts.Load() != sent {
			t.Error("a blob that was there was asked for")
		}
		late.follow(leaf)
		late.reaches(last, time.Minute, all...)
	})
}

// err is what keeps n from following.
func (n *blobNode) err() error {
	if n.follower == nil {
		return nil
	}
	return n.follower.State().Err
}

func mustGet(t *testing.T, n *blobNode, key string) []byte {
	t.Helper()
	doc, ok := n.copy.View().Get(key)
	if !ok {
		t.Fatalf("no %s", key)
	}
	return doc
}

// Who may not read an entry does not need its blob.
func TestBlobsHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, blind := newBlobNode(t, "root").begin(), newBlobNode(t, "blind")
		content, sum, doc := blobContent(1, 1000)
		root.put(content)
		root.commit("hidden/a", doc)
		blind.follow(root)
		blind.reaches(1, time.Minute)
		blind.reaches(root.commit("hidden/b", doc), time.Minute)
		if blind.blobs.Has(sum) {
			t.Error("it has a blob that it does not need")
		}
	})
}

// A source that has lost a blob is asked again, for it gets it from elsewhere.
func TestBlobAbsent(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			root, leaf := newBlobNode(t, "root").begin(), newBlobNode(t, "leaf")
			content, _, doc := blobContent(1, BlobChunk+10)
			var f *Follower
			if !snapshot {
				f = leaf.follow(root)
				leaf.reaches(root.commit("before", "1"), time.Minute)
			}
			last := root.commit("file", doc)
			if snapshot {
				f = leaf.follow(root)
			}
			time.Sleep(3 * time.Second)
			if v := leaf.copy.View().Head().Version; v >= last {
				t.Fatalf("it is at version %d", v)
			}
			root.put(content)
			leaf.reaches(last, time.Second, content)

			content, _, doc = blobContent(2, 10)
			last = root.commit("file", doc)
			time.Sleep((blobTries-1)*blobRetry + firstRetry/2)
			var absent *AbsentError
			if err := f.State().Err; !errors.As(err, &absent) || absent.Hint() == "" {
				t.Errorf("%v", err)
			}
			if leaf.copy.View().Head().Version >= last {
				t.Error("it has a version without its blob")
			}
			root.put(content)
			leaf.reaches(last, time.Minute, content)
		})
	}
}

// A source that has lost a blob for good is left for one that has it.
func TestBlobElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, other, leaf := newBlobNode(t, "root").begin(), newBlobNode(t, "other"), newBlobNode(t, "leaf")
		other.follow(root)
		leaf.follow(root, other)
		leaf.reaches(root.commit("before", "1"), time.Minute)
		content, _, doc := blobContent(1, BlobChunk+10)
		other.put(content)
		last := root.commit("file", doc)
		other.reaches(last, time.Second, content)
		leaf.reaches(last, 2*blobTries*blobRetry, content)
	})
}

// What comes and is not the blob is not taken: another source is asked.
func TestBlobSpoilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, bad, leaf := newBlobNode(t, "root").begin(), newBlobNode(t, "bad"), newBlobNode(t, "leaf")
		bad.follow(root)
		content, sum, doc := blobContent(1, BlobChunk+10)
		root.put(content)
		last := root.commit("file", doc)
		bad.reaches(last, time.Minute, content)
		spoilt := bytes.Clone(content)
		spoilt[BlobChunk+5] ^= 1
		if err := os.WriteFile(filepath.Join(bad.dir, "blobs", hex.EncodeToString(sum[:])), spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		leaf.follow(bad, root)
		leaf.reaches(last, time.Minute, content)
		if bad.parts.Load() < 2 {
			t.Error("the one with the spoilt blob was not asked")
		}
	})
}

// A full disk of a follower keeps it where it is, which it says; it goes on by itself.
func TestBlobFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, leaf := newBlobNode(t, "root").begin(), newBlobNode(t, "leaf")
		f := leaf.follow(root)
		leaf.reaches(root.commit("before", "1"), time.Minute)
		leaf.full.Store(true)
		content, _, doc := blobContent(1, BlobChunk+10)
		root.put(content)
		last := root.commit("file", doc)
		time.Sleep(10 * blobDiskRetry)
		var disk *blobs.DiskError
		if s := f.State(); !errors.As(s.Err, &disk) || s.Source != "root" || leaf.copy.View().Head().Version >= last {
			t.Errorf("%+v, version %d", s, leaf.copy.View().Head().Version)
		}
		leaf.full.Store(false)
		leaf.reaches(last, blobDiskRetry+time.Second, content)
		if err := f.State().Err; err != nil {
			t.Error(err)
		}
	})
}

func exchange(t *testing.T, n *blobNode, who string) *Exchange {
	t.Helper()
	x, err := NewExchange(t.Context(), n.dial(who))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// Members of a root put blobs on each other, and a node that has lost one gets it again.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newBlobNode(t, "a").begin(), newBlobNode(t, "b").begin()
		x := exchange(t, b, "root")
		for i, size := range []int{0, 1, BlobChunk, 2*BlobChunk + 1} {
			content, sum, _ := blobContent(uint64(i), size)
			var absent *AbsentError
			if err := x.Fetch(t.Context(), sum, a); !errors.As(err, &absent) || a.Has(sum) {
				t.Errorf("%d octets: %v", size, err)
			}
			if err := x.Put(sum, a); err == nil {
				t.Error("what is not here was put there")
			}
			a.put(content)
			if err := x.Put(sum, a); err != nil {
				t.Fatal(err)
			}
			if got, err := b.blobs.Read(sum, size); err != nil || !bytes.Equal(got, content) {
				t.Error(err)
			}
			before := a.parts.Load()
			if err := x.Put(sum, a); err != nil || a.parts.Load() != before+1 { // it is there
				t.Errorf("%v; %d parts", err, a.parts.Load()-before)
			}
			c := newBlobNode(t, "c")
			if err := exchange(t, b, "c").Fetch(t.Context(), sum, c); err != nil || !c.Has(sum) {
				t.Errorf("%d octets: %v", size, err)
			}
		}
		if got := b.source.Followers(); len(got) != 0 {
			t.Errorf("%q follow", got)
		}
	})
}

func TestExchangeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newBlobNode(t, "a").begin(), newBlobNode(t, "b").begin()
		content, sum, _ := blobContent(1, BlobChunk+1)
		a.put(content)
		for who, code := range map[string]string{"follower": CodeRefused, "revoked": CodeRefused} {
			var g *Goodbye
			if err := exchange(t, b, who).Put(sum, a); !errors.As(err, &g) || g.Code != code {
				t.Errorf("%s: %v", who, err)
			}
		}
		b.full.Store(true)
		var g *Goodbye
		if err := exchange(t, b, "root").Put(sum, a); !errors.As(err, &g) || g.Code != CodeFailed || !strings.Contains(g.Mend, "make room") {
			t.Errorf("%v", err)
		}
		b.full.Store(false)
		// Parts that do not follow one another, are of another blob, or are not what was said.
		first := blobPart{sum: sum, offset: 0, size: BlobChunk + 1, data: content[:10]}
		for name, second := range map[string]blobPart{
			"a gap":        {sum: sum, offset: 11, size: BlobChunk + 1, data: content[11:20]},
			"another blob": {sum: [32]byte{1}, offset: 10, size: BlobChunk + 1, data: content[10:20]},
			"other octets": {sum: sum, offset: 10, size: BlobChunk + 1, data: content[11:BlobChunk]},
			"none":         {sum: sum, missing: true},
		} {
			x := exchange(t, b, "root")
			var err error
			for _, p := range []blobPart{first, second, {sum: sum, offset: BlobChunk - 1, size: BlobChunk + 1, data: content[BlobChunk-1:]}} {
				if err == nil {
					_, _, err = x.ask(frame(typeBlobPut, func(b []byte) []byte { return appendBlobPart(b, p) }), time.Second)
				}
			}
			if !errors.As(err, &g) || b.Has(sum) {
				t.Errorf("%s: %v", name, err)
			}
		}
		x := exchange(t, b, "root")
		if _, _, err := x.ask(frame(typeReport, func(b []byte) []byte { return b }), time.Second); !errors.As(err, &g) || g.Code != CodeProtocol {
			t.Errorf("a report: %v", err)
		}
		if err := exchange(t, b, "root").Put(sum, a); err != nil || !b.Has(sum) {
			t.Error(err)
		}

		b = newBlobNode(t, "b").begin()
		b.put(content)
		one := exchange(t, b, "c")
		for range maxExchanges - 1 {
			exchange(t, b, "c")
		}
		if _, err := NewExchange(t.Context(), b.dial("c")); !errors.As(err, &g) || g.Code != CodeBusy {
			t.Errorf("one too many: %v", err)
		}
		one.Close()
		synctest.Wait()
		if err := exchange(t, b, "c").Fetch(t.Context(), sum, newBlobNode(t, "c")); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		y, err := NewExchange(ctx, a.dial("c"))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if err := y.Put(sum, a); err == nil {
			t.Error("it goes on after its end")
		}
		y.Close()
	})
}

// FuzzBlobParts reads the frames of blobs, and writes what it has read in the same form.
func FuzzBlobParts(f *testing.F) {
	f.Add(appendBlobPart(nil, blobPart{sum: [32]byte{1}, offset: 3, size: 9, data: []byte("abc")}))
	f.Add(appendBlobPart(nil, blobPart{missing: true}))
	f.Add(appendBlobTaken(nil, blobTaken{sum: [32]byte{2}, offset: 7, whole: true}))
	f.Add(appendBlobAsk(nil, blobAsk{[32]byte{3}, 5}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseBlobPart(b); err == nil {
			if !bytes.Equal(appendBlobPart(nil, p), b) || p.offset+uint64(len(p.data)) > p.size || p.missing && len(p.data) > 0 {
				t.Errorf("%+v", p)
			}
		}
		if v, err := parseBlobTaken(b); err == nil && !bytes.Equal(appendBlobTaken(nil, v), b) {
			t.Errorf("%+v", v)
		}
		if v, err := parseBlobAsk(b); err == nil && !bytes.Equal(appendBlobAsk(nil, v), b) {
			t.Errorf("%+v", v)
		}
	})
}
