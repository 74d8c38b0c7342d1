package store_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// seen is a copy that is always at the head of a model.
type seen struct{ root *store.Model }

func (s seen) WaitFor(context.Context, store.Version) error { return nil }

func (s seen) View() store.View {
	v := view{entries: make(map[string]store.Entry)}
	v.head, _ = s.root.Entries(context.Background(), func(key string, e store.Entry) error { v.entries[key] = e; return nil })
	return v
}

type view struct {
	head    store.Head
	entries map[string]store.Entry
}

func (v view) Head() store.Head                          { return v.head }
func (v view) Entry(key string) (e store.Entry, ok bool) { e, ok = v.entries[key]; return }
func (v view) Get(key string) ([]byte, bool)             { e, ok := v.entries[key]; return e.Value, ok }
func (v view) Under(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(v.entries)) {
			if strings.HasPrefix(key, prefix) && !yield(key, v.entries[key].Value) {
				return
			}
		}
	}
}

func newWriter(root *store.Model) *store.Writer { return newWriterFrom(root, 0) }

// newWriterFrom makes one whose ids begin after n.
func newWriterFrom(root *store.Model, n byte) *store.Writer {
	return &store.Writer{
		Root: root, Copy: seen{root}, Now: func() time.Time { return time.Unix(1e9, 0) },
		Salt: func() store.Salt { return store.Salt{} }, ID: func() store.ID { n++; return store.ID{n} },
		Retry: func(_ context.Context, attempt int) error {
			if attempt < 3 {
				return nil
			}
			return errors.New("three times is enough")
		},
	}
}

// Of a commit whose answer was lost it is told what became of it, and never wrongly.
func TestWriterTellsWhatBecameOfACommit(t *testing.T) {
	for _, c := range []struct {
		name   string
		commit store.Fault
		lookup int // calls of Lookup that fail
		record bool
		err    string // "": none
		is     error
	}{
		{"done", store.None, 0, true, "", nil},
		{"not done", store.Before, 0, false, "as it was told to", nil},
		{"done, and the answer is lost", store.After, 0, true, "", nil},
		{"the same, and it can be looked up at the third try", store.After, 2, true, "", nil},
		{"not done, and the answer is lost", store.Unknown, 0, false, "was not made", nil},
		{"nobody knows", store.After, 9, true, "it is not known", store.ErrUnknown},
	} {
		root := store.NewModel(store.Lineage{1})
		root.Fault = func(call string) store.Fault {
			switch {
			case call == "Commit":
				return c.commit
			case call == "Lookup" && c.lookup > 0:
				c.lookup--
				return store.Before
			}
			return store.None
		}
		r, err := newWriter(root).Commit(t.Context(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "a", Value: []byte("1")}}})
		if (r != nil) != c.record || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, %v", c.name, r, err)
		}
		if c.is == nil && errors.Is(err, store.ErrUnknown) {
			t.Errorf("%s: it is known: %v", c.name, err)
		}
	}
}

func TestWriterTriesAgainWhereAnotherWasFirst(t *testing.T) {
	root := store.NewModel(store.Lineage{1})
	w, other := newWriter(root), newWriter(root)
	id := byte(200)
	other.ID = func() store.ID { id++; return store.ID{id} }
	before := 2
	w.Check = func(next store.Map, _ store.Proposal) error {
		if v, ok := next.Get("a"); !ok || string(v) != "1" {
			t.Errorf("the check sees %q", v)
		}
		if before--; before >= 0 {
			if _, err := other.Commit(t.Context(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "b", Value: []byte{byte('0' + before)}}}}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	r, err := w.Commit(t.Context(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "a", Value: []byte("1")}}})
	if err != nil || r.Version != 3 {
		t.Fatalf("%v, %v", r, err)
	}
	// What is made for a version is made anew for the next one.
	before = 2
	var made []store.Version
	r, err = w.Commit(t.Context(), store.Proposal{Kind: store.KindNow, Make: func(v store.View, p *store.Proposal) error {
		made = append(made, v.Head().Version)
		p.Edits = []store.Edit{{Key: "a", Value: []byte("1")}, {Key: "c", Value: []byte("9")}}
		return nil
	}})
	if err != nil || r.Version != 6 || !slices.Equal(made, []store.Version{3, 4, 5}) {
		t.Fatalf("%v, %v, made for %v", r, err, made)
	}
	w.Check = func(store.Map, store.Proposal) error { return errors.New("does not compile") }
	if _, err := w.Commit(t.Context(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "a", Value: []byte("2")}}}); err == nil {
		t.Error("committed what does not compile")
	}
	if h, _ := root.Head(t.Context()); h.Version != 6 {
		t.Errorf("head is %d", h.Version)
	}
}

