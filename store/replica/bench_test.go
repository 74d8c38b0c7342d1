package replica_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

// million is how many keys of 64 octets with documents of 200 the benchmarks have.
const million = 1_000_000

func benchKey(i int) string {
	return fmt.Sprintf("forward/%08x.%032x.customer.example", i*2654435761%(1<<32), i)
}

// filled is a copy with n keys.
func filled(b *testing.B, dir string, n int) *replica.Replica {
	b.Helper()
	r, err := replica.Open(dir, replica.Options{Key: nodeKey})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	entries, sum := benchEntries(n)
	in, err := r.BeginSnapshot(store.Head{Lineage: store.Lineage{1}, Version: 1, Sum: sum})
	if err != nil {
		b.Fatal(err)
	}
	for i, e := range entries {
		if err := in.Add(benchKey(i), e); err != nil {
			b.Fatal(err)
		}
	}
	if err := in.Commit(); err != nil {
		b.Fatal(err)
	}
	return r
}

func benchEntries(n int) ([]store.Entry, store.Sum) {
	var sum store.Sum
	entries := make([]store.Entry, n)
	values := bytes.Repeat([]byte("v"), 200*n)
	for i := range entries {
		v := values[200*i : 200*i+200 : 200*i+200]
		binary.LittleEndian.PutUint64(v, uint64(i))
		entries[i] = store.Entry{Salt: store.Salt{byte(i), byte(i >> 8)}, Value: v}
		sum.Add(store.DigestOf(benchKey(i), entries[i]))
	}
	return entries, sum
}

// BenchmarkGet reads random keys of a million, one after another, and says what most and the slowest hundredth took: with nothing else going on, and with 1,000 single changes a second
// that reach the disk. The time of a look at the clock, some 50 ns, is in them.
func BenchmarkGet(b *testing.B) {
	r := filled(b, b.TempDir(), million)
	keys := make([]string, 1<<18)
	for i := range keys {
		keys[i] = benchKey(rand.IntN(million))
	}
	runtime.GC()
	debug.FreeOSMemory()
	read := func(b *testing.B) {
		b.ReportAllocs()
		times := make([]int32, b.N)
		var octets int
		b.ResetTimer()
		for i := range b.N {
			began := time.Now()
			value, ok := r.View().Get(keys[i&(len(keys)-1)])
			if !ok {
				b.Fatal("a key is missing")
			}
			octets += int(value[0])
			times[i] = int32(time.Since(began))
		}
		b.StopTimer()
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2]), "p50-ns")
		b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns")
		b.ReportMetric(float64(times[len(times)*999/1000]), "p99.9-ns")
	}
	b.Run("quiet", read)
	b.Run("written", func(b *testing.B) {
		stop := make(chan struct{})
		var wrote, seconds float64
		var running sync.WaitGroup
		running.Go(func() {
			began := time.Now()
			tick := time.NewTicker(10 * time.Millisecond) // 10 records in each batch
			defer tick.Stop()
			for {
				select {
				case <-stop:
					seconds = time.Since(began).Seconds()
					return
				case <-tick.C:
				}
				var records []*store.Record
				head := r.View().Head()
				for range 10 {
					rec := benchRecord(b, r.View(), head, 1)
					head, _ = head.Next(rec)
					records = append(records, rec)
				}
				if err := r.Apply(context.Background(), records); err != nil {
					b.Error(err)
					return
				}
				wrote += 10
			}
		})
		read(b)
		close(stop)
		running.Wait()
		b.ReportMetric(wrote/seconds, "writes/s")
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			r.View().Get(keys[i&(len(keys)-1)])
		}
	})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.Logf("heap %d MiB", m.HeapAlloc>>20)
	began := time.Now()
	runtime.GC()
	b.Logf("a garbage collection takes %v", time.Since(began))
}

// benchRecord changes n random keys of a million.
func benchRecord(b *testing.B, v *replica.View, head store.Head, n int) *store.Record {
	edits := make([]store.Edit, 0, n)
	seen := make(map[int]bool, n)
	for len(edits) < n {
		i := rand.IntN(million)
		if seen[i] {
			continue
		}
		seen[i] = true
		value := bytes.Repeat([]byte("w"), 200)
		binary.LittleEndian.PutUint64(value, rand.Uint64())
		edits = append(edits, store.Edit{Key: benchKey(i), Value: value})
	}
	rec, err := store.Prepare(head, store.Proposal{ID: store.ID{1}, Kind: store.KindNow, Edits: edits}, v.Entry, time.Now(), func() store.Salt { return store.Salt{byte(rand.IntN(256))} })
	if err != nil {
		b.Fatal(err)
	}
	return rec
}

// BenchmarkApply puts commits of 100 keys on a copy of a million, each with its sync.
func BenchmarkApply(b *testing.B) {
	r := filled(b, b.TempDir(), million)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		rec := benchRecord(b, r.View(), r.View().Head(), 100)
		b.StartTimer()
		if err := r.Apply(context.Background(), []*store.Record{rec}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}

// BenchmarkCatchUp puts 10,000 records of one key on a copy, in one call.
func BenchmarkCatchUp(b *testing.B) {
	r := filled(b, b.TempDir(), million)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		var records []*store.Record
		head := r.View().Head()
		seen := make(map[string]bool)
		for len(records) < 10_000 {
			rec := benchRecord(b, r.View(), head, 1)
			if seen[rec.Changes[0].Key] {
				continue
			}
			seen[rec.Changes[0].Key] = true
			head, _ = head.Next(rec)
			records = append(records, rec)
		}
		b.StartTimer()
		if err := r.Apply(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkColdCopy receives a snapshot of a million keys, and opens what it made.
func BenchmarkColdCopy(b *testing.B) {
	entries, sum := benchEntries(million)
	keys := make([]string, million)
	order := make([]int, million)
	for i := range keys {
		keys[i], order[i] = benchKey(i), i
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare([]byte(keys[i]), []byte(keys[j])) })
	dir := b.TempDir()
	opened := func() *replica.Replica {
		r, err := replica.Open(dir, replica.Options{Key: nodeKey})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	b.Run("receive", func(b *testing.B) {
		r := opened()
		defer r.Close()
		for range b.N {
			in, err := r.BeginSnapshot(store.Head{Lineage: store.Lineage{1}, Version: 1, Sum: sum})
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			for _, i := range order {
				if err := in.Add(keys[i], entries[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(time.Since(began).Seconds(), "adding-s")
			began = time.Now()
			if err := in.Commit(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(began).Seconds(), "committing-s")
		}
	})
	b.Run("open", func(b *testing.B) {
		for range b.N {
			opened().Close()
		}
	})
}
