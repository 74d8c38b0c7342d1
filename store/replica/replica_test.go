package replica_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// A copy has what was committed, whatever came: records one by one or in batches, snapshots, and after it was opened again. Its log has what each version replaced, as
// far as it reaches.
func TestReplicaIsTheStore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		logBytes := rapid.SampledFrom([]int64{1 << 30, 20000, 1}).Draw(rt, "log")
		w := newWorld()
		options := func(o *replica.Options) { o.LogBytes = logBytes }
		r := open(t, dir, options)
		defer func() { r.Close() }()
		begin(rt, r, start(), nil)
		behind := []*store.Record{}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				if rec := w.commit(rt, random(rng, 60, 20)...); rec != nil {
					behind = append(behind, rec)
				}
			},
			"apply": func(rt *rapid.T) {
				n := rapid.IntRange(0, len(behind)).Draw(rt, "records")
				apply(rt, r, behind[:n]...)
				behind = behind[n:]
			},
			"snapshot": func(rt *rapid.T) {
				begin(rt, r, w.head, w.entries)
				behind = nil
				if r.Floor() != w.head.Version {
					rt.Fatalf("the floor is %d after a snapshot of version %d", r.Floor(), w.head.Version)
				}
			},
			"reopen": func(rt *rapid.T) {
				before := r.View()
				if err := r.Close(); err != nil {
					rt.Fatal(err)
				}
				r = open(t, dir, options)
				if r.Found() != nil {
					rt.Fatal(r.Found())
				}
				if r.View().Head() != before.Head() || r.Floor() != before.Floor() {
					rt.Fatalf("it was at %+v, and is at %+v", before.Head(), r.View().Head())
				}
			},
			"": func(rt *rapid.T) {
				if err := w.differs(r.View()); err != nil {
					rt.Fatal(err)
				}
				if err := w.logDiffers(r); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}

// What does not follow is refused, and leaves the copy as it was; what came before it in the same call stays.
func TestApplyRefusesWhatDoesNotFollow(t *testing.T) {
	w := newWorld()
	r := open(t, t.TempDir())
	begin(t, r, start(), nil)
	set := func(key, value string) *store.Record {
		return w.commit(t, store.Edit{Key: key, Value: []byte(value)})
	}
	one, two, three := set("a", "1"), set("a", "2"), set("b", "1")
	var strayed *store.DivergenceError
	if err := r.Apply(t.Context(), []*store.Record{one, three}); !errors.As(err, &strayed) || r.View().Head().Version != 1 {
		t.Fatalf("a gap: %v, at version %d", err, r.View().Head().Version)
	}
	spoilt := *two
	spoilt.Changes = []store.Change{two.Changes[0]}
	spoilt.Changes[0].Entry.Value = []byte("3")
	if err := r.Apply(t.Context(), []*store.Record{&spoilt}); !errors.As(err, &strayed) {
		t.Fatalf("another document: %v", err)
	}
	apply(t, r, one, two, three) // what it has is passed over
	if err := w.differs(r.View()); err != nil {
		t.Fatal(err)
	}

	// Records that are right in themselves, for a copy that has something else: its sum was right, one entry for another.
	strange := newWorld()
	strange.commit(t, store.Edit{Key: "a", Value: []byte("1")})
	hidden := strange.log[0].For(func(string) bool { return false })
	change := strange.commit(t, store.Edit{Key: "a", Value: []byte("2")})
	s := open(t, t.TempDir())
	begin(t, s, start(), nil)
	apply(t, s, hidden)
	if n, _ := s.View().Hidden(); n != 1 {
		t.Fatalf("%d hidden entries", n)
	}
	if err := s.Apply(t.Context(), []*store.Record{change}); !errors.As(err, &strayed) {
		t.Fatalf("a change of an entry that the copy has not: %v", err)
	}
}

