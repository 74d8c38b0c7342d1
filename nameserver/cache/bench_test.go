package cache

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

const benchNames = 100_000

func benchCache(b *testing.B) (*Cache, []dns.Name, time.Duration) {
	c, clk := newCache(b, Config{Bytes: 256 << 20, Seed: 1})
	now := clk.now()
	names := make([]dns.Name, benchNames)
	for i := range names {
		names[i] = hostName(i)
		mustPut(b, c, aRecord(names[i], i, now, time.Hour))
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return c, names, now
}

// The 100,000 names are asked for in random order: each Get is a miss or two in the processor's caches.
func BenchmarkGetHit(b *testing.B) {
	c, names, now := benchCache(b)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if e, ok := c.GetAt(Key{Name: names[i], Type: dns.TypeA}, now, buf); !ok || len(e.Set.Data) != 6 {
			b.Fatal(i, ok)
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

func BenchmarkGetHitParallel(b *testing.B) {
	c, names, now := benchCache(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 512)
		i := rand.IntN(len(names))
		for pb.Next() {
			if _, ok := c.GetAt(Key{Name: names[i], Type: dns.TypeA}, now, buf); !ok {
				b.Error(i)
				return
			}
			if i++; i == len(names) {
				i = 0
			}
		}
	})
}

func BenchmarkGetMiss(b *testing.B) {
	c, names, now := benchCache(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := c.GetAt(Key{Name: names[i], Type: dns.TypeAAAA}, now, nil); ok {
			b.Fatal(i)
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

// Replace: the entry is there and gets a new TTL.
func BenchmarkPutReplace(b *testing.B) {
	c, names, now := benchCache(b)
	e := aRecord(names[0], 0, now, time.Hour)
	epoch := c.Epoch()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Set.Name = names[i]
		e.Zone = dns.Name{}
		if v := c.Put(e, epoch); v != Stored {
			b.Fatal(v)
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

// Evict: a full cache of 16 MiB, every name is new.
func BenchmarkPutEvict(b *testing.B) {
	c, clk := newCache(b, Config{Bytes: 16 << 20})
	now := clk.now()
	e := aRecord(hostName(0), 0, now, time.Hour)
	epoch := c.Epoch()
	names := make([]dns.Name, 1_000_000)
	for i := range names {
		names[i] = hostName(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Set.Name = names[i]
		if v := c.Put(e, epoch); v != Stored {
			b.Fatal(v)
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

func BenchmarkGetDenial(b *testing.B) {
	c, clk := newCache(b, Config{Bytes: 16 << 20})
	now := clk.now()
	names := make([]dns.Name, 10_000)
	for i := range names {
		names[i] = hostName(i)
		if v := c.PutDenial(nxdomain(names[i], now, time.Hour), c.Epoch()); v != Stored {
			b.Fatal(v)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := c.GetDenialAt(names[i], dns.TypeA, now); !ok {
			b.Fatal(i)
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

// Purge of one name in a cache of 100,000.
func BenchmarkPurgeName(b *testing.B) {
	c, names, _ := benchCache(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := c.Purge(names[i], false); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

// Purge of a subtree that is not there: a walk over 100,000 names, twice.
func BenchmarkPurgeSubtree(b *testing.B) {
	c, _, _ := benchCache(b)
	n := name("none.example.net")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Purge(n, true); err != nil {
			b.Fatal(err)
		}
	}
}
