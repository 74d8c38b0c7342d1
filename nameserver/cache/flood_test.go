package cache

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// lru is the cache that is compared with: what was not asked for the longest goes first, as in Unbound and most others. It
// is given the bytes that an entry takes here, so both hold about as many.
type lru struct {
	order *list.List
	at    map[dns.Name]*list.Element
	room  int
}

func newLRU(entries int) *lru { return &lru{list.New(), map[dns.Name]*list.Element{}, entries} }

func (l *lru) get(n dns.Name) bool {
	e, ok := l.at[n]
	if ok {
		l.order.MoveToFront(e)
	}
	return ok
}

func (l *lru) put(n dns.Name) {
	if l.order.Len() >= l.room {
		last := l.order.Back()
		delete(l.at, last.Value.(dns.Name))
		l.order.Remove(last)
	}
	l.at[n] = l.order.PushFront(n)
}

// store is what a flood is let loose on.
type store interface {
	get(n dns.Name) bool
	put(n dns.Name)
}

// ours asks a Cache in the way of a resolver: look, and on a miss store.
type ours struct {
	c     *Cache
	now   time.Duration
	epoch uint64
	buf   []byte
}

func (o *ours) get(n dns.Name) bool {
	_, ok := o.c.GetAt(keyA(n), o.now, o.buf)
	return ok
}

func (o *ours) put(n dns.Name) {
	o.c.Put(Entry{
		Set:  dns.RRset{Name: n, Type: dns.TypeA, Class: dns.ClassINET, TTL: 3600, Data: address(0)},
		Rank: RankAuthAnswer, Server: server4, Stored: o.now, Expires: o.now + time.Hour,
	}, o.epoch)
}

// A flood is a stream of questions: names in use, in Zipf order, and between two of them `random` names that are asked for
// `times` times in a row and never again.
type flood struct {
	hot           []dns.Name
	zipf          *rand.Zipf
	random, times int
	next          int
}

func newFlood(hot int) *flood {
	f := &flood{zipf: rand.NewZipf(rand.New(rand.NewPCG(7, 7)), 1.01, 10, uint64(hot-1))}
	for i := range hot {
		f.hot = append(f.hot, hostName(i))
	}
	return f
}

// run asks n questions for names in use and returns the share of them that was cached.
func (f *flood) run(s store, n int) float64 {
	hits := 0
	for range n {
		hot := f.hot[f.zipf.Uint64()]
		if s.get(hot) {
			hits++
		} else {
			s.put(hot)
		}
		for range f.random {
			f.next++
			n := name(fmt.Sprintf("r%07d.attack.test", f.next))
			for range f.times {
				if !s.get(n) {
					s.put(n)
				}
			}
		}
	}
	return float64(hits) / float64(n)
}

// floods are the cases of test and benchmark. The cache has room for some 25,000 names.
var floods = []struct {
	name               string
	hot, random, times int
	ours, lru          float64 // least and most share of hits under the flood
}{
	{"half", 10_000, 10, 1, 0.97, 0.70},
	{"most", 20_000, 10, 1, 0.90, 0.60},
	{"larger", 40_000, 10, 1, 0.83, 0.55},
	{"twice", 10_000, 10, 2, 0.97, 0.70},
}

const (
	floodBytes = 2 << 20
	// floodEntry is what a name takes, index and all; so the LRU holds as many.
	floodEntry = 80
)

func floodOurs(t testing.TB) *ours {
	c, clk := newCache(t, Config{Bytes: floodBytes, Shards: 1})
	return &ours{c: c, now: clk.now(), epoch: c.Epoch(), buf: make([]byte, 0, 64)}
}

// A flood of random names, ten for each name in use, does not push out what is in use; from an LRU it does.
func TestFlood(t *testing.T) {
	if poisonFreed {
		t.Skip("one goroutine and millions of steps: nothing for the race detector")
	}
	for _, tc := range floods {
		t.Run(tc.name, func(t *testing.T) {
			measure := func(s store) (quiet, flooded float64) {
				f := newFlood(tc.hot)
				f.run(s, 200_000)
				quiet = f.run(s, 50_000)
				f.random, f.times = tc.random, tc.times
				f.run(s, 20_000)
				return quiet, f.run(s, 30_000)
			}
			o := floodOurs(t)
			quiet, flooded := measure(o)
			lruQuiet, lruFlooded := measure(newLRU(floodBytes / floodEntry))
			t.Logf("hits of names in use: %.3f, under the flood %.3f; LRU %.3f and %.3f", quiet, flooded, lruQuiet, lruFlooded)
			if flooded < tc.ours {
				t.Errorf("%.3f of the names in use are found under the flood, want %.3f", flooded, tc.ours)
			}
			if lruFlooded > tc.lru {
				t.Errorf("the LRU keeps %.3f: this is no flood, the test shows nothing", lruFlooded)
			}
			if quiet < lruQuiet-0.02 {
				t.Errorf("without a flood %.3f are found, with an LRU %.3f", quiet, lruQuiet)
			}
			checkIndex(t, o.c)
		})
	}
}

func BenchmarkFlood(b *testing.B) {
	for _, tc := range floods {
		for who, s := range map[string]store{"ananas": floodOurs(b), "lru": newLRU(floodBytes / floodEntry)} {
			b.Run(tc.name+"/"+who, func(b *testing.B) {
				f := newFlood(tc.hot)
				f.run(s, 200_000)
				f.random, f.times = tc.random, tc.times
				f.run(s, 20_000)
				b.ResetTimer()
				b.ReportMetric(100*f.run(s, max(b.N, 1)), "%hits")
			})
		}
	}
}