// A node that may not read some keys has their sum, before and after it is opened again, and by snapshot as well.
func TestHiddenEntries(t *testing.T) {
	w := newWorld()
	rng := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	r := open(t, dir, func(o *replica.Options) { o.Key = nil })
	begin(t, r, start(), nil)
	readable := func(key string) bool { return key[0] != '~' }
	check := func() {
		t.Helper()
		var sum store.Sum
		count := uint64(0)
		for key, e := range w.entries {
			if !readable(key) {
				count++
				sum.Add(store.DigestOf(key, e))
			}
		}
		if n, s := r.View().Hidden(); n != count || s != sum || r.View().Head() != w.head {
			t.Fatalf("%d hidden entries, not %d; their sum: %v", n, count, s == sum)
		}
	}
	for i := range 60 {
		rec := w.commit(t, random(rng, 40, 10)...)
		if rec == nil {
			continue
		}
		apply(t, r, rec.For(readable))
		if i%10 == 0 {
			r.Close()
			r = open(t, dir, func(o *replica.Options) { o.Key = nil })
		}
		check()
	}
	in, err := r.BeginSnapshot(w.head)
	if err != nil {
		t.Fatal(err)
	}
	var sum store.Sum
	var count uint64
	for key, e := range w.entries {
		if readable(key) {
			if err := in.Add(key, e); err != nil {
				t.Fatal(err)
			}
			continue
		}
		count++
		sum.Add(store.DigestOf(key, e))
	}
	in.Hidden(count, sum)
	if err := in.Commit(); err != nil {
		t.Fatal(err)
	}
	check()
	r.Close()
	r = open(t, dir, func(o *replica.Options) { o.Key = nil })
	check()
}

func TestSnapshots(t *testing.T) {
	w := newWorld()
	for range 5 {
		w.commit(t, store.Edit{Key: "a", Value: []byte{byte('0' + len(w.log))}})
	}
	r := open(t, t.TempDir())
	begin(t, r, w.head, w.entries)
	var older *replica.OlderError
	past := store.Head{Lineage: w.head.Lineage, Version: 4, Hash: w.log[3].Hash, Sum: w.log[3].Sum}
	if _, err := r.BeginSnapshot(past); !errors.As(err, &older) {
		t.Errorf("an older one: %v", err)
	}
	wrong := w.head
	wrong.Version, wrong.Sum[0] = 6, wrong.Sum[0]+1
	in, err := r.BeginSnapshot(wrong)
	if err != nil {
		t.Fatal(err)
	}
	for key, e := range w.entries {
		if err := in.Add(key, e); err != nil {
			t.Fatal(err)
		}
		if err := in.Add(key, e); err == nil {
			t.Error("a key twice")
		}
	}
	var strayed *store.DivergenceError
	if err := in.Commit(); !errors.As(err, &strayed) {
		t.Errorf("a wrong sum: %v", err)
	}
	if err := in.Commit(); err == nil || in.Add("b", store.Entry{}) == nil {
		t.Error("a snapshot is committed twice")
	}
	// One that was begun before the copy went on is older when it is done.
	late, err := r.BeginSnapshot(w.head)
	if err != nil {
		t.Fatal(err)
	}
	for key, e := range w.entries {
		late.Add(key, e)
	}
	apply(t, r, w.commit(t, store.Edit{Key: "b"}))
	if err := late.Commit(); !errors.As(err, &older) {
		t.Errorf("one that became older: %v", err)
	}
	if err := w.differs(r.View()); err != nil {
		t.Error(err)
	}
	if !r.Syncs() {
		t.Error("after a snapshot nothing is synced any more")
	}
	// Another lineage may be of any version.
	begin(t, r, store.Head{Lineage: store.Lineage{2}}, nil)
	if r.View().Len() != 0 {
		t.Error("the old entries are there")
	}
}