func TestOverlay(t *testing.T) {
	under := view{entries: map[string]store.Entry{"a": {Value: []byte("1")}, "b/x": {Value: []byte("2")}, "b/z": {Value: []byte("3")}, "c": {Value: []byte("4")}}}
	m := store.Overlay(under, []store.Edit{{Key: "b/y", Value: []byte("5")}, {Key: "a", Delete: true}, {Key: "b/z", Value: []byte("6")}, {Key: "d", Value: []byte("7")}})
	for prefix, want := range map[string]string{"": "b/x=2 b/y=5 b/z=6 c=4 d=7 ", "b/": "b/x=2 b/y=5 b/z=6 ", "d": "d=7 ", "a": "", "e": ""} {
		var got strings.Builder
		for k, v := range m.Under(prefix) {
			got.WriteString(k + "=" + string(v) + " ")
		}
		if got.String() != want {
			t.Errorf("under %q: %q, want %q", prefix, got.String(), want)
		}
	}
	if _, ok := m.Get("a"); ok {
		t.Error("a is deleted")
	}
	if v, ok := m.Get("c"); !ok || string(v) != "4" {
		t.Error("c is there")
	}
}

// A commit whose answer is lost, and whose record leaves the log before it is looked up, is not said not to be made.
func TestWriterWhoseCommitLeftTheLog(t *testing.T) {
	root := store.NewModel(store.Lineage{1})
	w := newWriter(root)
	commit := func(value string) (*store.Record, error) {
		return w.Commit(context.Background(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "a", Value: []byte(value)}}})
	}
	root.Fault = func(call string) store.Fault {
		switch call {
		case "Commit":
			return store.After
		case "Lookup": // there is another commit, and the log is cut, before the first look
			root.Fault = nil
			if _, err := newWriterFrom(root, 100).Commit(context.Background(), store.Proposal{Kind: store.KindNow, Edits: []store.Edit{{Key: "b", Value: []byte("2")}}}); err != nil {
				t.Error(err)
			}
			if err := root.Trim(context.Background(), 1); err != nil {
				t.Error(err)
			}
		}
		return store.None
	}
	if r, err := commit("1"); !errors.Is(err, store.ErrUnknown) || r == nil {
		t.Fatalf("it is %v, %v", r, err)
	}
}

// deaf is a root of which most members are gone: nobody answers.
type deaf struct{ *store.Model }

func (deaf) Head(ctx context.Context) (store.Head, error) {
	<-ctx.Done()
	return store.Head{}, ctx.Err()
}

// A root without a quorum is told of in the time that was named, and not when every attempt has waited for as long as it may; whoever goes away first is told that.
func TestWriterWithoutAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(store.NewModel(store.Lineage{1}))
		w.Root, w.Patience = deaf{store.NewModel(store.Lineage{1})}, 10*time.Second
		began := time.Now()
		_, err := w.Commit(t.Context(), store.Proposal{Author: "ana", Edits: []store.Edit{{Key: "a", Value: []byte("1")}}})
		var quorum *store.QuorumError
		if !errors.As(err, &quorum) || quorum.Hint() == "" || time.Since(began) != w.Patience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Commit(ctx, store.Proposal{Author: "ana"}); errors.As(err, &quorum) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who had a second hears: %v", err)
		}
	})
}

// leaderless is a root that says at once why nobody answers.
type leaderless struct{ *store.Model }

var errLeaderless = errors.New("no leader")

func (leaderless) Head(ctx context.Context) (store.Head, error) {
	if ctx.Err() != nil {
		return store.Head{}, ctx.Err()
	}
	return store.Head{}, errLeaderless
}

// Why nobody answered is told, and not that the time was over: that it was the error says itself.
func TestWriterTellsWhyThereIsNoQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(store.NewModel(store.Lineage{1}))
		w.Root, w.Patience = leaderless{store.NewModel(store.Lineage{1})}, 10*time.Second
		w.Retry = func(ctx context.Context, _ int) error {
			select {
			case <-time.After(3 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		began := time.Now()
		_, err := w.Commit(t.Context(), store.Proposal{Author: "ana", Edits: []store.Edit{{Key: "a", Value: []byte("1")}}})
		var quorum *store.QuorumError
		if !errors.As(err, &quorum) || !errors.Is(err, errLeaderless) || time.Since(began) != w.Patience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
