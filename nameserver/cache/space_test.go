package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
)

// Whatever is stored in one space: each is as if it had a cache of its own, but that a purge is for all of them.
func TestSpacesAreCachesOfTheirOwn(t *testing.T) {
	spaces := []Space{0, 1, MaxSpace}
	names := []dns.Name{dns.Root, name("example"), name("a.example"), name("b.a.example"), name("c.example")}
	types := []dns.Type{dns.TypeA, dns.TypeCNAME, dns.TypeTXT}
	proofs := []dns.RRset{nsec("example", "b.example"), nsec("a.example", "c.example"), nsec("c.example", "example"), nsec3("example", 10, 20), nsec3("example", 200, 10)}
	rapid.Check(t, func(t *rapid.T) {
		clk := newClock()
		empty := func() *Cache {
			c, err := New(Config{Bytes: MinBytes, Now: clk.now})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		together := empty()
		defer func() { _ = together.Close() }()
		apart := map[Space]*Cache{}
		for _, s := range spaces {
			apart[s] = empty()
			defer func() { _ = apart[s].Close() }()
		}
		pick := func(t *rapid.T) (Space, dns.Name) {
			return rapid.SampledFrom(spaces).Draw(t, "space"), rapid.SampledFrom(names).Draw(t, "name")
		}
		state := func(t *rapid.T) (Rank, Security) {
			return rapid.SampledFrom([]Rank{RankAnswer, RankAuthAnswer}).Draw(t, "rank"), rapid.SampledFrom([]Security{Unchecked, Secure, Bogus}).Draw(t, "security")
		}
		life := func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(1, 20).Draw(t, "ttl")) * time.Second
		}
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				s, at := pick(t)
				n++
				e := aRecord(name("example"), n, clk.now(), life(t))
				e.Set.Name = at
				e.Set.Type, e.Partition = rapid.SampledFrom(types).Draw(t, "type"), uint32(rapid.IntRange(0, 1).Draw(t, "partition"))
				e.Rank, e.Security = state(t)
				if got, want := together.In(s).Put(e, together.Epoch()), apart[s].Put(e, apart[s].Epoch()); got != want {
					t.Fatalf("put: %v, and alone %v", got, want)
				}
			},
			"deny": func(t *rapid.T) {
				s, at := pick(t)
				d := nxdomain(name("a.example"), clk.now(), life(t))
				d.Name = at
				if rapid.Bool().Draw(t, "nodata") {
					d.Kind, d.Type = NoData, rapid.SampledFrom(types).Draw(t, "type")
				}
				d.Rank, d.Security = state(t)
				d.Zone = name("example")
				if at.IsRoot() {
					d.Zone = dns.Root
				}
				d.SOA.Name = d.Zone
				d.Proof = []dns.RRset{rapid.SampledFrom(proofs).Draw(t, "proof")}
				if got, want := together.In(s).PutDenial(d, together.Epoch()), apart[s].PutDenial(d, apart[s].Epoch()); got != want {
					t.Fatalf("deny: %v, and alone %v", got, want)
				}
			},
			"prove": func(t *rapid.T) {
				s, _ := pick(t)
				p, until := rapid.SampledFrom(proofs).Draw(t, "proof"), clk.now()+life(t)
				together.In(s).PutProof(name("example"), p, RankAnswer, clk.now(), until, together.Epoch())
				apart[s].PutProof(name("example"), p, RankAnswer, clk.now(), until, apart[s].Epoch())
			},
			"wait": func(t *rapid.T) { clk.advance(time.Duration(rapid.IntRange(0, 9).Draw(t, "time")) * time.Second) },
			"purge": func(t *rapid.T) {
				_, at := pick(t)
				subtree := rapid.Bool().Draw(t, "subtree")
				if r, err := together.Purge(at, subtree); err != nil {
					t.Fatalf("%+v, %v", r, err)
				}
				for _, c := range apart {
					if _, err := c.Purge(at, subtree); err != nil {
						t.Fatal(err)
					}
				}
			},
			"": func(t *rapid.T) {
				shown := map[Space]int{}
				together.Walk(dns.Root, true, func(i Item) bool {
					shown[max(i.Entry.Space, i.Denial.Space)]++
					return true
				})
				for _, s := range spaces {
					sameSpace(t, together.In(s), apart[s], s, names, types, shown[s])
				}
			},
		})
	})
}

