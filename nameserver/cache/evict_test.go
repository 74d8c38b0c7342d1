package cache

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Whatever is stored, the cache stays within its bytes, keeps its own books right and holds about as much as it should.
func TestStaysWithinItsBytes(t *testing.T) {
	for _, tc := range []struct {
		what        string
		bytes       int64
		shards      int
		least, most int     // octets of data in an entry
		live        float64 // least share of the bytes that entries which can be found take
	}{
		{"small entries", 1 << 20, 1, 4, 4, 0.70},
		{"small entries, shards", 8 << 20, 8, 4, 4, 0.70},
		{"signed entries", 4 << 20, 2, 100, 600, 0.75},
		{"large entries", 8 << 20, 1, 10_000, 65_000, 0.40}, // two to eleven fill a segment, with gaps
		{"anything", 4 << 20, 4, 1, 10_000, 0.65},
	} {
		t.Run(tc.what, func(t *testing.T) {
			c, clk := newCache(t, Config{Bytes: tc.bytes, Shards: tc.shards})
			if got := int64(len(c.arena.bytes)); got > tc.bytes || got < tc.bytes*9/10 {
				t.Errorf("%d octets of logs and index in %d", got, tc.bytes)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			stored := int64(0)
			for i := 0; stored < 3*tc.bytes; i++ {
				e := aRecord(hostName(i), i, clk.now(), time.Hour)
				n := tc.least + rng.IntN(tc.most-tc.least+1)
				e.Set.Type, e.Set.Data = dns.TypeTXT, dns.Records{}.Append(make([]byte, min(n, c.maxEntry-200)))
				stored += int64(len(e.Set.Data)) + 50
				mustPut(t, c, e)
				if rng.IntN(4) == 0 { // some are asked for
					c.Get(Key{Name: hostName(i - rng.IntN(min(i+1, 100))), Type: dns.TypeTXT}, nil)
				}
			}
			st := c.Stats()
			if st.Used > tc.bytes || st.Evicted == 0 {
				t.Errorf("%+v", st)
			}
			if got := float64(st.Live) / float64(tc.bytes); got < tc.live {
				t.Errorf("%.2f of the bytes are entries, want %.2f: %+v", got, tc.live, st)
			}
			t.Logf("%.2f live, %d entries, index %.3f", float64(st.Live)/float64(tc.bytes), st.RRsets, float64(st.Index)/float64(tc.bytes))
			checkIndex(t, c)
			if _, err := c.Purge(dns.Root, true); err != nil {
				t.Error(err)
			}
			if st := c.Stats(); st.Live != 0 || st.RRsets != 0 {
				t.Errorf("after a purge of everything: %+v", st)
			}
		})
	}
}

// A cache that is hardly used touches little memory: segments are taken one after the other, by whichever shard.
func TestTakesMemoryAsNeeded(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 64 << 20})
	if st := c.Stats(); st.Used > 8 {
		t.Errorf("empty: %+v", st)
	}
	for i := range 1000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Hour))
	}
	if got, want := c.arena.fresh.Load(), uint32(2*len(c.shards)); got != want { // one of log and one of index each
		t.Errorf("%d segments, want %d", got, want)
	}
}

// What was replaced leaves room without anything else being evicted.
func TestReplacedEntriesMakeRoom(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes})
	for i := range 100_000 {
		clk.advance(time.Second)
		mustPut(t, c, aRecord(hostName(i%100), i, clk.now(), time.Hour))
	}
	st := c.Stats()
	if cold := c.m.evicted[evictedCold].Value(); st.RRsets != 100 || cold != 0 {
		t.Errorf("%d cold ones evicted: %+v", cold, st)
	}
	for i := range 100 {
		if e, ok := c.Get(keyA(hostName(i)), nil); !ok || string(e.Set.Data) != string(address(100_000-100+i)) {
			t.Fatalf("%d: %v", i, ok)
		}
	}
	checkIndex(t, c)
}

