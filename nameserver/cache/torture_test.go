package cache

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// stamp fills a record with who wrote it: which name, in which epoch the work began, which version; padding, and a checksum
// over all.
func stamp(id int, epoch uint64, version uint32, size int) []byte {
	b := make([]byte, 20+size)
	binary.BigEndian.PutUint32(b, uint32(id))
	binary.BigEndian.PutUint64(b[4:], epoch)
	binary.BigEndian.PutUint32(b[12:], version)
	for i := 16; i < len(b)-4; i++ {
		b[i] = byte(version + uint32(i))
	}
	return binary.BigEndian.AppendUint32(b[:len(b)-4], crc32.ChecksumIEEE(b[:len(b)-4]))
}

// read checks a stamp and returns what it says.
func readStamp(b []byte) (id int, epoch uint64, version uint32, err error) {
	if len(b) < 20 || crc32.ChecksumIEEE(b[:len(b)-4]) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return 0, 0, 0, fmt.Errorf("the checksum of %d octets is wrong", len(b))
	}
	return int(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint32(b[12:]), nil
}

// Reading, storing, evicting, purging and listing at once: every answer is one whole store, of that name, and never one whose
// work began before a purge of the name that was over when the question was asked. Run it with -race -tags heaparena, too.
func TestTorture(t *testing.T) {
	const names, workers = 20_000, 4
	rounds := 60_000
	if testing.Short() {
		rounds = 10_000
	}
	c, clk := newCache(t, Config{Bytes: 2 << 20, Shards: 2, Seed: 3})
	all := make([]dns.Name, names)
	for i := range all {
		all[i] = name(fmt.Sprintf("h%d.z%d.example", i, i%50))
	}
	var purged [names]atomic.Uint64 // the epoch that the last finished purge of a name began
	var wholes, found atomic.Int64
	check := func(id int, since uint64, what string, stamps ...[]byte) {
		var version uint32
		for i, b := range stamps {
			got, epoch, v, err := readStamp(b)
			switch {
			case err != nil:
				t.Errorf("%s of %v: %v", what, all[id], err)
			case got != id:
				t.Errorf("%s of %v is one of %v", what, all[id], all[got])
			case epoch < since:
				t.Errorf("%s of %v: from epoch %d, purged in %d", what, all[id], epoch, since)
			case i > 0 && v != version:
				t.Errorf("%s of %v: parts of versions %d and %d", what, all[id], version, v)
			}
			version = v
		}
		wholes.Add(1)
	}
	pick := func(rng *rand.Rand) int { // some often, most hardly ever
		if rng.IntN(2) == 0 {
			return rng.IntN(200)
		}
		return rng.IntN(names)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { // store and read
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			buf := make([]byte, 0, 1024)
			begun := c.Epoch()
			for round := range rounds {
				id := pick(rng)
				if rng.IntN(4) == 0 { // work takes a while
					begun = c.Epoch()
				}
				version := uint32(round*workers + w)
				switch rng.IntN(8) {
				case 0, 1:
					e := aRecord(all[id], 0, clk.now(), time.Minute)
					e.Set.Type, e.Set.Data = dns.TypeTXT, dns.Records{}.Append(stamp(id, begun, version, rng.IntN(300)))
					e.Set.Sigs = dns.Records{}.Append(stamp(id, begun, version, rng.IntN(100)))
					c.Put(e, begun)
				case 2:
					zone := all[id].Parent()
					d := nxdomain(all[id], clk.now(), time.Minute)
					d.Security, d.SOA.Data = Secure, dns.Records{}.Append(stamp(id, begun, version, rng.IntN(50)))
					d.Proof = []dns.RRset{{Name: all[id], Type: dns.TypeNSEC, Class: dns.ClassINET, TTL: 60,
						Data: dns.Records{}.Append([]byte(zone.Wire())), Sigs: dns.Records{}.Append(stamp(id, begun, version, 10))}}
					c.PutDenial(d, begun)
				case 3:
					since := purged[id].Load()
					if d, ok := c.GetDenial(all[id], dns.TypeA); ok {
						check(id, since, "denial", d.SOA.Data.First(), d.Proof[0].Sigs.First())
					}
				case 4:
					since := purged[id].Load()
					if e, ok := c.CoveringDenial(all[id].Parent(), all[id], dns.TypeNSEC); ok && e.Set.Name == all[id] {
						check(id, since, "proof", e.Set.Sigs.First())
					}
				default:
					since := purged[id].Load()
					e, ok := c.Get(Key{Name: all[id], Type: dns.TypeTXT}, buf)
					if ok {
						found.Add(1)
						check(id, since, "RRset", e.Set.Data.First(), e.Set.Sigs.First())
					}
				}
				if round%64 == 0 {
					clk.advance(time.Millisecond)
				}
			}
		})
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { // purge
		rng := rand.New(rand.NewPCG(9, 9))
		for {
			select {
			case <-stop:
				return
			default:
			}
			id, subtree := pick(rng), rng.IntN(10) == 0
			n := all[id]
			if subtree {
				n = n.Parent()
			}
			r, err := c.Purge(n, subtree)
			if err != nil {
				t.Error(err)
			}
			for i := range all {
				if i == id || subtree && all[i].IsWithin(n) {
					purged[i].Store(r.Epoch)
				}
			}
		}
	})
	others.Go(func() { // look on
		for {
			select {
			case <-stop:
				return
			default:
			}
			c.Walk(name("z7.example"), true, func(i Item) bool {
				if i.Kind == KindRRset {
					if _, _, _, err := readStamp(i.Entry.Set.Data.First()); err != nil {
						t.Errorf("walk: %v: %v", i.Name(), err)
					}
				}
				return true
			})
			c.SetTable(&Table{MaxTTL: time.Hour, NegativeMaxTTL: time.Hour, Stale: time.Duration(c.Stats().Hits % 2)})
		}
	})
	wg.Wait()
	close(stop)
	others.Wait()
	checkIndex(t, c)
	st := c.Stats()
	t.Logf("%d answers whole; %+v; %d purges", wholes.Load(), st, c.m.purges.Value())
	if found.Load() == 0 || st.Evicted == 0 || c.m.purges.Value() == 0 || c.m.refused[RefusedPurged].Value() == 0 {
		t.Errorf("the test shows nothing: %d found, %+v", found.Load(), st)
	}
}

