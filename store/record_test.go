package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/store"
)

// world is a map of entries with its head, changed by records alone.
type world struct {
	head    store.Head
	entries map[string]store.Entry
	salts   byte
}

func newWorld() *world {
	return &world{head: store.Head{Lineage: store.Lineage{1}}, entries: make(map[string]store.Entry)}
}

func (w *world) salt() store.Salt { w.salts++; return store.Salt{w.salts} }

func (w *world) prepare(edits ...store.Edit) (*store.Record, error) {
	at := func(key string) (store.Entry, bool) { e, ok := w.entries[key]; return e, ok }
	return store.Prepare(w.head, store.Proposal{ID: store.ID{9}, Kind: store.KindNow, Author: "ada", Reason: "why", Edits: edits}, at, time.Unix(1e9, 0), w.salt)
}

func (w *world) apply(t interface{ Fatal(...any) }, r *store.Record) {
	next, err := w.head.Next(r)
	if err != nil {
		t.Fatal(err)
	}
	w.head = next
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(w.entries, c.Key)
		} else {
			w.entries[c.Key] = c.Entry
		}
	}
}

func (w *world) sum() store.Sum {
	var s store.Sum
	for key, e := range w.entries {
		s.Add(store.DigestOf(key, e))
	}
	return s
}

// The sum that heads carry is the sum over what is there, whatever was changed and however; records survive their encoding; and who may not read some keys checks
// the same hashes.
func TestRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		blind := w.head // of somebody who reads nothing below secret/
		keys := rapid.SampledFrom([]string{"a", "a/b", "secret/a", "secret/b", "~set/3/secret/a", "c/d/e"})
		for range rapid.IntRange(1, 20).Draw(t, "commits") {
			edits := make(map[string]store.Edit)
			for range rapid.IntRange(0, 5).Draw(t, "edits") {
				e := store.Edit{Key: keys.Draw(t, "key"), Delete: rapid.Bool().Draw(t, "delete")}
				if !e.Delete {
					e.Value = []byte(rapid.SampledFrom([]string{"", "x", "y", "long value"}).Draw(t, "value"))
				}
				edits[e.Key] = e
			}
			var list []store.Edit
			for e := range maps.Values(edits) {
				list = append(list, e)
			}
			r, err := w.prepare(list...)
			if err != nil {
				t.Fatal(err)
			}
			if r == nil {
				continue
			}
			w.apply(t, r)
			if w.head.Sum != w.sum() {
				t.Fatalf("the head's sum is not that of the entries after %v", r)
			}
			encoded := store.AppendRecord(nil, r)
			back, err := store.ParseRecord(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r, back); d != "" {
				t.Fatalf("encoded and read: %s", d)
			}
			if len(encoded) > store.MaxRecord {
				t.Fatalf("%d octets", len(encoded))
			}
			hidden := back.For(func(key string) bool { return !strings.HasPrefix(key, "secret/") })
			for _, c := range hidden.Changes {
				if strings.HasPrefix(c.Key, "secret/") || c.Was.Value != nil {
					t.Fatalf("travels: %+v", c)
				}
			}
			hidden, err = store.ParseRecord(store.AppendRecord(nil, hidden))
			if err != nil {
				t.Fatal(err)
			}
			if blind, err = blind.Next(hidden); err != nil {
				t.Fatal(err)
			}
			if blind != w.head {
				t.Fatalf("who may not read all is at %v, the others at %v", blind, w.head)
			}
		}
	})
}

