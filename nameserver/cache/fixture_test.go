package cache

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// clock is a clock that stands until it is moved.
type clock struct{ t atomic.Int64 }

func (c *clock) now() time.Duration      { return time.Duration(c.t.Load()) }
func (c *clock) advance(d time.Duration) { c.t.Add(int64(d)) }

// start is where test clocks begin: not 0, which would hide a missing time.
const start = 1000 * time.Hour

func newClock() *clock {
	c := new(clock)
	c.advance(start)
	return c
}

func newCache(t testing.TB, c Config) (*Cache, *clock) {
	t.Helper()
	clk := newClock()
	if c.Now == nil {
		c.Now = clk.now
	}
	if c.Bytes == 0 {
		c.Bytes = 8 << 20
	}
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k, clk
}

var server4 = netip.MustParseAddr("192.0.2.1")

func name(s string) dns.Name { return dns.MustParseName(s) }

// hostName is a name of 20 octets in presentation form, 22 on the wire.
func hostName(i int) dns.Name { return name(fmt.Sprintf("h%07d.example.com", i)) }

func address(i int) dns.Records {
	return dns.Records{}.Append(binary.BigEndian.AppendUint32(nil, uint32(i)))
}

// aRecord is an authoritative A record, live for ttl from now.
func aRecord(n dns.Name, i int, now, ttl time.Duration) Entry {
	return Entry{
		Set:  dns.RRset{Name: n, Type: dns.TypeA, Class: dns.ClassINET, TTL: uint32(ttl / time.Second), Data: address(i)},
		Rank: RankAuthAnswer, Server: server4, Zone: n.Parent(), Stored: now, Expires: now + ttl,
	}
}

func mustPut(t testing.TB, c *Cache, e Entry) {
	t.Helper()
	if v := c.Put(e, c.Epoch()); v != Stored {
		t.Fatalf("put %v %v: %v", e.Set.Name, e.Set.Type, v)
	}
}

func keyA(n dns.Name) Key { return Key{Name: n, Type: dns.TypeA} }

func nxdomain(n dns.Name, now, ttl time.Duration) Denial {
	zone := n.Parent()
	soa := dns.SOA{MName: zone, RName: zone, Serial: 1, Minimum: uint32(ttl / time.Second)}
	return Denial{
		Name: n, Kind: NXDomain, Zone: zone, Rank: RankAuthAnswer, Server: server4, Stored: now, Expires: now + ttl,
		SOA: dns.RRset{Name: zone, Type: dns.TypeSOA, Class: dns.ClassINET, TTL: uint32(ttl / time.Second), Data: dns.Records{}.Append(soa.Append(nil))},
	}
}

func nodata(n dns.Name, typ dns.Type, now, ttl time.Duration) Denial {
	d := nxdomain(n, now, ttl)
	d.Kind, d.Type = NoData, typ
	return d
}

// checkIndex holds all that the cache believes of itself against what lies in its memory.
func checkIndex(t testing.TB, c *Cache) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		was := s.n
		s.recount()
		if s.n.entries != was.entries || s.n.liveUnits != was.liveUnits {
			t.Errorf("shard %d counts %v entries of %d units, has %v of %d", i, was.entries, was.liveUnits, s.n.entries, s.n.liveUnits)
		}
		if s.n.damaged != 0 {
			t.Errorf("shard %d: %d damaged", i, s.n.damaged)
		}
		seen := map[uint64]bool{}
		for at := uint64(0); at < 1<<nameBits; {
			from := at
			at = s.eachPage(at, func(slots *[pageSlots]uint64) {
				used := uint16(0)
				for _, v := range slots {
					if v == 0 {
						continue
					}
					used++
					loc := v & locMask
					b := s.a.blob(loc)
					view, ok := b.view()
					if !ok || seen[loc] || b.loadUse()&useDead != 0 {
						t.Fatalf("shard %d: slot %x leads to a damaged, dead or known entry", i, v)
					}
					seen[loc] = true
					id := ident{hash: c.key.name(view.name), kind: view.kind, typ: view.typ, partition: view.partition, name: view.name}
					page, slot, _ := s.find(&id)
					if page == 0 || s.a.slots(page)[slot] != v {
						t.Fatalf("shard %d: entry %q %v is not found by its key", i, view.name, view.typ)
					}
				}
				if page := s.dir[from>>(nameBits-s.depth.Load())]; s.a.pages[page-1].used != used {
					t.Errorf("shard %d: page %d counts %d slots, has %d", i, page, s.a.pages[page-1].used, used)
				}
			})
		}
		held := s.small.segments + s.main.segments + s.indexSegments + s.freeSegments
		if s.victim != 0 {
			held++
		}
		if held != s.taken {
			t.Errorf("shard %d: %d segments taken, %d accounted for", i, s.taken, held)
		}
		s.mu.Unlock()
	}
}
