package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// imageWith is an image that says little but its wire.
func imageWith(wire []byte, now time.Duration) *Image {
	return &Image{
		RCode: dns.RCodeNameError, Secure: true, Counts: [3]uint16{1, 2, 3}, Built: uint32(now / time.Second),
		TTLs: []byte{6, 0}, Turns: []byte{1, 0, 2, 4}, Wire: wire,
	}
}

// imageOfOne looks one image up.
func imageOfOne(r *Reader, n dns.Name, v Variant, generation uint32, now time.Duration) (m Image, ok bool) {
	if !r.Enter() {
		return m, false
	}
	looks := []Look{{Name: []byte(n.Wire()), Type: dns.TypeA, Variant: v}}
	r.Find(looks)
	m, ok = r.Image(&looks[0], generation, now)
	r.Leave(1, 0)
	return m, ok
}

func TestImage(t *testing.T) {
	const generation = 7
	www := name("www.example.com")
	epoch := func(c *Cache) uint64 { return c.Epoch() }
	for what, c := range map[string]struct {
		change func(*Cache, *clock) // after the image was stored
		ask    dns.Name
		v      Variant
		other  uint32 // added to the generation
		found  bool
	}{
		"as stored":                          {ask: www, found: true},
		"in any case":                        {ask: name("wWw.ExamplE.com"), found: true},
		"another name":                       {ask: name("wwx.example.com")},
		"another variant":                    {ask: www, v: VariantDO},
		"other generation":                   {ask: www, other: 1},
		"expired":                            {ask: www, change: func(_ *Cache, clk *clock) { clk.advance(time.Minute) }},
		"just not expired":                   {ask: www, change: func(_ *Cache, clk *clock) { clk.advance(time.Minute - 1) }, found: true},
		"an RRset of the name is stored":     {ask: www, change: func(c *Cache, clk *clock) { c.Put(aRecord(www, 1, clk.now(), time.Minute), epoch(c)) }},
		"a denial of the name is stored":     {ask: www, change: func(c *Cache, clk *clock) { c.PutDenial(nxdomain(www, clk.now(), time.Minute), epoch(c)) }},
		"an RRset of another name is stored": {ask: www, found: true, change: func(c *Cache, clk *clock) { c.Put(aRecord(www.Parent(), 1, clk.now(), time.Minute), epoch(c)) }},
		"a delegation of that name is stored": {ask: www, found: true, change: func(c *Cache, clk *clock) {
			e := aRecord(www, 1, clk.now(), time.Minute)
			e.Partition = 1
			c.Put(e, epoch(c))
		}},
		"the name is purged":              {ask: www, change: func(c *Cache, _ *clock) { _, _ = c.Purge(www, false) }},
		"all that is below com is purged": {ask: www, change: func(c *Cache, _ *clock) { _, _ = c.Purge(name("com"), true) }},
		"another name is purged":          {ask: www, found: true, change: func(c *Cache, _ *clock) { _, _ = c.Purge(name("x.example.com"), false) }},
		"stored again": {ask: www, found: true, change: func(c *Cache, clk *clock) {
			c.PutImage(www, dns.TypeA, 0, 0, generation, imageWith([]byte("octets"), clk.now()), clk.now()+time.Minute, epoch(c), c.Mark(www))
		}},
		"stored again by work of before a purge": {ask: www, change: func(c *Cache, clk *clock) {
			before := epoch(c)
			_, _ = c.Purge(www, false)
			if v := c.PutImage(www, dns.TypeA, 0, 0, generation, imageWith([]byte("octets"), clk.now()), clk.now()+time.Minute, before, c.Mark(www)); v != RefusedPurged {
				t.Errorf("it was %v", v)
			}
		}},
	} {
		t.Run(what, func(t *testing.T) {
			k, clk := newCache(t, Config{})
			r := k.NewReader()
			defer r.Close()
			m := imageWith([]byte("octets"), clk.now())
			if v := k.PutImage(www, dns.TypeA, 0, 0, generation, m, clk.now()+time.Minute, k.Epoch(), k.Mark(www)); v != Stored {
				t.Fatal(v)
			}
			if c.change != nil {
				c.change(k, clk)
			}
			got, ok := imageOfOne(r, c.ask, c.v, generation+c.other, clk.now())
			if ok != c.found {
				t.Fatalf("found: %v, want %v", ok, c.found)
			}
			if ok && (got.RCode != m.RCode || !got.Secure || got.Counts != m.Counts || got.Built != m.Built || !bytes.Equal(got.TTLs, m.TTLs) ||
				!bytes.Equal(got.Turns, m.Turns) || !bytes.Equal(got.Wire, m.Wire)) {
				t.Errorf("got %+v, stored %+v", got, *m)
			}
			checkIndex(t, k)
		})
	}
}

