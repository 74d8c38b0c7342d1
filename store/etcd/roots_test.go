package etcd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// behaviours are what every root does. Each begins with a root of its own, whose lineage nothing was committed to.
var behaviours = []struct {
	name string
	test func(t *testing.T, root store.Root, w *writer)
}{
	{"a commit is seen by all who ask", func(t *testing.T, root store.Root, w *writer) {
		first := commit(t, root, w, edit("a", "1"), edit("b", "2"))
		second := commit(t, root, w, edit("a", ""), edit("b", "3"), edit("c", "x"))
		if got, err := root.Head(t.Context()); err != nil || got != w.head {
			t.Errorf("the head is %+v, %v", got, err)
		}
		wantRecords(t, root, 0, first, second)
		wantRecords(t, root, 1, second)
		wantRecords(t, root, 2)
		wantRecords(t, root, 9) // it is ahead, which is not for the log to tell
		wantEntries(t, root, w)
	}},
	{"a commit of the largest size is taken", func(t *testing.T, root store.Root, w *writer) {
		var edits []store.Edit
		for i := range store.MaxCommit / store.MaxValue {
			edits = append(edits, edit(fmt.Sprintf("large/%02d", i), strings.Repeat("v", store.MaxValue-8)))
		}
		r := commit(t, root, w, edits...)
		for i := range edits {
			edits[i] = edit(edits[i].Key, strings.Repeat("w", store.MaxValue-8)) // and replaces as much
		}
		again := commit(t, root, w, edits...)
		edits = nil
		for i := range store.MaxChanges {
			key := fmt.Sprintf("%04d/%s", i, strings.Repeat("k", store.MaxKey-5))
			edits = append(edits, edit(key, strings.Repeat("v", store.MaxCommit/store.MaxChanges-store.MaxKey)))
		}
		many := commit(t, root, w, edits...)
		wantRecords(t, root, 0, r, again, many)
		wantEntries(t, root, w)
	}},
	{"the second of two on one head is told of the first", func(t *testing.T, root store.Root, w *writer) {
		before, other := w.head, w.record(edit("a", "2"))
		first := commit(t, root, w, edit("a", "1"))
		var conflict *store.ConflictError
		if err := root.Commit(t.Context(), before, other, nil); !errors.As(err, &conflict) || conflict.Head != w.head {
			t.Errorf("got %v", err)
		}
		wantRecords(t, root, 0, first)
		wantEntries(t, root, w)
	}},
	{"a commit that is sent twice is done once", func(t *testing.T, root store.Root, w *writer) {
		before := w.head
		r := commit(t, root, w, edit("a", "1"))
		if err := root.Commit(t.Context(), before, r, nil); err != nil {
			t.Error(err)
		}
		next := commit(t, root, w, edit("a", "2"))
		if err := root.Commit(t.Context(), before, r, nil); err != nil {
			t.Error(err)
		}
		wantRecords(t, root, 0, r, next)
	}},
	{"a record that does not follow its head is refused", func(t *testing.T, root store.Root, w *writer) {
		before := w.head
		commit(t, root, w, edit("a", "1"))
		var divergence *store.DivergenceError
		if err := root.Commit(t.Context(), before, w.record(edit("b", "1")), nil); !errors.As(err, &divergence) {
			t.Errorf("got %v", err)
		}
	}},
	{"what is looked up in vain is not made any more", func(t *testing.T, root store.Root, w *writer) {
		done := commit(t, root, w, edit("a", "1"))
		late := w.record(edit("a", "2"))
		wantVersion(t, root, done.ID, 1)
		wantVersion(t, root, late.ID, 0)
		if err := root.Commit(t.Context(), w.head, late, nil); !errors.Is(err, store.ErrGivenUp) {
			t.Errorf("got %v", err)
		}
		wantVersion(t, root, late.ID, 0)
		commit(t, root, w, edit("a", "3"))
		wantVersion(t, root, done.ID, 1)
		wantRecords(t, root, 0, done, last(t, root))
	}},
	{"records come a few at a time", func(t *testing.T, root store.Root, w *writer) {
		var all []*store.Record
		for i := range 40 {
			all = append(all, commit(t, root, w, edit("a", strings.Repeat("x", 1000+i))))
		}
		one := len(store.AppendRecord(nil, lean(all[20])))
		for most, want := range map[int]int{0: 1, one: 1, 3*one + 20: 3, 1 << 20: 20} {
			got, err := root.Records(t.Context(), 20, most)
			if err != nil || len(got) != want || got[0].Version != 21 {
				t.Errorf("%d records of %d octets, %v", len(got), most, err)
			}
		}
	}},
	{"the log is followed from where one is", func(t *testing.T, root store.Root, w *writer) {
		var all []*store.Record
		for i := range 20 {
			all = append(all, commit(t, root, w, edit("a", fmt.Sprint(i))))
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		got, ended := make(chan *store.Record), make(chan error)
		go func() {
			ended <- root.Follow(ctx, 5, func(r *store.Record) error { got <- r; return nil })
		}()
		for i := 5; i < 20; i++ {
			wantRecord(t, <-got, all[i])
		}
		for i := range 10 {
			r := commit(t, root, w, edit("b", fmt.Sprint(i)))
			wantRecord(t, <-got, r)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("following ended with %v", err)
		}
		enough := errors.New("enough")
		if err := root.Follow(t.Context(), 0, func(*store.Record) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("following ended with %v", err)
		}
	}},
	{"a log that was cut says where it begins", func(t *testing.T, root store.Root, w *writer) {
		var all []*store.Record
		for i := range 10 {
			all = append(all, commit(t, root, w, edit("a", fmt.Sprint(i)), edit(fmt.Sprint("k", i), "v")))
		}
		for _, upto := range []store.Version{0, 4, 4, 2} {
			if err := root.Trim(t.Context(), upto); err != nil {
				t.Fatal(err)
			}
		}
		var floor *store.FloorError
		for after := range store.Version(4) {
			if _, err := root.Records(t.Context(), after, 1<<20); !errors.As(err, &floor) || *floor != (store.FloorError{Asked: after, Floor: 4}) {
				t.Errorf("records after %d: %v", after, err)
			}
		}
		if err := root.Follow(t.Context(), 3, func(*store.Record) error { return errors.New("a record came") }); !errors.As(err, &floor) {
			t.Errorf("following: %v", err)
		}
		wantRecords(t, root, 4, all[4:]...)
		wantVersion(t, root, all[4].ID, 5)
		if err := root.Trim(t.Context(), 99); err != nil { // the head's stays
			t.Fatal(err)
		}
		wantRecords(t, root, 9, all[9])
		wantRecords(t, root, 10)
		wantVersion(t, root, all[9].ID, 10)
		wantEntries(t, root, w)
		commit(t, root, w, edit("a", "on"))
	}},
	{"nothing is there at first", func(t *testing.T, root store.Root, w *writer) {
		if got, err := root.Head(t.Context()); err != nil || got.Version != 0 || got.Lineage == (store.Lineage{}) {
			t.Errorf("the head is %+v, %v", got, err)
		}
		wantRecords(t, root, 0)
		wantEntries(t, root, w)
		if err := root.Trim(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}},
	{"one leads, and a commit of who does not is refused", func(t *testing.T, root store.Root, w *writer) {
		first, err := root.Elect(t.Context(), "lis01")
		if err != nil {
			t.Fatal(err)
		}
		elected := func(want string) {
			t.Helper()
			if r, ok := root.(*etcd.Root); ok { // who drives is told by etcd alone
				if got, err := r.Elected(t.Context()); got != want || err != nil {
					t.Errorf("%q leads, not %q: %v", got, want, err)
				}
			}
		}
		elected("lis01")
		under := w.record(edit("a", "1"))
		if err := root.Commit(t.Context(), w.head, under, first); err != nil {
			t.Fatal(err)
		}
		before := w.head
		w.made(under)
		var conflict *store.ConflictError
		if err := root.Commit(t.Context(), before, newWriter(before, 9).record(edit("b", "1")), first); !errors.As(err, &conflict) {
			t.Errorf("got %v", err)
		}
		waiting, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		if _, err := root.Elect(waiting, "lis02"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second leader: %v", err)
		}
		second := make(chan store.Term)
		go func() {
			term, err := root.Elect(t.Context(), "lis02")
			if err != nil {
				t.Error(err)
			}
			second <- term
		}()
		if err := first.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-first.Done()
		term := <-second
		elected("lis02")
		late := w.record(edit("a", "2"))
		if err := root.Commit(t.Context(), w.head, late, first); !errors.Is(err, store.ErrTerm) {
			t.Errorf("got %v", err)
		}
		if err := root.Commit(t.Context(), w.head, late, term); err != nil {
			t.Error(err)
		}
		w.made(late)
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		elected("")
		commit(t, root, w, edit("a", "3"))
	}},
}

func TestRoots(t *testing.T) {
	for name, open := range map[string]func(*testing.T) store.Root{
		"model": func(*testing.T) store.Root { return store.NewModel(store.Lineage{1}) },
		"etcd":  func(t *testing.T) store.Root { return open(t, config(t)) },
	} {
		for _, b := range behaviours {
			t.Run(name+"/"+b.name, func(t *testing.T) {
				root := open(t)
				head, err := root.Head(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				b.test(t, root, newWriter(head, 2))
			})
		}
	}
}

// commit commits edits, which has to work.
func commit(t testing.TB, root store.Root, w *writer, edits ...store.Edit) *store.Record {
	t.Helper()
	r := w.record(edits...)
	if err := root.Commit(t.Context(), w.head, r, nil); err != nil {
		t.Fatalf("committing version %d: %v", r.Version, err)
	}
	w.made(r)
	return r
}

// last returns the last record.
func last(t testing.TB, root store.Root) *store.Record {
	t.Helper()
	head, err := root.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := root.Records(t.Context(), head.Version-1, 1<<20)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	return got[0]
}

// lean is a record without what was there before, which a root may leave out.
func lean(r *store.Record) *store.Record { return r.For(func(string) bool { return true }) }

func wantRecord(t testing.TB, got, want *store.Record) {
	t.Helper()
	if !bytes.Equal(store.AppendRecord(nil, lean(want)), store.AppendRecord(nil, lean(got))) {
		t.Errorf("the record of version %d:\n%s", want.Version, cmp.Diff(lean(want), lean(got)))
	}
}

func wantRecords(t *testing.T, root store.Root, after store.Version, want ...*store.Record) {
	t.Helper()
	var got []*store.Record
	for from := after; ; {
		some, err := root.Records(t.Context(), from, 1<<20)
		if err != nil {
			t.Fatalf("records after %d: %v", from, err)
		}
		if len(some) == 0 {
			break
		}
		got, from = append(got, some...), some[len(some)-1].Version
	}
	if len(got) != len(want) {
		t.Fatalf("%d records after %d, want %d", len(got), after, len(want))
	}
	for i := range got {
		wantRecord(t, got[i], want[i])
	}
}

func wantEntries(t *testing.T, root store.Root, w *writer) {
	t.Helper()
	got := make(map[string]store.Entry)
	head, err := root.Entries(t.Context(), func(key string, e store.Entry) error { got[key] = e; return nil })
	if err != nil || head != w.head {
		t.Errorf("the entries are of %+v, %v", head, err)
	}
	if !maps.EqualFunc(got, w.entries, func(a, b store.Entry) bool { return a.Salt == b.Salt && string(a.Value) == string(b.Value) }) {
		few := func(m map[string]store.Entry) []string { return slices.Sorted(maps.Keys(m))[:min(len(m), 20)] }
		t.Errorf("there are %d entries, of the keys %q; want %d, of %q", len(got), few(got), len(w.entries), few(w.entries))
	}
	enough := errors.New("enough")
	if _, err := root.Entries(t.Context(), func(string, store.Entry) error { return enough }); len(got) > 0 && !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func wantVersion(t *testing.T, root store.Root, id store.ID, want store.Version) {
	t.Helper()
	if got, err := root.Lookup(t.Context(), id); err != nil || got != want {
		t.Errorf("commit %v has version %d, want %d: %v", id, got, want, err)
	}
}
