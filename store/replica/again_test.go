package replica_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// A snapshot that the disk has refused is there still, and is taken when there is room: nothing of it has to come again.
func TestSnapshotOnceMore(t *testing.T) {
	for _, step := range []string{"create", "fill", "sync", "rename", "folder"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld()
			w.commit(t, store.Edit{Key: "a", Value: []byte("1")}, store.Edit{Key: store.SecretPrefix + "b", Value: []byte("2")})
			full := false
			dir := t.TempDir()
			r := open(t, dir, func(o *replica.Options) {
				o.Disk = func(at string) error {
					if full && at == step {
						return syscall.ENOSPC
					}
					return nil
				}
			})
			in, err := r.BeginSnapshot(w.head)
			if err != nil {
				t.Fatal(err)
			}
			for key, e := range w.entries {
				if err := in.Add(key, e); err != nil {
					t.Fatal(err)
				}
			}
			full = true
			for range 3 {
				var disk *replica.DiskError
				if err := in.Commit(); !errors.As(err, &disk) {
					t.Fatalf("it is %v", err)
				}
			}
			full = false
			if err := in.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := in.Commit(); err == nil {
				t.Fatal("it was committed twice")
			}
			r.Close()
			if err := w.differs(open(t, dir).View()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