// Whatever is changed in a record is found.
func TestRecordsAreChecked(t *testing.T) {
	w := newWorld()
	r, err := w.prepare(store.Edit{Key: "a", Value: []byte("1")}, store.Edit{Key: "b", Value: []byte("2")})
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(r *store.Record){
		"version":  func(r *store.Record) { r.Version++ },
		"id":       func(r *store.Record) { r.ID[3] ^= 1 },
		"kind":     func(r *store.Record) { r.Kind = store.KindLive },
		"time":     func(r *store.Record) { r.Time = r.Time.Add(time.Microsecond) },
		"author":   func(r *store.Record) { r.Author = "eve" },
		"reason":   func(r *store.Record) { r.Reason += "!" },
		"sum":      func(r *store.Record) { r.Sum[2]++ },
		"hash":     func(r *store.Record) { r.Hash[0] ^= 1 },
		"key":      func(r *store.Record) { r.Changes[0].Key = "c" },
		"value":    func(r *store.Record) { r.Changes[0].Entry.Value = []byte("3") },
		"salt":     func(r *store.Record) { r.Changes[0].Entry.Salt[0] ^= 1 },
		"new":      func(r *store.Record) { r.Changes[0].New[0] ^= 1 },
		"left out": func(r *store.Record) { r.Changes = r.Changes[1:] },
	} {
		bad, err := store.ParseRecord(store.AppendRecord(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		spoil(bad)
		_, err = w.head.Next(bad)
		var strayed *store.DivergenceError
		if !errors.As(err, &strayed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.head.Next(r); err != nil {
		t.Error(err)
	}
	// What is deleted leaves no digest of its key behind; a copy sees that its entry is another, and everybody that the keys are not in order.
	w.apply(t, r)
	if r, err = w.prepare(store.Edit{Key: "a", Delete: true}, store.Edit{Key: "b", Delete: true}); err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][2]string{{"a", "a"}, {"b", "a"}} {
		bad := *r
		bad.Changes = slices.Clone(r.Changes)
		bad.Changes[0].Key, bad.Changes[1].Key = keys[0], keys[1]
		var strayed *store.DivergenceError
		if _, err := w.head.Next(&bad); !errors.As(err, &strayed) {
			t.Errorf("keys %q: %v", keys, err)
		}
	}
}

func TestPrepareSaysWhichLimit(t *testing.T) {
	big := make([]byte, store.MaxValue)
	many := func(n int, value []byte) (out []store.Edit) {
		for i := range n {
			out = append(out, store.Edit{Key: fmt.Sprint("k", i), Value: value})
		}
		return out
	}
	for _, c := range []struct {
		name  string
		edits []store.Edit
		want  string
	}{
		{"empty key", []store.Edit{{Key: ""}}, "a key is empty"},
		{"long key", []store.Edit{{Key: strings.Repeat("k", 513)}}, "has 513 octets, more than 512"},
		{"slashes", []store.Edit{{Key: "a//b"}}, "empty part between slashes"},
		{"control", []store.Edit{{Key: "a\nb"}}, "control character"},
		{"not UTF-8", []store.Edit{{Key: "a\xff"}}, "not UTF-8"},
		{"twice", []store.Edit{{Key: "a"}, {Key: "a", Delete: true}}, `has the key "a" twice`},
		{"large value", []store.Edit{{Key: "a", Value: append(big, 1)}}, `the value of "a" has 65537 octets, more than 65536`},
		{"many keys", many(4097, nil), "changes 4097 keys, more than 4096"},
		{"large commit", many(65, big), "more than 4194304"},
	} {
		_, err := newWorld().prepare(c.edits...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// What changes nothing is no commit, and an edit that was made for another entry is refused.
func TestPrepareLooksAtWhatIsThere(t *testing.T) {
	w := newWorld()
	r, err := w.prepare(store.Edit{Key: "a", Value: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	w.apply(t, r)
	if r, err := w.prepare(store.Edit{Key: "a", Value: []byte("1")}, store.Edit{Key: "b", Delete: true}); r != nil || err != nil {
		t.Errorf("nothing changed, and it is %v, %v", r, err)
	}
	none := store.Digest{}
	was := store.DigestOf("a", w.entries["a"])
	if _, err := w.prepare(store.Edit{Key: "a", Value: []byte("2"), Old: &was}); err != nil {
		t.Error(err)
	}
	var conflict *store.ConflictError
	if _, err := w.prepare(store.Edit{Key: "a", Value: []byte("2"), Old: &none}); !errors.As(err, &conflict) || conflict.Key != "a" {
		t.Errorf("made for no entry, where one is: %v", err)
	}
	// A clock that was set back does not take the history with it.
	w.head.Time = time.Unix(2e9, 0).UTC()
	if r, _ := w.prepare(store.Edit{Key: "a", Value: []byte("2")}); !r.Time.Equal(w.head.Time) {
		t.Errorf("the time of the commit is %v, before that of the one before", r.Time)
	}
}

func FuzzParseRecord(f *testing.F) {
	w := newWorld()
	for _, edits := range [][]store.Edit{{{Key: "a", Value: []byte("1")}}, {{Key: "a", Value: []byte("2")}, {Key: "b/c", Value: []byte{}}}, {{Key: "a", Delete: true}}} {
		r, err := w.prepare(edits...)
		if err != nil {
			f.Fatal(err)
		}
		w.apply(f, r)
		f.Add(store.AppendRecord(nil, r))
		f.Add(store.AppendRecord(nil, r.For(func(string) bool { return false })))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := store.ParseRecord(b)
		if err != nil {
			return
		}
		again := store.AppendRecord(nil, r)
		if string(again) != string(b) {
			t.Fatalf("%x is read, and written as %x", b, again)
		}
	})
}

func TestParseLineage(t *testing.T) {
	l := store.Lineage{1, 15: 0xfe}
	for text, ok := range map[string]bool{l.String(): true, "": false, l.String()[2:]: false, l.String()[1:]: false, l.String() + "ab": false, strings.Repeat("xy", 16): false} {
		if got, err := store.ParseLineage(text); (err == nil) != ok || ok && got != l || !ok && got != (store.Lineage{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	w := newWorld()
	f.Add(store.AppendHead(nil, store.Head{Lineage: store.Lineage{1}}))
	r, err := w.prepare(store.Edit{Key: "a", Value: []byte("1")})
	if err != nil {
		f.Fatal(err)
	}
	w.apply(f, r)
	f.Add(store.AppendHead(nil, w.head))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := store.ParseHead(b)
		if err != nil {
			return
		}
		if again := store.AppendHead(nil, h); string(again) != string(b) {
			t.Fatalf("%x is read, and written as %x", b, again)
		}
	})
}