func TestWaitFor(t *testing.T) {
	w := newWorld()
	r := open(t, t.TempDir())
	begin(t, r, start(), nil)
	w.commit(t, store.Edit{Key: "a"})
	w.commit(t, store.Edit{Key: "b"})
	select {
	case <-r.Changed(0):
		t.Fatal("nothing has changed")
	default:
	}
	changed, done := r.Changed(0), make(chan error)
	go func() { done <- r.WaitFor(context.Background(), 2) }()
	apply(t, r, w.log[0])
	<-changed
	<-r.Changed(0)
	apply(t, r, w.log[1])
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.WaitFor(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { done <- r.WaitFor(context.Background(), 3) }()
	r.Close()
	if err := <-done; !errors.Is(err, replica.ErrClosed) {
		t.Error(err)
	}
	if err := r.Apply(t.Context(), nil); !errors.Is(err, replica.ErrClosed) {
		t.Error(err)
	}
	if _, err := r.Records(0, 1); !errors.Is(err, replica.ErrClosed) {
		t.Error(err)
	}
	if err := w.differs(r.View()); err != nil {
		t.Error("a view is good after the copy was closed:", err)
	}
}

// The log is trimmed by age and by length, a little with each commit.
func TestLogIsTrimmed(t *testing.T) {
	w := newWorld()
	now := w.now
	dir := t.TempDir()
	r := open(t, dir, func(o *replica.Options) { o.Now = func() time.Time { return now } })
	begin(t, r, start(), nil)
	for i := range 100 {
		w.now = w.now.Add(24 * time.Hour)
		now = w.now
		apply(t, r, w.commit(t, store.Edit{Key: "a", Value: []byte{byte(i)}}))
		if want := max(0, i+1-31); int(r.Floor()) != want {
			t.Fatalf("on day %d the floor is %d, not %d", i+1, r.Floor(), want)
		}
	}
	var floor *store.FloorError
	if _, err := r.Records(r.Floor()-1, 100); !errors.As(err, &floor) || floor.Floor != r.Floor() {
		t.Errorf("records below the floor: %v", err)
	}
	if _, err := r.At(r.Floor() - 1); !errors.As(err, &floor) {
		t.Errorf("the map below the floor: %v", err)
	}
	history, err := r.History(0, 5)
	if err != nil || len(history) != 5 || history[0].Version != 100 || history[4].Version != 96 {
		t.Errorf("%v, %v", history, err)
	}
	if history, err = r.History(r.Floor()+3, 50); err != nil || len(history) != 2 {
		t.Errorf("history at the floor: %v, %v", history, err)
	}
	if v, err := r.Lookup(w.log[80].ID); err != nil || v != 81 {
		t.Errorf("looked up: %d, %v", v, err)
	}
	if v, err := r.Lookup(w.log[3].ID); err != nil || v != 0 {
		t.Errorf("looked up what left the log: %d, %v", v, err)
	}
	// A year later the next commit begins to forget the rest, and those after it end it.
	w.now = w.now.Add(365 * 24 * time.Hour)
	now = w.now
	for i := range 2 {
		apply(t, r, w.commit(t, store.Edit{Key: "a", Value: []byte{byte(i)}}))
	}
	if r.Floor() != 100 { // the last two are of today
		t.Errorf("a year later the floor is %d", r.Floor())
	}
	if err := w.logDiffers(r); err != nil {
		t.Error(err)
	}
}

// A node whose file is the truth makes its own commits; one that follows does not.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	load := func(r *replica.Replica, value string) (*store.Record, error) {
		return r.Load(store.Proposal{Kind: store.KindLoad, Author: "file", Edits: []store.Edit{{Key: "a", Value: []byte(value)}}})
	}
	first, err := load(r, "1")
	if err != nil || first.Version != 1 || r.View().Head().Lineage == (store.Lineage{}) {
		t.Fatalf("%v, %v", first, err)
	}
	lineage := r.View().Head().Lineage
	if again, err := load(r, "1"); again != nil || err != nil {
		t.Fatalf("nothing changed: %v, %v", again, err)
	}
	r.Close()
	r = open(t, dir)
	second, err := load(r, "2")
	if err != nil || second.Version != 2 || r.View().Head().Lineage != lineage || !r.View().Own() {
		t.Fatalf("%v, %v", second, err)
	}
	if second.ID == first.ID || second.Changes[0].Entry.Salt == first.Changes[0].Entry.Salt {
		t.Error("ids and salts are random")
	}
	third, err := r.Load(store.Proposal{Make: func(v store.View, p *store.Proposal) error {
		p.Kind = store.KindLoad
		p.Edits = []store.Edit{{Key: "b", Value: fmt.Append(nil, v.Head().Version)}}
		return nil
	}})
	if err != nil || third.Version != 3 || string(third.Changes[0].Entry.Value) != "2" {
		t.Fatalf("%v, %v", third, err)
	}
	m, err := r.At(1)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := m.Get("a"); string(v) != "1" {
		t.Errorf("it was %q", v)
	}
	begin(t, r, start(), nil)
	var follows *replica.FollowsError
	if _, err := load(r, "3"); !errors.As(err, &follows) {
		t.Errorf("on a copy that follows: %v", err)
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	var used *replica.InUseError
	if _, err := replica.Open(dir, replica.Options{}); !errors.As(err, &used) {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "replica.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}