// sameSpace holds what a space has against a cache of its own; shown is how many entries of it a walk has shown.
func sameSpace(t *rapid.T, v View, c *Cache, s Space, names []dns.Name, types []dns.Type, shown int) {
	alone := 0
	c.Walk(dns.Root, true, func(Item) bool { alone++; return true })
	if shown != alone {
		t.Fatalf("a walk shows %d entries of space %d, and alone %d", shown, s, alone)
	}
	zone := name("example")
	for _, at := range names {
		for _, typ := range types {
			for part := range uint32(2) {
				got, ok := v.Peek(Key{at, typ, part})
				want, known := c.Peek(Key{at, typ, part})
				if ok && got.Space != s {
					t.Fatalf("space %d gives an entry of %d", s, got.Space)
				}
				got.Space = 0
				if d := cmp.Diff(want, got, sameEntry); ok != known || d != "" {
					t.Fatalf("%v %v in space %d: %v, and alone %v: %s", at, typ, s, ok, known, d)
				}
			}
			got, ok := v.PeekDenial(at, typ)
			want, known := c.PeekDenial(at, typ)
			if ok != known || got.Kind != want.Kind || got.Stored != want.Stored || got.Expires != want.Expires || ok && got.Space != s {
				t.Fatalf("denial of %v %v in space %d: %v %+v, and alone %v %+v", at, typ, s, ok, got, known, want)
			}
		}
		got, ok := v.CoveringDenial(zone, at, dns.TypeNSEC)
		want, known := c.CoveringDenial(zone, at, dns.TypeNSEC)
		if ok != known || got.Set.Name != want.Set.Name || got.Expires != want.Expires {
			t.Fatalf("what covers %v in space %d: %v %v, and alone %v %v", at, s, ok, got.Set.Name, known, want.Set.Name)
		}
	}
	for _, h := range []byte{5, 15, 25} {
		got, ok := v.CoveringDenial(zone, hashed("example", h), dns.TypeNSEC3)
		want, known := c.CoveringDenial(zone, hashed("example", h), dns.TypeNSEC3)
		if ok != known || got.Set.Name != want.Set.Name {
			t.Fatalf("what covers hash %d in space %d: %v, and alone %v", h, s, ok, known)
		}
	}
}

// An image is for one class of clients, and anything that is stored of its name, in whatever space, takes it out.
func TestImagesOfClasses(t *testing.T) {
	c, clk := newCache(t, Config{})
	www := name("www.example")
	r := c.NewReader()
	defer r.Close()
	look := func(class Space) string {
		if !r.Enter() {
			t.Fatal("closed")
		}
		defer r.Leave(0, 0)
		looks := []Look{{Name: []byte(www.Wire()), Type: dns.TypeA, Class: class}}
		r.Find(looks)
		m, ok := r.Image(&looks[0], 1, clk.now())
		if !ok {
			return ""
		}
		return string(m.Wire)
	}
	put := func(class Space, text string) {
		if v := c.PutImage(www, dns.TypeA, 0, class, 1, imageWith([]byte(text), clk.now()), clk.now()+time.Minute, c.Epoch(), c.Mark(www)); v != Stored {
			t.Fatal(v)
		}
	}
	put(0, "all")
	put(3, "some")
	for class, want := range map[Space]string{0: "all", 1: "", 3: "some", MaxSpace: ""} {
		if got := look(class); got != want {
			t.Errorf("class %d is given %q, want %q", class, got, want)
		}
	}
	if v := c.In(7).Put(aRecord(www, 1, clk.now(), time.Minute), c.Epoch()); v != Stored {
		t.Fatal(v)
	}
	for _, class := range []Space{0, 3} {
		if got := look(class); got != "" {
			t.Errorf("class %d is given %q of what may have changed", class, got)
		}
	}
}
