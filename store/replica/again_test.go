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

// A write that failed and is on the disk all the same is found there, also where its own records have left the log with it.
func TestWriteThatLeftTheLog(t *testing.T) {
	for _, limit := range []int64{1, 200, 1 << 20} {
		w := newWorld()
		dir := t.TempDir()
		lost := false
		r := open(t, dir, func(o *replica.Options) {
			o.LogBytes = limit
			o.Disk = func(at string) error {
				if lost && at == "committed" {
					lost = false
					return syscall.EIO
				}
				return nil
			}
		})
		begin(t, r, start(), nil)
		next := func(n int) (records []*store.Record) {
			for i := range n {
				records = append(records, w.commit(t, store.Edit{Key: "a", Value: []byte{byte(len(w.log))}}, store.Edit{Key: "b", Value: []byte{byte(i), byte(len(w.log))}}))
			}
			return records
		}
		apply(t, r, next(3)...)
		for range 3 {
			lost = true
			var disk *replica.DiskError
			before, records := r.View().Head(), next(9)
			if err := r.Apply(t.Context(), records); !errors.As(err, &disk) || r.View().Head() != before {
				t.Fatalf("it is at version %d: %v", r.View().Head().Version, err)
			}
			apply(t, r, records...)
			if err := w.differs(r.View()); err != nil || r.View().Head() != w.head {
				t.Fatal(r.View().Head(), err)
			}
		}
		apply(t, r, next(2)...)
		r.Close()
		if err := w.differs(open(t, dir).View()); err != nil {
			t.Fatal(err)
		}
	}
}
