package identity

import (
	"crypto/x509"
	"errors"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
)

// world is a store in memory with one member of the root, r1, on a clock that the test sets.
type world struct {
	testing.TB
	head    store.Head
	entries map[string]store.Entry
	now     time.Time
	random  *rand.ChaCha8
	dir     string // of the node that is tried, where a test has one

	root      *Identity
	authority *Authority
	storeKey  Key
}

// quick is the disk of tests that don't lose power.
type quick struct{ wholefile.OS }

func (d quick) Create(dir, pattern string) (wholefile.File, error) {
	f, err := d.OS.Create(dir, pattern)
	return quickFile{f}, err
}

func (quick) SyncDir(string) error { return nil }

type quickFile struct{ wholefile.File }

func (quickFile) Sync() error { return nil }

// born is when the stores of tests are made.
var born = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world { return newWorldFrom(t, 1) }

func newWorldFrom(t testing.TB, seed byte) *world {
	t.Helper()
	w := &world{TB: t, entries: make(map[string]store.Entry), now: born, random: rand.NewChaCha8([32]byte{seed})}
	w.root = w.open(t.TempDir())
	w.must(w.root.Found("r1", w.now, w.random))
	var err error
	w.authority, err = w.root.Authority()
	w.must(err)
	w.storeKey, err = w.root.StoreKey()
	w.must(err)
	first, err := w.root.First(Labels{"site": "lis"}, "192.0.2.1:8054")
	w.must(err)
	w.must(w.commit(first))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) open(dir string) *Identity {
	w.Helper()
	i, err := Open(quick{}, dir)
	w.must(err)
	return i
}

func (w *world) clock() time.Time { return w.now }

// The world is a view of itself as it is at the moment.
func (w *world) Head() store.Head                          { return w.head }
func (w *world) Entry(key string) (e store.Entry, ok bool) { e, ok = w.entries[key]; return }
func (w *world) Get(key string) ([]byte, bool)             { e, ok := w.entries[key]; return e.Value, ok }
func (w *world) Under(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(w.entries)) {
			if strings.HasPrefix(key, prefix) && !yield(key, w.entries[key].Value) {
				return
			}
		}
	}
}

// frozen is the view as it is now, for who falls behind.
func (w *world) frozen() *world {
	out := *w
	out.entries = maps.Clone(w.entries)
	return &out
}

// commit is a commit as a root makes it.
func (w *world) commit(edits ...store.Edit) error {
	if err := CheckEdits(edits); err != nil {
		return err
	}
	p := store.Proposal{Kind: store.KindNode, Author: "test", Edits: edits}
	r, err := store.Prepare(w.head, p, w.Entry, w.now, func() (s store.Salt) { w.random.Read(s[:]); return s })
	if err != nil || r == nil {
		return err
	}
	if w.head, err = w.head.Next(r); err != nil {
		return err
	}
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(w.entries, c.Key)
		} else {
			w.entries[c.Key] = c.Entry
		}
	}
	return nil
}

// put commits a document, whatever it is.
func (w *world) put(key, doc string) {
	w.Helper()
	delete(w.entries, key)
	if doc != "" {
		w.entries[key] = store.Entry{Value: []byte(doc)}
	}
}

func (w *world) token(r TokenRequest) Token {
	w.Helper()
	r.Authority = w.authority.Fingerprint()
	t, edits, err := NewToken(w, r, w.now, w.random)
	w.must(err)
	w.must(w.commit(edits...))
	return t
}

func (w *world) redeem(r JoinRequest) (*Grant, error) {
	return Redeem(w, w.authority, w.root.Bundle(), w.storeKey, r, w.now, w.random)
}

// join makes a node of the store.
func (w *world) join(name string, r TokenRequest) *Identity {
	w.Helper()
	i := w.open(w.TempDir())
	w.joinAs(i, name, w.token(r))
	return i
}

func (w *world) joinAs(i *Identity, name string, t Token) {
	w.Helper()
	request, err := i.Join(t, name, w.random)
	w.must(err)
	g, err := w.redeem(request)
	w.must(err)
	w.must(w.commit(g.Edits...))
	w.must(i.Accept(t.Authority, name, g.Reply, w.now))
}

func (w *world) revoke(name string) {
	w.Helper()
	edits, err := Revoke(w, name, "ada", "its disk was sold", w.now)
	w.must(err)
	w.must(w.commit(edits...))
}

func (w *world) renew(i *Identity, newKey bool) (*Renewal, error) {
	w.Helper()
	r, err := i.Renewal(newKey, w.random)
	w.must(err)
	parsed, err := ParseRenewRequest(r.Encode())
	w.must(err)
	return Renew(w, w.authority, w.root.Bundle(), parsed, w.now, w.random)
}

func (w *world) check(cert *x509.Certificate) (Peer, error) {
	return w.root.Bundle().Check(w, cert, w.now)
}

// reasonOf is "" for no error, the reason of a refusal, and else the text.
func reasonOf(err error) string {
	var r *Refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r):
		return string(r.Reason)
	}
	return err.Error()
}

// wantReason holds an error against a reason, and sees to it that it says what to do.
func wantReason(t testing.TB, what string, err error, want Reason) {
	t.Helper()
	if reasonOf(err) != string(want) {
		t.Errorf("%s: %v, want %q", what, err, want)
	} else if err != nil && AsRefusal(err).Hint() == "" {
		t.Errorf("%s: %v: no hint", what, err)
	}
}
