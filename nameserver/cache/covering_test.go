package cache

import (
	"encoding/base32"
	"fmt"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// nsec is an NSEC RRset from owner to next, with a signature's place filled.
func nsec(owner, next string) dns.RRset {
	data := append([]byte(name(next).Wire()), 0, 1, 0x40) // bitmap: A
	return dns.RRset{
		Name: name(owner), Type: dns.TypeNSEC, Class: dns.ClassINET, TTL: 3600,
		Data: dns.Records{}.Append(data), Sigs: dns.Records{}.Append([]byte("signature")),
	}
}

// nsec3 is an NSEC3 RRset from hash to hash, each 20 octets of the same value.
func nsec3(zone string, from, to byte) dns.RRset {
	data := []byte{1, 0, 0, 0, 0, 20}
	for range 20 {
		data = append(data, to)
	}
	return dns.RRset{
		Name: hashed(zone, from), Type: dns.TypeNSEC3, Class: dns.ClassINET, TTL: 3600,
		Data: dns.Records{}.Append(append(data, 0, 1, 0x40)), Sigs: dns.Records{}.Append([]byte("signature")),
	}
}

func hashed(zone string, v byte) dns.Name {
	h := make([]byte, 20)
	for i := range h {
		h[i] = v
	}
	n, err := name(zone).Child(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h))
	if err != nil {
		panic(err)
	}
	return n
}

// secureDenial denies n with these proofs.
func secureDenial(zone, n string, now, ttl time.Duration, proofs ...dns.RRset) Denial {
	d := nxdomain(name(n), now, ttl)
	d.Zone, d.SOA.Name, d.Security, d.Proof = name(zone), name(zone), Secure, proofs
	return d
}

func mustPutDenial(t testing.TB, c *Cache, d Denial) {
	t.Helper()
	if v := c.PutDenial(d, c.Epoch()); v != Stored {
		t.Fatalf("put the denial of %v: %v", d.Name, v)
	}
}

// covering asks and returns the owner that was found, "" for none.
func covering(c *Cache, zone string, n dns.Name, typ dns.Type) string {
	e, ok := c.CoveringDenial(name(zone), n, typ)
	if !ok {
		return ""
	}
	return e.Set.Name.String()
}

func TestCoveringNSEC(t *testing.T) {
	c, clk := newCache(t, Config{})
	now := clk.now()
	mustPutDenial(t, c, secureDenial("example.", "m.example.", now, time.Hour, nsec("K.example.", "p.example."), nsec("example.", "b.example.")))
	mustPutDenial(t, c, secureDenial("example.", "zz.example.", now, time.Hour, nsec("z.example.", "example.")))
	mustPutDenial(t, c, secureDenial("sub.k.example.", "x.sub.k.example.", now, time.Hour, nsec("sub.k.example.", "y.sub.k.example.")))
	mustPutDenial(t, c, secureDenial(".", "q.", now, time.Hour, nsec("p.", "r.")))
	insecure := secureDenial("example.", "s.example.", now, time.Hour, nsec("r.example.", "t.example."))
	insecure.Security = Insecure
	mustPutDenial(t, c, insecure)
	for _, tc := range []struct{ zone, name, owner string }{
		{"example.", "m.example.", "k.example."},
		{"example.", "L.EXAMPLE.", "k.example."},
		{"example.", "k.example.", "k.example."},                 // matches
		{"example.", "a.sub.k.example.", "k.example."},           // the parent's interval goes on below k
		{"sub.k.example.", "a.sub.k.example.", "sub.k.example."}, // the same name in the child zone is another matter
		{"sub.k.example.", "z.sub.k.example.", ""},
		{"example.", "a.example.", "example."},
		{"example.", "example.", "example."},
		{"example.", "p.example.", ""}, // the end is not part of the interval
		{"example.", "c.example.", ""},
		{"example.", "s.example.", ""}, // not secure, not there
		{"example.", "zzz.example.", "z.example."},
		{"example.", "z.z.example.", "z.example."},
		{"example.", "other.", ""},
		{".", "q.", "p."},
		{".", "m.example.", ""},
	} {
		if got := covering(c, tc.zone, name(tc.name), dns.TypeNSEC); got != tc.owner {
			t.Errorf("%s in %s: covered by %q, want %q", tc.name, tc.zone, got, tc.owner)
		}
	}
	e, _ := c.CoveringDenial(name("example."), name("m.example."), dns.TypeNSEC)
	if string(e.Set.Sigs.First()) != "signature" || e.Security != Secure || e.Zone != name("example.") || e.Expires != now+time.Hour {
		t.Errorf("%+v", e)
	}
	if got := covering(c, "example.", name("m.example."), dns.TypeA); got != "" {
		t.Errorf("an A record covers: %q", got)
	}
	checkIndex(t, c)
}