func TestImageIsRefused(t *testing.T) {
	k, clk := newCache(t, Config{})
	www, later := name("www.example.com"), clk.now()+time.Minute
	for what, c := range map[string]struct {
		edit func(*Image)
		end  time.Duration
		want Verdict
	}{
		"too large":                            {func(m *Image) { m.Wire = make([]byte, MaxImage+1) }, later, RefusedSize},
		"a note that is too large":             {func(m *Image) { m.Note = make([]byte, MaxImageNote+1) }, later, RefusedSize},
		"half a TTL":                           {func(m *Image) { m.TTLs = m.TTLs[:1] }, later, RefusedForm},
		"half a turn":                          {func(m *Image) { m.Turns = m.Turns[:3] }, later, RefusedForm},
		"a response code that no header holds": {func(m *Image) { m.RCode = dns.RCodeBadVersion }, later, RefusedForm},
		"expired":                              {func(*Image) {}, clk.now(), RefusedExpired},
		"the largest": {func(m *Image) {
			m.Wire, m.Options, m.Note = make([]byte, MaxImage), make([]byte, maxImageOptions), make([]byte, MaxImageNote)
		}, later, Stored},
	} {
		m := imageWith([]byte("octets"), clk.now())
		c.edit(m)
		if v := k.PutImage(www, dns.TypeA, 0, 0, 1, m, c.end, k.Epoch(), k.Mark(www)); v != c.want {
			t.Errorf("%s: %v, want %v", what, v, c.want)
		}
	}
}

// What stands behind the records is found again, whether there are options, a note, both or neither.
func TestImageWithMore(t *testing.T) {
	k, clk := newCache(t, Config{})
	r := k.NewReader()
	defer r.Close()
	www := name("www.example.com")
	for _, c := range []struct{ options, note string }{{"", ""}, {"option", ""}, {"", "note"}, {"option", "note"}, {"option", "n"}, {"", "n"}} {
		m := imageWith([]byte("octets"), clk.now())
		m.Options, m.Note = []byte(c.options), []byte(c.note)
		if v := k.PutImage(www, dns.TypeA, 0, 0, 1, m, clk.now()+time.Minute, k.Epoch(), k.Mark(www)); v != Stored {
			t.Fatal(v)
		}
		if got, ok := imageOfOne(r, www, 0, 1, clk.now()); !ok || string(got.Wire) != "octets" || string(got.Options) != c.options || string(got.Note) != c.note {
			t.Errorf("%+v: got %v, %q %q %q", c, ok, got.Wire, got.Options, got.Note)
		}
	}
}

// An image that is asked for keeps what it was made of from being evicted, so that there is something to make the next one of.
func TestImageKeepsItsRecords(t *testing.T) {
	k, clk := newCache(t, Config{Bytes: 1 << 20, Shards: 1})
	r := k.NewReader()
	www := hostName(0)
	mustPut(t, k, aRecord(www, 0, clk.now(), time.Hour))
	k.PutImage(www, dns.TypeA, 0, 0, 1, imageWith([]byte("octets"), clk.now()), clk.now()+time.Hour, k.Epoch(), k.Mark(www))
	for i := range 100_000 {
		if i%50 == 0 {
			if _, ok := imageOfOne(r, www, 0, 1, clk.now()); !ok {
				t.Fatalf("the image is gone after %d other names", i)
			}
		}
		mustPut(t, k, aRecord(hostName(1+i), i, clk.now(), time.Hour))
	}
	if _, ok := k.Get(keyA(www), nil); !ok {
		t.Error("the RRset is gone")
	}
	r.Close()
	checkIndex(t, k)
}

