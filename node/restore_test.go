package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// Whoever is killed while a snapshot is placed, at whatever step, leaves a folder with which the next start goes on: what etcd had is kept aside, and never taken for what was restored.
func TestMakeWay(t *testing.T) {
	write := func(t *testing.T, folder, name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name         string
		files        map[string]string
		etcd, before string // what is in the two folders afterwards; "": there is none
	}{
		{"no snapshot", map[string]string{"etcd/a": "old"}, "old", ""},
		{"placed, and nothing moved", map[string]string{restoreFile: "s", "etcd/a": "old", membersFile: "[]"}, "", "old"},
		{"a restore before it has kept another", map[string]string{restoreFile: "s", "etcd/a": "old", "etcd.before-restore/a": "older"}, "", "old"},
		{"moved, and not ready", map[string]string{restoreFile: "s", "etcd.before-restore/a": "old"}, "", "old"},
		{"etcd has begun anew", map[string]string{restoreFile: "s", readyFile: "", "etcd/a": "new", "etcd.before-restore/a": "old"}, "new", "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			for name, text := range c.files {
				write(t, folder, name, text)
			}
			for range 2 { // and once more, as the next start does
				if err := makeWay(folder); err != nil {
					t.Fatal(err)
				}
			}
			for name, want := range map[string]string{"etcd/a": c.etcd, "etcd.before-restore/a": c.before} {
				got, _ := os.ReadFile(filepath.Join(folder, name))
				if string(got) != want {
					t.Errorf("%s has %q, not %q", name, got, want)
				}
			}
			if _, err := os.Stat(filepath.Join(folder, membersFile)); err == nil {
				t.Error("it would look for the other members")
			}
		})
	}
}

// savedIn writes a snapshot of a store into a folder, and returns its head.
func savedIn(t *testing.T, path string) store.Head {
	t.Helper()
	v := newVersions(t)
	v.commit(store.KindLoad, []store.Edit{{Key: "cache/stale", Value: []byte(`"1h"`)}})
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(replica.Save(out, v.copy.View()), out.Close()); err != nil {
		t.Fatal(err)
	}
	return v.copy.View().Head()
}

func namesIn(t *testing.T, folder string) string {
	t.Helper()
	all, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// A node that was killed when etcd had what the snapshot had finishes the restore at the next start, however far it was; what a snapshot had open counts for the lineage that has begun with it alone.
func TestFinishRestore(t *testing.T) {
	for _, left := range [][]string{{restoreFile, readyFile}, {restoreFile, readyFile, restoredFile}, {restoreFile}} {
		s := &shared{n: &Node{log: slog.New(slog.DiscardHandler)}, folder: t.TempDir()}
		var head store.Head
		for _, name := range left {
			if name == restoreFile {
				head = savedIn(t, filepath.Join(s.folder, name))
			} else if err := os.WriteFile(filepath.Join(s.folder, name), []byte("7 of another restore\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		now := store.Lineage{1}
		if v, err := s.restoredAt(now); err == nil {
			t.Errorf("%v: before it is finished, it was restored at %d", left, v)
		}
		for range 2 {
			if err := s.finishRestore(now); err != nil {
				t.Fatal(err)
			}
		}
		if v, err := s.restoredAt(now); err != nil || v != head.Version+1 {
			t.Errorf("%v: it was restored at %d (%v), not %d", left, v, err, head.Version+1)
		}
		if v, err := s.restoredAt(store.Lineage{2}); err != nil || v != 0 {
			t.Errorf("%v: another lineage was restored at %d (%v)", left, v, err)
		}
		if got, want := namesIn(t, s.folder), restoredFile; slices.Contains(left, readyFile) && got != want {
			t.Errorf("%v: left are %s, not %s", left, got, want)
		}
	}
}

// A snapshot that can't be written leaves the one before it, which was restored already, as it was: with the ready file gone it would be restored once more, over all that was committed since.
func TestPlaceSnapshotThatFails(t *testing.T) {
	data := t.TempDir()
	folder := filepath.Join(data, StoreFolder)
	if err := os.MkdirAll(filepath.Join(folder, restoreFile+".new", "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "file")
	savedIn(t, file)
	for _, name := range []string{"ca.key", restoreFile, readyFile} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := PlaceSnapshot(data, file)
	if err == nil {
		t.Fatal("it was placed")
	}
	if _, err := os.Stat(filepath.Join(folder, readyFile)); errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is there no more: %s", readyFile, namesIn(t, folder))
	}
}

// turned is a copy that takes another lineage after some looks.
type turned struct {
	store.Copy
	view, then store.View
	looks      *int
}

func (c turned) View() store.View {
	if *c.looks++; *c.looks > 2 {
		return c.then
	}
	return c.view
}

// A copy that has more versions of another lineage is not at the head: whoever drives would see what was on its way before a restore.
func TestAtHeadOfAnotherLineage(t *testing.T) {
	old, next := newVersions(t), newVersions(t)
	for i := range 3 {
		old.commit(store.KindLoad, []store.Edit{{Key: "a", Value: fmt.Append(nil, i)}})
	}
	next.commit(store.KindLoad, []store.Edit{{Key: "a", Value: []byte("7")}})
	head := next.copy.View().Head()
	if head.Lineage == old.copy.View().Head().Lineage {
		t.Fatal("they are the same")
	}
	looks := 0
	if err := atHead(t.Context(), turned{old.copy.Copy(), old.copy.View(), next.copy.View(), &looks}, head); err != nil || looks != 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := atHead(ctx, old.copy.Copy(), head); err == nil {
		t.Error("the copy of another lineage was taken")
	}
}
