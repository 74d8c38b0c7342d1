//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// keyOctets and valueOctets are the lengths of all keys and documents that are counted in here.
const (
	keyOctets   = 64
	valueOctets = 200
)

// benchKey is a key of 64 octets. Neighbours in number are far apart in order.
func benchKey(i int) string {
	return fmt.Sprintf("forward/%08x.%030x.customer.example", uint32(i)*2654435761, i)
}

// benchValue is a document of 200 octets that is like no other.
func benchValue(r *rand.Rand) []byte {
	v := make([]byte, valueOctets)
	for i := 0; i < valueOctets; i += 8 {
		binary.LittleEndian.PutUint64(v[i:], r.Uint64())
	}
	return v
}

// filled is a copy with many keys, and what changes it.
type filled struct {
	*replica.Replica
	keys []string
	rand *rand.Rand
}

// fill returns the copy with all keys. It is made by a snapshot, as that of a follower is.
func (b *bench) fill() (*filled, error) {
	if b.filled != nil {
		return b.filled, nil
	}
	dir, err := b.folder("filled")
	if err != nil {
		return nil, err
	}
	r, err := replica.Open(dir, replica.Options{})
	if err != nil {
		return nil, err
	}
	f := &filled{r, make([]string, b.keys), rand.New(rand.NewPCG(1, 2))}
	began := time.Now()
	if err := f.load(); err != nil {
		r.Close()
		return nil, err
	}
	say("a copy of %d keys of %d octets with documents of %d: made in %v", b.keys, keyOctets, valueOctets, round(time.Since(began)))
	b.filled = f
	return f, nil
}

func (f *filled) load() error {
	// What is to come has to be known to the head, so that it is made twice from one seed.
	var sum store.Sum
	each := func(do func(key string, e store.Entry) error) error {
		r := rand.New(rand.NewPCG(3, 4))
		for i := range f.keys {
			var e store.Entry
			binary.LittleEndian.PutUint64(e.Salt[:], r.Uint64())
			e.Value = benchValue(r)
			if err := do(f.keys[i], e); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range f.keys {
		f.keys[i] = benchKey(i)
	}
	_ = each(func(key string, e store.Entry) error { sum.Add(store.DigestOf(key, e)); return nil })
	in, err := f.BeginSnapshot(store.Head{Lineage: store.Lineage{1}, Version: 1, Sum: sum})
	if err != nil {
		return err
	}
	if err := each(in.Add); err != nil {
		return err
	}
	return in.Commit()
}

func (f *filled) close() { f.Close() }

// records makes commits of so many keys each, which follow one another; no key is in two of them.
func (f *filled) records(commits, keys int) ([]*store.Record, error) {
	out := make([]*store.Record, 0, commits)
	view := f.View()
	head := view.Head()
	used := make(map[int]bool, commits*keys)
	for range commits {
		p := store.Proposal{Kind: store.KindNow, Author: "root@lis01", Reason: "a benchmark"}
		binary.LittleEndian.PutUint64(p.ID[:], f.rand.Uint64())
		for len(p.Edits) < keys {
			i := f.rand.IntN(len(f.keys))
			if used[i] {
				continue
			}
			used[i] = true
			p.Edits = append(p.Edits, store.Edit{Key: f.keys[i], Value: benchValue(f.rand)})
		}
		r, err := store.Prepare(head, p, view.Entry, time.Now(), func() (s store.Salt) { binary.LittleEndian.PutUint64(s[:], f.rand.Uint64()); return })
		if err != nil {
			return nil, err
		}
		if head, err = head.Next(r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// change puts so many commits on the copy.
func (f *filled) change(ctx context.Context, commits, keys int) error {
	records, err := f.records(commits, keys)
	if err != nil {
		return err
	}
	return f.Apply(ctx, records)
}
