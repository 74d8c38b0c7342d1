//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// keysPerCommit is how many keys a commit of the one committer has.
const keysPerCommit = 100

// commits measures how fast one committer gets commits decided by etcd, each on the disk of etcd and of the member's own copy before the next.
func commits(ctx context.Context, b *bench) error {
	dir, err := b.folder("commit")
	if err != nil {
		return err
	}
	r, err := openRoot(ctx, dir)
	if err != nil {
		return err
	}
	defer r.close()
	chance := rand.New(rand.NewPCG(11, 12))
	var took, waited, decided times
	edits := make([]store.Edit, keysPerCommit)
	var began time.Time
	n, size := 0, 0
	const warm = 10 // commits that are not counted: files grow
	for n = -warm; n <= 0 || time.Since(began) < b.commit; n++ {
		for i := range edits {
			edits[i] = store.Edit{Key: benchKey((n+warm)%1000*keysPerCommit + i), Value: benchValue(chance)}
		}
		if n == 0 {
			began = time.Now()
		}
		at := time.Now()
		rec, err := r.commit(ctx, edits)
		if err != nil {
			return err
		}
		if n >= 0 {
			took.add(time.Since(at))
			waited.add(rec.Time.Sub(at))
			decided.add(time.Since(rec.Time))
		}
		size = len(store.AppendRecord(nil, rec.For(everything{}.Readable))) // what was there before does not go to etcd
	}
	rate := float64(n*keysPerCommit) / time.Since(began).Seconds()
	disk, err := fdatasync(b.dir, 2*size)
	if err != nil {
		return err
	}
	b.need(fmt.Sprintf("keys a second, %d a commit of %d octets, one committer, on disk", keysPerCommit, valueOctets), "10,000", fmt.Sprintf("%.0f", rate), rate >= 10_000)
	b.note("a commit: median / 99th / worst", took.spread())
	b.note("of it until the member's own copy has the one before; until etcd has decided", waited.spread()+"; "+decided.spread())
	b.note(fmt.Sprintf("fdatasync of %d KiB, what etcd writes of one: median / 99th / worst", 2*size>>10), disk.spread())
	say("%d commits of %d keys: %.0f keys a second, %s each; fdatasync %s", n, keysPerCommit, rate, took.spread(), disk.spread())
	return nil
}