func TestCoveringNSEC3(t *testing.T) {
	c, clk := newCache(t, Config{})
	now := clk.now()
	mustPutDenial(t, c, secureDenial("example.", "a.example.", now, time.Hour, nsec3("example.", 0x20, 0x40), nsec3("example.", 0xe0, 0x10)))
	at := func(v byte) string { return hashed("example.", v).Lower().String() }
	for _, tc := range []struct {
		hash  byte
		owner string
	}{
		{0x20, at(0x20)}, {0x30, at(0x20)}, {0x40, ""}, {0x50, ""}, {0x18, ""},
		{0xf0, at(0xe0)}, {0x05, at(0xe0)}, {0x10, ""}, // past the last, before the first
	} {
		if got := covering(c, "example.", hashed("example.", tc.hash), dns.TypeNSEC3); got != tc.owner {
			t.Errorf("%x: covered by %q, want %q", tc.hash, got, tc.owner)
		}
	}
	if got := covering(c, "example.", name("plain.example."), dns.TypeNSEC3); got != "" {
		t.Errorf("a name that is no hash is covered by %q", got)
	}
}

// What leaves the cache leaves the ordered index: by age, eviction, replacement and purge.
func TestProofsLeaveTheIndex(t *testing.T) {
	owners := func(c *Cache) int64 { return c.Stats().ProofOwners }

	t.Run("expired", func(t *testing.T) {
		c, clk := newCache(t, Config{})
		mustPutDenial(t, c, secureDenial("example.", "m.example.", clk.now(), time.Minute, nsec("k.example.", "p.example.")))
		clk.advance(time.Minute)
		if got := covering(c, "example.", name("m.example."), dns.TypeNSEC); got != "" || owners(c) != 0 {
			t.Errorf("covered by %q, %d owners", got, owners(c))
		}
	})
	t.Run("no longer than its denial", func(t *testing.T) { // RFC 9077
		c, clk := newCache(t, Config{})
		mustPutDenial(t, c, secureDenial("example.", "m.example.", clk.now(), time.Minute, nsec("k.example.", "p.example.")))
		e, ok := c.CoveringDenial(name("example."), name("m.example."), dns.TypeNSEC)
		if !ok || e.Expires != clk.now()+time.Minute {
			t.Errorf("%v, expires %v", ok, e.Expires)
		}
	})
	t.Run("replaced", func(t *testing.T) {
		c, clk := newCache(t, Config{})
		for _, next := range []string{"p.example.", "l.example."} {
			mustPutDenial(t, c, secureDenial("example.", "m.example.", clk.now(), time.Minute, nsec("k.example.", next)))
		}
		if got := covering(c, "example.", name("m.example."), dns.TypeNSEC); got != "" || owners(c) != 1 {
			t.Errorf("covered by %q, %d owners", got, owners(c))
		}
	})
	t.Run("evicted", func(t *testing.T) {
		c, clk := newCache(t, Config{Bytes: 1 << 20})
		for i := range 20_000 {
			mustPutDenial(t, c, secureDenial("example.", "m.example.", clk.now(), time.Hour,
				nsec(fmt.Sprintf("a%d.example.", i), fmt.Sprintf("a%dx.example.", i))))
		}
		st := c.Stats()
		if st.Evicted == 0 || st.ProofOwners == 0 || st.ProofOwners > st.Proofs {
			t.Errorf("%+v", st)
		}
		found := 0
		for i := range 20_000 {
			if covering(c, "example.", name(fmt.Sprintf("a%d.example.", i)), dns.TypeNSEC) != "" {
				found++
			}
		}
		if int64(found) != st.ProofOwners {
			t.Errorf("%d of %d owners lead to a proof", found, st.ProofOwners)
		}
		checkIndex(t, c)
	})
	t.Run("purged", func(t *testing.T) {
		c, clk := newCache(t, Config{})
		mustPutDenial(t, c, secureDenial("example.", "m.example.", clk.now(), time.Hour, nsec("k.example.", "p.example.")))
		if r, err := c.Purge(name("k.example."), false); err != nil || r.Proofs != 1 || owners(c) != 0 {
			t.Errorf("%+v, %v, %d owners", r, err, owners(c))
		}
	})
	t.Run("given up", func(t *testing.T) {
		c, clk := newCache(t, Config{Bytes: 1 << 20}) // 32 KiB: some 500 owners
		now := clk.now()
		for i := range 2000 {
			mustPutDenial(t, c, secureDenial("example.", "m.example.", now, time.Hour, nsec(fmt.Sprintf("a%d.example.", i), "b.example.")))
		}
		if n := owners(c); n == 0 || n > 1000 || c.m.proofsGivenUp.Value() == 0 {
			t.Errorf("%d owners, %d given up", n, c.m.proofsGivenUp.Value())
		}
		if got := covering(c, "example.", name("a1999.example."), dns.TypeNSEC); got == "" {
			t.Error("the last one is not there")
		}
		if v := keysOf(t, &c.proofs.set); len(v) != int(owners(c)) {
			t.Errorf("%d keys, %d owners", len(v), owners(c))
		}
	})
}
