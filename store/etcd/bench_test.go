package etcd_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// One committer, 100 keys of 200 octets a commit, each on the disk before the next; and beside it what the disk takes to write as much.
func BenchmarkCommit(b *testing.B) {
	c := config(b)
	c.Log = nil
	root := open(b, c)
	head, err := root.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	w := newWriter(head, 21)
	const keys = 100
	edits := make([]store.Edit, keys)
	var took []time.Duration
	n := 0
	for b.Loop() {
		for i := range edits {
			edits[i] = edit(fmt.Sprintf("zone/example-%04d", n*keys%10_000+i), strings.Repeat("v", 190)+fmt.Sprintf("%010d", n))
		}
		n++
		began := time.Now()
		commit(b, root, w, edits...)
		took = append(took, time.Since(began))
	}
	b.ReportMetric(float64(n*keys)/b.Elapsed().Seconds(), "keys/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
	b.ReportMetric(float64(fdatasync(b, filepath.Dir(root.Folder()), len(store.AppendRecord(nil, last(b, root)))*2).Microseconds()), "us-fdatasync")
}

// fdatasync is the median time to add so many octets to a file and have them on the disk.
func fdatasync(b *testing.B, folder string, size int) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(folder, "probe"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const times = 200
	block := make([]byte, size)
	if err := errors.Join(f.Truncate(int64(times*size)), write(f, make([]byte, times*size))); err != nil { // as etcd's own log: its place is there before
		b.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		if err := errors.Join(write(f, block), f.Sync()); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[times/2]
}

func write(f *os.File, b []byte) error {
	_, err := f.Write(b)
	return err
}