// One name with more types than a page of the index has room for does not grow the index without end, nor does it
// push out other names; the types evict one another.
func TestManyTypesAtOneName(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 4 << 20, Shards: 1})
	for i := range 1000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Hour))
	}
	n := name("many.example.net")
	for i := range 5000 {
		e := aRecord(n, i, clk.now(), time.Hour)
		e.Set.Type = dns.Type(1000 + i)
		mustPut(t, c, e)
	}
	checkIndex(t, c)
	if got := c.m.evicted[evictedIndex].Value(); got == 0 {
		t.Error("nothing was evicted from the page")
	}
	if st := c.Stats(); st.Index > 64*pageBytes {
		t.Errorf("the index has %d pages", st.Index/pageBytes)
	}
	lost := 0
	for i := range 1000 {
		if _, ok := c.Peek(keyA(hostName(i))); !ok {
			lost++
		}
	}
	if lost > 10 {
		t.Errorf("%d of 1000 other names were lost", lost)
	}
	items, _ := c.List(n, false, 10_000)
	if len(items) < pageFull/2 || len(items) > pageFull {
		t.Errorf("%d types are left", len(items))
	}
	if r, err := c.Purge(n, false); err != nil || r.RRsets != len(items) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Entries past their stale window are the first to go, and are no ghosts.
func TestExpiredEntriesGo(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes, Table: &Table{MaxTTL: time.Hour, NegativeMaxTTL: time.Hour}})
	for i := range 5000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Minute))
		c.Get(keyA(hostName(i)), nil)
		c.Get(keyA(hostName(i)), nil)
	}
	clk.advance(time.Minute)
	for i := range 20_000 {
		mustPut(t, c, aRecord(hostName(10_000+i), i, clk.now(), time.Minute))
	}
	if got := c.m.evicted[evictedExpired].Value(); got != 5000 {
		t.Errorf("%d evicted as expired, want 5000", got)
	}
	checkIndex(t, c)
}

// Peek keeps an entry as well as Get does, but is no hit.
func TestPeekKeeps(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes})
	kept, lost := name("kept.example"), name("lost.example")
	mustPut(t, c, aRecord(kept, 1, clk.now(), time.Hour))
	mustPut(t, c, aRecord(lost, 1, clk.now(), time.Hour))
	for i := range 50_000 {
		mustPut(t, c, aRecord(hostName(i), i, clk.now(), time.Hour))
		if i%500 == 0 {
			c.Peek(keyA(kept))
		}
	}
	e, ok := c.Peek(keyA(kept))
	if !ok || e.Hits != 0 {
		t.Errorf("found %v, %d hits", ok, e.Hits)
	}
	if _, ok := c.Peek(keyA(lost)); ok {
		t.Error("what nobody asked for is still there: the test shows nothing")
	}
	if st := c.Stats(); st.Hits+st.Misses+st.Stale != 0 {
		t.Errorf("%+v", st)
	}
}

// Hits count from the store on, and begin anew with the next.
func TestHits(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes})
	n := name("www.example")
	for range 2 {
		mustPut(t, c, aRecord(n, 1, clk.now(), time.Hour))
		mustPutDenial(t, c, nodata(n, dns.TypeAAAA, clk.now(), time.Hour))
		for want := range uint32(5) {
			if e, _ := c.Get(keyA(n), nil); e.Hits != want {
				t.Errorf("%d hits, want %d", e.Hits, want)
			}
			if d, _ := c.GetDenial(n, dns.TypeAAAA); d.Hits != want {
				t.Errorf("%d hits of the denial, want %d", d.Hits, want)
			}
		}
	}
	id := c.ident(KindRRset, n, dns.TypeA, 0)
	s := c.shardOf(id.hash)
	_, _, b := s.find(&id)
	b.storeUse(maxHits<<hitShift | useCount)
	for range 2 {
		if e, _ := c.Get(keyA(n), nil); e.Hits != maxHits {
			t.Errorf("%d hits, want no more than %d", e.Hits, maxHits)
		}
	}
}

