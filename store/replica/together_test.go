package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ananas-edge/ananas/store"
)

// Any number of goroutines read while others write, and each view is one version, whole: every commit sets all keys to its version. For the race detector.
func TestReadersAndWriters(t *testing.T) {
	const keys, versions = 600, 60
	w := newWorld()
	for v := range versions {
		var edits []store.Edit
		for k := range keys {
			edits = append(edits, store.Edit{Key: fmt.Sprintf("k/%03d", k), Value: binary.BigEndian.AppendUint64(make([]byte, 0, 208), uint64(v+1))[:208]})
		}
		w.commit(t, edits...)
	}
	r := open(t, t.TempDir())
	begin(t, r, start(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for n := range 4 {
		readers.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				v := r.View()
				version := uint64(v.Head().Version)
				if version == 0 {
					continue
				}
				value, ok := v.Get(fmt.Sprintf("k/%03d", i%keys))
				if !ok || binary.BigEndian.Uint64(value) != version {
					t.Errorf("version %d has %x", version, value[:8])
					return
				}
				switch i % 50 {
				case 0:
					count := 0
					for _, value := range v.Under("k/1") {
						count++
						if binary.BigEndian.Uint64(value) != version {
							t.Errorf("version %d has %x", version, value[:8])
						}
					}
					if count != 100 {
						t.Errorf("%d keys", count)
					}
				case 10:
					// The log is one of a snapshot now and then, and does not reach back.
					var floor *store.FloorError
					if m, err := r.At(store.Version(version - 1)); err == nil && version > 1 {
						if value, _ := m.Get("k/007"); binary.BigEndian.Uint64(value) != version-1 {
							t.Errorf("as of version %d it has %x", version-1, value[:8])
						}
					} else if err != nil && !errors.As(err, &floor) {
						t.Error(err)
					}
				case 20:
					var floor *store.FloorError
					if _, err := r.Records(store.Version(version-1), 1000); err != nil && !errors.As(err, &floor) {
						t.Error(err)
					}
				case 30:
					<-r.Changed(store.Version(version - 1))
				}
			}
		})
	}
	// Two that write the same: what one was first with, the other passes over, or finds to be behind it.
	for range 2 {
		writers.Go(func() {
			for at := int(r.View().Head().Version); at < versions; at = int(r.View().Head().Version) {
				if at%20 == 10 {
					head := start()
					for _, rec := range w.log[:at+1] {
						head, _ = head.Next(rec)
					}
					in, err := r.BeginSnapshot(head)
					if err != nil {
						continue
					}
					for key, e := range w.past[at+1] {
						in.Add(key, e)
					}
					in.Commit()
					continue
				}
				var strayed *store.DivergenceError
				if err := r.Apply(ctx, w.log[at:min(at+3, versions)]); err != nil && !errors.As(err, &strayed) {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	if err := w.differs(r.View()); err != nil || r.View().Head() != w.head {
		t.Error(err, r.View().Head().Version)
	}
}
