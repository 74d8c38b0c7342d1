package replica_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// world is a store as plain maps: what a copy is compared with.
type world struct {
	head    store.Head
	entries map[string]store.Entry
	past    []map[string]store.Entry // by version, 0 first
	log     []*store.Record
	salts   uint64
	now     time.Time
}

func newWorld() *world {
	w := &world{head: store.Head{Lineage: store.Lineage{1}}, entries: map[string]store.Entry{}, now: time.Unix(1e9, 0)}
	w.past = append(w.past, w.entries)
	return w
}

// commit makes a record, and the next version of the world.
func (w *world) commit(t fataler, edits ...store.Edit) *store.Record {
	t.Helper()
	w.salts++
	n := w.salts
	salt := func() (s store.Salt) { n += 1 << 32; binary.LittleEndian.PutUint64(s[:], n); return s }
	at := func(key string) (store.Entry, bool) { e, ok := w.entries[key]; return e, ok }
	var id store.ID
	binary.LittleEndian.PutUint64(id[:], n)
	r, err := store.Prepare(w.head, store.Proposal{ID: id, Kind: store.KindNow, Author: "ada", Reason: "why", Edits: edits}, at, w.now, salt)
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		return nil
	}
	if w.head, err = w.head.Next(r); err != nil {
		t.Fatal(err)
	}
	w.entries = maps.Clone(w.entries)
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(w.entries, c.Key)
		} else {
			w.entries[c.Key] = c.Entry
		}
	}
	w.past, w.log = append(w.past, w.entries), append(w.log, r)
	return r
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// random makes one of a few keys something else.
func random(rng *rand.Rand, keys, changes int) []store.Edit {
	var edits []store.Edit
	for _, i := range rng.Perm(keys)[:min(keys, 1+rng.IntN(changes))] {
		e := store.Edit{Key: fmt.Sprintf("k/%03d", i)}
		if i%5 == 0 {
			e.Key = fmt.Sprintf("%s%d", store.SecretPrefix, i)
		}
		if e.Delete = rng.IntN(3) == 0; !e.Delete {
			e.Value = []byte(strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(500)))
		}
		edits = append(edits, e)
	}
	return edits
}

var nodeKey = bytes.Repeat([]byte{7}, 32)

// open opens the copy in a folder as most tests do.
func open(t testing.TB, dir string, change ...func(*replica.Options)) *replica.Replica {
	t.Helper()
	opt := replica.Options{Now: func() time.Time { return time.Unix(1e9, 0) }, Key: nodeKey, Random: rand.NewChaCha8([32]byte{1})}
	for _, c := range change {
		c(&opt)
	}
	r, err := replica.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// begun puts an empty snapshot of the world's lineage on a copy.
func begin(t fataler, r *replica.Replica, head store.Head, entries map[string]store.Entry) {
	t.Helper()
	in, err := r.BeginSnapshot(head)
	if err != nil {
		t.Fatal(err)
	}
	for key, e := range entries {
		if err := in.Add(key, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Commit(); err != nil {
		t.Fatal(err)
	}
}

func start() store.Head { return store.Head{Lineage: store.Lineage{1}} }

// differs says where a view is not what a world was at the view's version.
func (w *world) differs(v *replica.View) error {
	n := v.Head().Version
	if int(n) >= len(w.past) {
		return fmt.Errorf("it is at version %d, which never was", n)
	}
	want := w.past[n]
	got := maps.Collect(v.All())
	if d := cmp.Diff(want, got, cmp.Comparer(func(x, y store.Entry) bool { return x.Salt == y.Salt && bytes.Equal(x.Value, y.Value) })); d != "" {
		return fmt.Errorf("at version %d: %s", n, d)
	}
	if n > 0 && (v.Head().Hash != w.log[n-1].Hash || v.Head().Sum != w.log[n-1].Sum || v.Head().ID != w.log[n-1].ID || !v.Head().Time.Equal(w.log[n-1].Time)) {
		return fmt.Errorf("the head of version %d is %+v", n, v.Head())
	}
	var keys []string
	for key, e := range want {
		if value, ok := v.Get(key); !ok || !bytes.Equal(value, e.Value) {
			return fmt.Errorf("at version %d %q is %q", n, key, value)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var under []string
	for key := range v.Under("") {
		under = append(under, key)
	}
	if !slices.Equal(keys, under) {
		return fmt.Errorf("at version %d the keys are %q", n, under)
	}
	return nil
}

// log checks what the log of a copy has.
func (w *world) logDiffers(r *replica.Replica) error {
	head, floor := r.View().Head().Version, r.Floor()
	after := floor
	for after < head {
		records, err := r.Records(after, 3000)
		if err != nil {
			return err
		}
		for _, rec := range records {
			after++
			if d := cmp.Diff(w.log[after-1], rec); d != "" {
				return fmt.Errorf("record %d: %s", after, d)
			}
		}
		if len(records) == 0 {
			return fmt.Errorf("the log ends at %d, the head is %d", after, head)
		}
	}
	for v := floor; v <= head; v++ {
		m, err := r.At(v)
		if err != nil {
			return err
		}
		got := map[string]string{}
		for key, value := range m.Under("") {
			got[key] = string(value)
		}
		want := map[string]string{}
		for key, e := range w.past[v] {
			want[key] = string(e.Value)
		}
		if d := cmp.Diff(want, got); d != "" {
			return fmt.Errorf("as of version %d: %s", v, d)
		}
	}
	return nil
}

func apply(t fataler, r *replica.Replica, records ...*store.Record) {
	t.Helper()
	if err := r.Apply(context.Background(), records); err != nil {
		t.Fatal(err)
	}
}