// Closing while others ask: they find nothing, and nothing is read from memory that is gone.
func TestCloseWhileInUse(t *testing.T) {
	clk := newClock()
	c, err := New(Config{Bytes: MinBytes, Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var stored atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				n := hostName(i + w*1000)
				switch v := c.Put(aRecord(n, i, clk.now(), time.Hour), c.Epoch()); v {
				case Stored:
					stored.Add(1)
				case RefusedClosed, RefusedPurged: // a purge of another may fall between taking the epoch and storing
				default:
					t.Errorf("put: %v", v)
				}
				c.PutDenial(secureDenial("example.com.", n.String(), clk.now(), time.Hour, nsec(n.String(), "z.example.com.")), c.Epoch())
				c.Get(keyA(n), nil)
				c.CoveringDenial(name("example.com."), n, dns.TypeNSEC)
				if i%1000 == 0 {
					c.Walk(dns.Root, true, func(Item) bool { return true })
					_, _ = c.Purge(n.Parent(), true)
					c.Stats()
				}
			}
		})
	}
	for stored.Load() < 1000 {
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, ok := c.Get(keyA(hostName(1)), nil); ok {
		t.Error("found after Close")
	}
	if v := c.Put(aRecord(hostName(1), 1, clk.now(), time.Hour), c.Epoch()); v != RefusedClosed {
		t.Errorf("put after Close: %v", v)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