// Memory that is damaged costs entries, never more.
func TestDamage(t *testing.T) {
	for seed := range uint64(20) {
		c, clk := newCache(t, Config{Bytes: MinBytes, Seed: seed})
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := range 30_000 {
			n := hostName(rng.IntN(3000))
			switch rng.IntN(8) {
			case 0:
				c.PutDenial(nxdomain(n, clk.now(), time.Hour), c.Epoch())
			case 1:
				c.PutDenial(secureDenial("example.com.", n.String(), clk.now(), time.Hour, nsec(n.String(), "z.example.com.")), c.Epoch())
			case 2:
				c.Get(keyA(n), nil)
				c.GetDenial(n, dns.TypeA)
			case 3:
				c.CoveringDenial(name("example.com."), n, dns.TypeNSEC)
			default:
				c.Put(aRecord(n, i, clk.now(), time.Hour), c.Epoch())
			}
			if i%20 == 0 { // anywhere in what is in use, index included
				at := rng.IntN(max(1, int(c.arena.fresh.Load())*int(c.arena.segUnits)*unit))
				c.arena.bytes[at] ^= byte(1 + rng.IntN(255))
			}
			if i%5000 == 0 {
				c.Walk(dns.Root, true, func(Item) bool { return true })
				_, _ = c.Purge(name("net."), true)
			}
		}
		if c.Stats().RRsets == 0 {
			t.Error("nothing was stored any more")
		}
	}
}

// queueOf tells in which queue the address of n lies: "small", "main", or "" if it is not there.
func queueOf(c *Cache, n dns.Name) string {
	id := c.ident(KindRRset, n, dns.TypeA, 0)
	s := c.shardOf(id.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	page, slot, _ := s.find(&id)
	switch {
	case page == 0:
		return ""
	case s.a.stateOf(s.a.slots(page)[slot] & locMask).main:
		return "main"
	}
	return "small"
}

// The way of an entry through the queues: small; main once it was asked for twice; there after a replacement, too; round as
// often as it was asked for, then gone for good. What was cold comes back to the main queue.
func TestQueues(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: MinBytes})
	now, next := clk.now(), 0
	put := func(n dns.Name) { mustPut(t, c, aRecord(n, 1, now, time.Hour)) }
	others := func(n, asked int) { // so many new names, asked for so often
		for range n {
			next++
			put(hostName(next))
			for range asked {
				c.Peek(keyA(hostName(next)))
			}
		}
	}
	want := func(when string, n dns.Name, queue string) {
		t.Helper()
		if got := queueOf(c, n); got != queue {
			t.Fatalf("%s: %v is in queue %q, want %q", when, n, got, queue)
		}
	}
	const whole = 16_000 // more than the cache has room for
	used, cold := name("used.example"), name("cold.example")
	put(used)
	put(cold)
	c.Peek(keyA(used))
	c.Peek(keyA(used))
	c.Peek(keyA(cold))
	want("stored", used, "small")
	others(whole, 0)
	want("after two questions", used, "main")
	want("after one question", cold, "")
	put(used)
	want("replaced", used, "main")

	ghosts := c.Stats().GhostHits
	put(cold)
	want("stored again", cold, "main")
	if got := c.Stats().GhostHits; got != ghosts+1 {
		t.Errorf("%d ghosts came back, want 1", got-ghosts)
	}
	put(name("new.example"))
	want("never seen", name("new.example"), "small")

	c.Peek(keyA(used)) // one more round than cold
	if c.m.evicted[evictedAged].Value() != 0 {
		t.Fatal("the main queue was evicted from too early")
	}
	rounds := map[string]int{}
	for turn := 1; turn < 20 && (queueOf(c, used) != "" || queueOf(c, cold) != ""); turn++ {
		others(whole/4, 2) // all of these go to the main queue
		for what, n := range map[string]dns.Name{"used": used, "cold": cold} {
			if queueOf(c, n) == "main" {
				rounds[what] = turn
			}
		}
	}
	if rounds["cold"] == 0 || rounds["used"] <= rounds["cold"] || rounds["used"] > 4*rounds["cold"] {
		t.Errorf("left the main queue after %v quarters of the cache", rounds)
	}
	// Some are crowded out at first, when all of a long small queue is worth a place in the main queue.
	if aged, crowded := c.m.evicted[evictedAged].Value(), c.m.evicted[evictedCrowded].Value(); aged == 0 || crowded > aged/20 {
		t.Errorf("%d aged, %d crowded", aged, crowded)
	}
	checkIndex(t, c)
}
