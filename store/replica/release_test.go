package replica_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

var update = flag.Bool("update", false, "write the data folder of this release anew")

// releaseWorld is what the data folders of releases have: it must not change.
func releaseWorld(t fataler) *world {
	w := newWorld()
	rng := rand.New(rand.NewPCG(41, 42))
	for len(w.log) < 12 {
		w.commit(t, random(rng, 20, 8)...)
	}
	return w
}

// smallFile is the file of a copy of that world: a snapshot of version 4, and records.
func smallFile(t testing.TB) []byte {
	t.Helper()
	w := releaseWorld(t)
	dir := t.TempDir()
	r := open(t, dir)
	head := start()
	for _, rec := range w.log[:4] {
		head, _ = head.Next(rec)
	}
	begin(t, r, head, w.past[4])
	apply(t, r, w.log[4:]...)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "replica.db"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Each release opens the data folders of those before it: testdata has one of each format. They were made by this test with -update, at that release.
func TestReleases(t *testing.T) {
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "release-1", "replica.db"), smallFile(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folders, err := filepath.Glob("testdata/release-*")
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	for _, folder := range folders {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		w := releaseWorld(t)
		r := open(t, dir)
		if r.Found() != nil || r.View().Head() != w.head || r.Floor() != 4 {
			t.Fatalf("%s: %v, at %+v", folder, r.Found(), r.View().Head())
		}
		if err := w.differs(r.View()); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
		if err := w.logDiffers(r); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
		apply(t, r, w.commit(t, store.Edit{Key: "new"}))
	}
}

// A file of a later release is left where it is.
func TestLaterRelease(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "replica.db")
	if err := os.WriteFile(path, smallFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), replica.Format(2))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var later *replica.FormatError
	if _, err := replica.Open(dir, replica.Options{Key: nodeKey}); !errors.As(err, &later) || later.Hint() == "" {
		t.Fatalf("opened: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("the file was touched")
	}
}
