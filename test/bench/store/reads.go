//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// readRounds is how often each way is measured, quiet and written, in turn.
const readRounds = 3

// writesPerBatch and batchEvery make a thousand writes a second: a follower gets what was committed since it last asked in one piece.
const (
	writesPerBatch = 10
	batchEvery     = 10 * time.Millisecond
)

// reader is a way to keep a map.
type reader struct {
	name  string
	get   func(key string) []byte   // nil: there is none
	write func(keys []string) error // each with another document
}

// reads measures how long one look takes, one after another at random keys, with nothing else going on and beside a thousand writes a second.
func reads(ctx context.Context, b *bench) error {
	f, err := b.fill()
	if err != nil {
		return err
	}
	order := make([]string, 1<<20)
	for i := range order {
		order[i] = f.keys[f.rand.IntN(len(f.keys))]
	}
	ways := []func() (reader, func(), error){
		func() (reader, func(), error) {
			return reader{"ours", func(key string) []byte { v, _ := f.View().Get(key); return v }, func(keys []string) error {
				return f.change(ctx, len(keys), 1)
			}}, func() {}, nil
		},
		func() (reader, func(), error) { return lockedMap(f), func() {}, nil },
		func() (reader, func(), error) { return b.bolt(f) },
	}
	var oursQuiet, oursWritten times
	for _, way := range ways {
		r, done, err := way()
		if err != nil {
			return err
		}
		var quiet, written []times
		wrote := 0.0
		for range readRounds {
			runtime.GC()
			t, _, err := measureReads(ctx, r, order, b.reads, false, f)
			if err != nil {
				return err
			}
			quiet = append(quiet, t)
			t, w, err := measureReads(ctx, r, order, b.reads, true, f)
			if err != nil {
				return err
			}
			written, wrote = append(written, t), wrote+w/readRounds
		}
		done()
		q, w := middleRound(quiet), middleRound(written)
		b.note(fmt.Sprintf("Get by %s: median, 99th, 99.9th, worst; quiet", r.name), readSpread(&q))
		b.note(fmt.Sprintf("the same beside %.0f writes a second", wrote), readSpread(&w))
		say("%s: quiet %s, beside %.0f writes a second %s", r.name, readSpread(&q), wrote, readSpread(&w))
		if r.name == "ours" {
			oursQuiet, oursWritten = q, w
		}
	}
	b.need("Get, median", "1 us", fmt.Sprintf("%v, written %v", oursQuiet.at(0.5), oursWritten.at(0.5)), max(oursQuiet.at(0.5), oursWritten.at(0.5)) < time.Microsecond)
	moved := float64(oursWritten.at(0.99)) / float64(oursQuiet.at(0.99))
	b.need("Get, 99th beside 1,000 writes a second by that without", "1.25 at most", fmt.Sprintf("%.2f (%v, %v)", moved, oursWritten.at(0.99), oursQuiet.at(0.99)), moved <= 1.25)
	return nil
}

func readSpread(t *times) string {
	return fmt.Sprintf("%v / %v / %v / %v", t.at(0.5), t.at(0.99), t.at(0.999), round(t.at(1)))
}

// middleRound returns the round whose 99th percentile is in the middle.
func middleRound(rounds []times) times {
	slices.SortFunc(rounds, func(a, b times) int { return int(a.at(0.99) - b.at(0.99)) })
	return rounds[len(rounds)/2]
}

// maxSamples is how many looks of a round are kept: at 300 ns each those of 3 s.
const maxSamples = 10_000_000

// measureReads looks at one key after another for a time, and at the first octet of its document. The key is in the processor's cache, as one is that was just made of a
// question; the document is not. The clock is read around each look, which takes some 50 ns that are in the figure.
func measureReads(ctx context.Context, r reader, order []string, length time.Duration, written bool, f *filled) (t times, wrote float64, err error) {
	t.all = make([]time.Duration, 0, maxSamples)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	var failed error
	began := time.Now()
	if written {
		writing.Go(func() {
			tick := time.NewTicker(batchEvery)
			defer tick.Stop()
			own := rand.New(rand.NewPCG(5, 6))
			keys := make([]string, writesPerBatch)
			for {
				select {
				case <-tick.C:
				case <-stop:
					wrote /= time.Since(began).Seconds()
					return
				}
				for i := range keys {
					keys[i] = f.keys[own.IntN(len(f.keys))]
				}
				if failed = r.write(keys); failed != nil {
					return
				}
				wrote += writesPerBatch
			}
		})
	}
	at, touched := int(rand.Uint32N(uint32(len(order)))), byte(0)
	for until := began.Add(length); len(t.all) < cap(t.all); {
		key := order[at%len(order)]
		at++
		touched ^= key[keyOctets-1]
		a := time.Now()
		value := r.get(key)
		if len(value) > 0 {
			touched ^= value[0]
		}
		took := time.Since(a)
		if len(value) != valueOctets {
			err = fmt.Errorf("%s has not the key %q", r.name, key)
			break
		}
		if t.add(took); a.After(until) || ctx.Err() != nil {
			break
		}
	}
	close(stop)
	writing.Wait()
	runtime.KeepAlive(touched)
	return t, wrote, errors.Join(err, failed, ctx.Err())
}

// lockedMap is a map of Go's behind a lock.
func lockedMap(f *filled) reader {
	m := make(map[string][]byte, len(f.keys))
	for key, e := range f.View().All() {
		m[key] = append([]byte(nil), e.Value...)
	}
	var mu sync.RWMutex
	own := rand.New(rand.NewPCG(7, 8))
	return reader{"a map and a lock", func(key string) []byte {
		mu.RLock()
		defer mu.RUnlock()
		return m[key]
	}, func(keys []string) error {
		for _, key := range keys {
			v := benchValue(own)
			mu.Lock()
			m[key] = v
			mu.Unlock()
		}
		return nil
	}}
}

// bolt is a database on disk, a transaction around each look, as most would use it.
func (b *bench) bolt(f *filled) (reader, func(), error) {
	dir, err := b.folder("bbolt")
	if err != nil {
		return reader{}, nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "map.db"), 0o600, nil)
	if err != nil {
		return reader{}, nil, err
	}
	name := []byte("map")
	pairs := make([][2][]byte, 0, len(f.keys))
	for key, e := range f.View().All() {
		pairs = append(pairs, [2][]byte{[]byte(key), e.Value})
	}
	for chunk := range slices.Chunk(pairs, 50_000) {
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			bucket.FillPercent = 0.9
			for _, p := range chunk {
				if err := bucket.Put(p[0], p[1]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return reader{}, nil, errors.Join(err, db.Close())
		}
	}
	own := rand.New(rand.NewPCG(9, 10))
	copied := make([]byte, 0, valueOctets) // what a transaction shows is good until it ends
	return reader{"bbolt", func(key string) []byte {
		_ = db.View(func(tx *bbolt.Tx) error { copied = append(copied[:0], tx.Bucket(name).Get([]byte(key))...); return nil })
		return copied
	}, func(keys []string) error {
		return db.Update(func(tx *bbolt.Tx) error {
			for _, key := range keys {
				if err := tx.Bucket(name).Put([]byte(key), benchValue(own)); err != nil {
					return err
				}
			}
			return nil
		})
	}}, func() { db.Close() }, nil
}