// After Close nothing is read; during it, readers are waited for.
func TestReaderAfterClose(t *testing.T) {
	k, clk := newCache(t, Config{})
	www := hostName(0)
	k.PutImage(www, dns.TypeA, 0, 0, 1, imageWith([]byte("octets"), clk.now()), clk.now()+time.Hour, k.Epoch(), k.Mark(www))
	var wg sync.WaitGroup
	var ready sync.WaitGroup
	for range 2 {
		ready.Add(1)
		wg.Go(func() {
			r := k.NewReader()
			defer r.Close()
			once := sync.OnceFunc(ready.Done)
			for {
				_, ok := imageOfOne(r, www, 0, 1, clk.now())
				once()
				if !ok {
					return
				}
			}
		})
	}
	ready.Wait()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// Reading without the lock, while all is stored, replaced, evicted, split and purged: what is found is one whole image, of that name.
func TestReaderTorture(t *testing.T) {
	const names = 5000
	rounds := 40_000
	if testing.Short() {
		rounds = 10_000
	}
	c, clk := newCache(t, Config{Bytes: 1 << 20, Shards: 1, Seed: 5})
	all := make([]dns.Name, names)
	for i := range all {
		all[i] = name(fmt.Sprintf("h%d.z%d.example", i, i%50))
	}
	var stop atomic.Bool
	var found atomic.Int64
	var readers, writers sync.WaitGroup
	for w := range 2 {
		readers.Go(func() {
			r := c.NewReader()
			defer r.Close()
			rng := rand.New(rand.NewPCG(uint64(w), 2))
			looks, ids := make([]Look, 64), make([]int, 64)
			for !stop.Load() {
				for i := range looks {
					ids[i] = rng.IntN(names)
					looks[i] = Look{Name: []byte(all[ids[i]].Wire()), Type: dns.TypeA, Variant: Variant(ids[i] % 4)}
				}
				r.Enter()
				r.Find(looks)
				for i := range looks {
					m, ok := r.Image(&looks[i], 1, clk.now())
					if !ok {
						continue
					}
					found.Add(1)
					if id, _, version, err := readStamp(m.Wire); err != nil || id != ids[i] || m.Built != version {
						t.Errorf("image of %v: %v, of %d, version %d, built %d", all[ids[i]], err, id, version, m.Built)
					}
				}
				r.Leave(0, 0)
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for round := range rounds {
				id := rng.IntN(names)
				switch rng.IntN(16) {
				case 0:
					c.Put(aRecord(all[id], id, clk.now(), time.Minute), c.Epoch())
				case 1:
					if round%100 == 0 {
						_, _ = c.Purge(all[id], false)
					}
				default:
					version := uint32(round*2 + w)
					m := Image{Built: version, Wire: stamp(id, 0, version, rng.IntN(600))}
					c.PutImage(all[id], dns.TypeA, Variant(id%4), 0, 1, &m, clk.now()+time.Minute, c.Epoch(), c.Mark(all[id]))
				}
				if round%64 == 0 {
					clk.advance(time.Millisecond)
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	if found.Load() == 0 {
		t.Error("no image was ever found")
	}
	checkIndex(t, c)
}

func BenchmarkReader(b *testing.B) {
	const names, batch = 100_000, 64
	c, clk := newCache(b, Config{Bytes: 256 << 20, Shards: 8})
	wires := make([][]byte, names)
	for i := range wires {
		n := hostName(i)
		wires[i] = []byte(n.Wire())
		c.PutImage(n, dns.TypeA, 0, 0, 1, &Image{Built: 1, TTLs: []byte{6, 0}, Wire: make([]byte, 16)}, clk.now()+time.Hour, c.Epoch(), c.Mark(n))
	}
	r := c.NewReader()
	defer r.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	looks := make([]Look, batch)
	b.ReportAllocs()
	b.ResetTimer()
	found := 0
	for i := 0; i < b.N; i += batch {
		for k := range looks {
			looks[k] = Look{Name: wires[rng.IntN(names)], Type: dns.TypeA}
		}
		r.Enter()
		r.Find(looks)
		for k := range looks {
			if _, ok := r.Image(&looks[k], 1, clk.now()); ok {
				found++
			}
		}
		r.Leave(batch, 0)
	}
	b.ReportMetric(float64(found)/float64((b.N+batch-1)/batch*batch), "hits/look")
}

// An image of what was known before something newer was stored of its name does not come after it.
func TestImageIsOvertaken(t *testing.T) {
	k, clk := newCache(t, Config{})
	www := name("www.example.com")
	for what, put := range map[string]func() Verdict{
		"an RRset": func() Verdict { return k.Put(aRecord(www, 1, clk.now(), time.Minute), k.Epoch()) },
		"a denial": func() Verdict { return k.PutDenial(nxdomain(www, clk.now(), time.Minute), k.Epoch()) },
	} {
		mark := k.Mark(name("WWW.example.com")) // and now the old records are read
		if v := put(); v != Stored {
			t.Fatal(v)
		}
		if v := k.PutImage(www, dns.TypeA, 0, 0, 1, imageWith([]byte("octets"), clk.now()), clk.now()+time.Minute, k.Epoch(), mark); v != RefusedChanged {
			t.Errorf("after %s: %v", what, v)
		}
		if v := k.PutImage(www, dns.TypeA, 0, 0, 1, imageWith([]byte("octets"), clk.now()), clk.now()+time.Minute, k.Epoch(), k.Mark(www)); v != Stored {
			t.Errorf("of %s: %v", what, v)
		}
	}
}

// Who is not answered from images, as with NSID, has the same one made with each query. It is written once.
func TestImageIsNotRepeated(t *testing.T) {
	k, clk := newCache(t, Config{})
	r := k.NewReader()
	defer r.Close()
	www := name("www.example.com")
	image := func(ttl uint32, last byte) *Image {
		wire := append(binary.BigEndian.AppendUint32([]byte("before"), ttl), make([]byte, 4000)...)
		return &Image{Counts: [3]uint16{1}, Built: uint32(clk.now() / time.Second), TTLs: []byte{6, 0}, Wire: append(wire, last)}
	}
	put := func(m *Image, generation uint32) {
		t.Helper()
		if v := k.PutImage(www, dns.TypeA, 0, 0, generation, m, clk.now()+time.Hour, k.Epoch(), k.Mark(www)); v != Stored {
			t.Fatal(v)
		}
	}
	end := clk.now() + time.Hour
	put(image(100, 1), 1)
	used := k.Stats().Used
	for i := range uint32(50) {
		clk.advance(time.Second)
		put(image(99-i, 1), 1)
	}
	if got := k.Stats().Used; got != used {
		t.Errorf("the same image 50 times takes %d bytes more", got-used)
	}
	for what, m := range map[string]*Image{"another TTL": image(40, 1), "other octets": image(49, 2)} {
		put(m, 1)
		got, ok := imageOfOne(r, www, 0, 1, clk.now())
		if !ok || !bytes.Equal(got.Wire, m.Wire) {
			t.Errorf("%s: %v, %x, want %x", what, ok, got.Wire, m.Wire)
		}
	}
	last := image(49, 3)
	put(last, 2)
	if _, ok := imageOfOne(r, www, 0, 2, clk.now()); !ok {
		t.Error("another generation is not stored")
	}
	clk.advance(end + time.Hour - clk.now())
	put(image(1, 3), 2) // as max(1, ...) has it
	if _, ok := imageOfOne(r, www, 0, 2, clk.now()); !ok {
		t.Error("an expired one is not replaced")
	}
}
