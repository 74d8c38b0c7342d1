package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
)

// snapshot makes the snapshot of what a writer has.
func (w *writer) snapshot(after func(n int) error) etcd.Snapshot {
	entries := func(yield func(etcd.Entry, error) bool) {
		n := 0
		for key, e := range w.entries {
			if !yield(etcd.Entry{Key: key, Entry: e}, nil) {
				return
			}
			if n++; after != nil {
				if err := after(n); err != nil {
					yield(etcd.Entry{}, err)
					return
				}
			}
		}
	}
	return etcd.Snapshot{Head: w.head, Entries: iter.Seq2[etcd.Entry, error](entries), Author: "root@lis01", Reason: "the disk died", ID: store.ID{77}, Time: time.Unix(1, 0)}
}

// empty opens a root without a store.
func empty(t *testing.T) *etcd.Root {
	t.Helper()
	c := config(t)
	root, err := etcd.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	ready(t, root)
	return root
}

func ready(t *testing.T, root *etcd.Root) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := root.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// wide is a writer with 10,000 entries, which are restored in several transactions.
func wide() *writer {
	w := newWriter(store.Head{Lineage: store.Lineage{5}}, 15)
	for i := range 4 {
		edits := make([]store.Edit, 2500)
		for j := range edits {
			edits[j] = edit(fmt.Sprintf("k/%d/%d", i, j), strings.Repeat("v", 200))
		}
		w.made(w.record(edits...))
	}
	return w
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w := wide()
	before := w.head
	root := empty(t)
	if _, err := root.Head(t.Context()); !errors.Is(err, etcd.ErrEmpty) {
		t.Errorf("a root without a store says %v", err)
	}

	damaged := w.snapshot(nil)
	damaged.Head.Sum[0]++
	if _, err := root.Restore(t.Context(), damaged); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged snapshot: %v", err)
	}
	// It fails in the middle, as a disk does; then it is killed in the middle. Neither leaves anything that is seen.
	broken := errors.New("the snapshot can not be read")
	if _, err := root.Restore(t.Context(), w.snapshot(func(n int) error {
		if n == 9000 {
			return broken
		}
		return nil
	})); !errors.Is(err, broken) {
		t.Errorf("half a snapshot: %v", err)
	}
	if _, err := root.Restore(t.Context(), w.snapshot(func(n int) error {
		if n == 9000 {
			if err := syscall.Kill(root.State().PID, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			waitFor(t, root, func(s etcd.State) bool { return s.Phase != etcd.Running })
		}
		return nil
	})); err == nil {
		t.Error("restored by a process that was killed")
	}
	ready(t, root)
	if _, err := root.Head(t.Context()); !errors.Is(err, etcd.ErrEmpty) {
		t.Errorf("half restored, it says %v", err)
	}

	head, err := root.Restore(t.Context(), w.snapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	if head.Version != before.Version+1 || head.Lineage == before.Lineage || head.Lineage == (store.Lineage{}) || head.Sum != before.Sum || head.Time.Before(before.Time) {
		t.Errorf("after %+v came %+v", before, head)
	}
	w.head = head
	wantEntries(t, root, w)
	wantVersion(t, root, store.ID{77}, head.Version)
	var floor *store.FloorError
	if _, err := root.Records(t.Context(), 0, 1); !errors.As(err, &floor) || floor.Floor != before.Version {
		t.Errorf("the log from the beginning: %v", err)
	}
	if r := last(t, root); r.Kind != store.KindRestore || r.Reason != "the disk died" || len(r.Changes) != 0 {
		t.Errorf("%+v", r)
	}
	commit(t, root, w, edit("k/0/0", ""), edit("more", "1"))
	wantEntries(t, root, w)
	if _, err := root.Restore(t.Context(), w.snapshot(nil)); !errors.Is(err, etcd.ErrMade) {
		t.Errorf("restored over a store: %v", err)
	}
}

// A store that is made while another is restored stays as it is.
func TestCreateDuringARestore(t *testing.T) {
	root := empty(t)
	var made store.Head
	_, err := root.Restore(t.Context(), wide().snapshot(func(n int) (err error) {
		if n == 9000 {
			made, err = root.Create(t.Context())
		}
		return err
	}))
	if !errors.Is(err, etcd.ErrMade) {
		t.Errorf("restored over a store: %v", err)
	}
	wantEntries(t, root, newWriter(made, 1))
}

// What a restore that failed has left is no part of a store that is made then.
func TestCreateAfterHalfARestore(t *testing.T) {
	root := empty(t)
	if _, err := root.Restore(t.Context(), wide().snapshot(func(n int) error {
		if n == 9000 {
			return errors.New("no more")
		}
		return nil
	})); err == nil {
		t.Error("half a snapshot was restored")
	}
	head, err := root.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := root.Create(t.Context()); err != nil || again != head {
		t.Errorf("made again it is %+v, %v", again, err)
	}
	w := newWriter(head, 1)
	wantEntries(t, root, w)
}
