package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// large are edits of a mebibyte: some value, below some folder.
func large(value, folder int) []store.Edit {
	edits := make([]store.Edit, 16)
	for i := range edits {
		edits[i] = edit(fmt.Sprintf("large/%d/%02d", folder, i), strings.Repeat("x", 64<<10-8)+fmt.Sprintf("%08d", value))
	}
	return edits
}

// fill commits until the root has no room, and returns the error of the first commit that was not done.
func fill(t *testing.T, root *etcd.Root, w *writer, edits func(int) []store.Edit) error {
	t.Helper()
	const most = 200
	for i := range most {
		r := w.record(edits(i)...)
		err := root.Commit(t.Context(), w.head, r, nil)
		if err != nil && !settleFull(t, root, r, err) {
			return err
		}
		w.made(r)
	}
	t.Fatalf("there is room for %d MiB", most)
	return nil
}

// settleFull tells whether a commit was done by a root that may be full: what is not found can't be marked now, but nobody else commits.
func settleFull(t *testing.T, root *etcd.Root, r *store.Record, err error) bool {
	t.Helper()
	var full *store.FullError
	if errors.As(err, &full) {
		return false
	}
	return settle(t, root, r, err)
}

// waitFor waits until a root's state is as it should be.
func waitFor(t *testing.T, root *etcd.Root, is func(etcd.State) bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	for {
		changed := root.Changed()
		if is(root.State()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("it never came; the state is %+v", root.State())
		}
	}
}

// At its quota a root says so; and takes writes again by itself, once old revisions are dropped, or the log is cut.
func TestQuota(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Quota = 64 << 20
	root := open(t, c)
	head, err := root.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(head, 6)
	var full *store.FullError
	// The same keys again and again: half of what is written is old revisions, which nobody needs.
	if err := fill(t, root, w, func(i int) []store.Edit { return large(i, 0) }); !errors.As(err, &full) {
		t.Fatalf("at its quota it says %v", err)
	}
	if got, err := root.Head(t.Context()); err != nil || got != w.head {
		t.Fatalf("full, it has the head %+v, %v", got, err)
	}
	waitFor(t, root, func(s etcd.State) bool { return !s.Store.ReadOnly && s.Store.Filled == 1 })
	t.Logf("it takes writes again after %d commits: %+v", w.head.Version, root.State().Store)
	// Other keys each time: all of it is entries and log, and nothing but a cut makes room.
	if err := fill(t, root, w, func(i int) []store.Edit { return large(i, i) }); !errors.As(err, &full) {
		t.Fatalf("at its quota it says %v", err)
	}
	waitFor(t, root, func(s etcd.State) bool { return s.Store.ReadOnly })
	if err := root.Trim(t.Context(), w.head.Version-2); err != nil {
		t.Fatal(err)
	}
	waitFor(t, root, func(s etcd.State) bool { return !s.Store.ReadOnly })
	commit(t, root, w, large(99, 0)...)
	wantEntries(t, root, w)
	if s := root.State().Store; s.Shortened > 0 || s.Defragmented == 0 || s.Compacted == 0 {
		t.Errorf("%+v", s)
	}
}

// A log of many records is cut by the root itself when nothing else makes room.
func TestQuotaOfALongLog(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Quota = 48 << 20
	root := open(t, c)
	head, err := root.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(head, 7)
	text := strings.Repeat("x", 16<<10)
	for filled := 0; root.State().Store.Shortened == 0 && filled < 8; { // the first times old revisions are enough
		r := w.record(edit("a", text+fmt.Sprint(w.head.Version)))
		err := root.Commit(t.Context(), w.head, r, nil)
		if err != nil && !settleFull(t, root, r, err) {
			filled++
			waitFor(t, root, func(s etcd.State) bool { return !s.Store.ReadOnly && s.Store.Filled >= filled })
			continue
		}
		w.made(r)
	}
	if s := root.State().Store; s.Shortened == 0 {
		t.Fatalf("%+v", s)
	}
	var floor *store.FloorError
	if _, err := root.Records(t.Context(), 0, 1); !errors.As(err, &floor) || floor.Floor+1000 > w.head.Version {
		t.Errorf("at version %d the log: %v", w.head.Version, err)
	}
	commit(t, root, w, edit("a", "on"))
	wantEntries(t, root, w)
}
