package cache

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
)

// genName draws names that share labels and have odd octets.
func genName(t *rapid.T, what string) dns.Name {
	labels := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"www", "WwW", "example", "com", "net", "\x00", "\x01", "a.b", "\xff", "*"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 63), func(b []byte) string { return string(b) }),
	), 0, 6).Draw(t, what)
	n := dns.Root
	for _, l := range labels {
		if c, err := n.Child(l); err == nil {
			n = c
		}
	}
	return n
}

func genRecords(t *rapid.T, what string, least int) dns.Records {
	var r dns.Records
	for _, d := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), least, 4).Draw(t, what) {
		r = r.Append(d)
	}
	return r
}

func genAddr(t *rapid.T) netip.Addr {
	return rapid.SampledFrom([]netip.Addr{
		{}, server4, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1"),
	}).Draw(t, "server")
}

func genEntry(t *rapid.T, now time.Duration) Entry {
	n := genName(t, "name")
	zone := rapid.SampledFrom([]dns.Name{{}, dns.Root, n, n.Parent(), genName(t, "zone")}).Draw(t, "which zone")
	ttl := rapid.Uint32Range(1, 86400).Draw(t, "ttl")
	e := Entry{
		Set: dns.RRset{
			Name: n, Type: rapid.SampledFrom([]dns.Type{dns.TypeA, dns.TypeTXT, dns.TypeDS, 65280}).Draw(t, "type"),
			Class: dns.ClassINET, TTL: ttl, Data: genRecords(t, "data", 1), Sigs: genRecords(t, "sigs", 0),
		},
		Rank: Rank(rapid.IntRange(1, int(rankEnd)-1).Draw(t, "rank")), Security: Security(rapid.IntRange(0, int(securityEnd)-1).Draw(t, "security")),
		Partition: rapid.SampledFrom([]uint32{0, 1, 255}).Draw(t, "partition"),
		Server:    genAddr(t), Zone: zone, Stored: now, Expires: now + time.Duration(ttl)*time.Second,
	}
	if rapid.Bool().Draw(t, "odd life") {
		e.Expires = now + time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "life"))
	}
	return e
}

// Whatever an entry holds, it comes back octet for octet (zones that end the name in the case in which it is asked for).
func TestEntryComesBackWhole(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 2 << 20})
	rapid.Check(t, func(t *rapid.T) {
		if _, err := c.Purge(dns.Root, true); err != nil {
			t.Fatal(err)
		}
		e := genEntry(t, clk.now())
		if v := c.Put(e, c.Epoch()); v != Stored {
			t.Fatalf("put: %v", v)
		}
		asked := e.Set.Name.Lower()
		got, ok := c.Get(Key{asked, e.Set.Type, e.Partition}, make([]byte, rapid.IntRange(0, 64).Draw(t, "buffer")))
		if !ok {
			t.Fatal("not found")
		}
		if got.Zone.Equal(e.Zone) {
			got.Zone = e.Zone
		}
		e.Set.Name = asked
		if d := cmp.Diff(e, got, sameEntry); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDenialComesBackWhole(t *testing.T) {
	c, clk := newCache(t, Config{Bytes: 2 << 20})
	now := clk.now()
	rapid.Check(t, func(t *rapid.T) {
		if _, err := c.Purge(dns.Root, true); err != nil {
			t.Fatal(err)
		}
		n := genName(t, "name")
		zone := rapid.SampledFrom([]dns.Name{{}, dns.Root, n, n.Parent()}).Draw(t, "zone")
		d := Denial{
			Name: n, Kind: NXDomain, Zone: zone, Rank: RankAuthAnswer, Security: Security(rapid.IntRange(0, int(securityEnd)-1).Draw(t, "security")),
			Server: genAddr(t), Stored: now, Expires: now + time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "life")),
		}
		if rapid.Bool().Draw(t, "nodata") {
			d.Kind, d.Type = NoData, rapid.SampledFrom([]dns.Type{dns.TypeA, dns.TypeDS, 65280}).Draw(t, "type")
		}
		set := func(what string, typ dns.Type) dns.RRset {
			return dns.RRset{
				Name: genName(t, what).Lower(), Type: typ, Class: dns.ClassINET, TTL: rapid.Uint32().Draw(t, "ttl"),
				Data: genRecords(t, "data", 1), Sigs: genRecords(t, "sigs", 0),
			}
		}
		if rapid.Bool().Draw(t, "soa") {
			d.SOA = set("soa", dns.TypeSOA)
		}
		for range rapid.IntRange(0, MaxProofs).Draw(t, "proofs") {
			d.Proof = append(d.Proof, set("proof", rapid.SampledFrom([]dns.Type{dns.TypeNSEC, dns.TypeNSEC3}).Draw(t, "proof type")))
		}
		if v := c.PutDenial(d, c.Epoch()); v != Stored {
			t.Fatalf("put: %v", v)
		}
		got, ok := c.GetDenial(n, d.Type)
		if !ok {
			t.Fatal("not found")
		}
		if diff := cmp.Diff(d, got, sameEntry); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPutRefusesForm(t *testing.T) {
	c, clk := newCache(t, Config{})
	now := clk.now()
	good := aRecord(name("a.example"), 1, now, time.Hour)
	for what, change := range map[string]func(*Entry){
		"no name":              func(e *Entry) { e.Set.Name = dns.Name{} },
		"class CH":             func(e *Entry) { e.Set.Class = dns.ClassCHAOS },
		"type ANY":             func(e *Entry) { e.Set.Type = dns.TypeANY },
		"no type":              func(e *Entry) { e.Set.Type = dns.TypeNone },
		"no records":           func(e *Entry) { e.Set.Data = nil },
		"short record":         func(e *Entry) { e.Set.Data = dns.Records{0, 5, 1} },
		"half a length":        func(e *Entry) { e.Set.Data = append(address(1), 0) },
		"short signature":      func(e *Entry) { e.Set.Sigs = dns.Records{0, 9, 1} },
		"no rank":              func(e *Entry) { e.Rank = RankNone },
		"a rank that is none":  func(e *Entry) { e.Rank = 15 },
		"a state that is none": func(e *Entry) { e.Security = 15 },
	} {
		e := good
		change(&e)
		if v := c.Put(e, c.Epoch()); v != RefusedForm {
			t.Errorf("%s: %v", what, v)
		}
	}
	denial := nxdomain(name("a.example"), now, time.Hour)
	for what, change := range map[string]func(*Denial){
		"no name":          func(d *Denial) { d.Name = dns.Name{} },
		"NXDOMAIN of A":    func(d *Denial) { d.Type = dns.TypeA },
		"NODATA of none":   func(d *Denial) { d.Kind = NoData },
		"NODATA of ANY":    func(d *Denial) { d.Kind, d.Type = NoData, dns.TypeANY },
		"too many proofs":  func(d *Denial) { d.Proof = make([]dns.RRset, MaxProofs+1) },
		"a proof of none":  func(d *Denial) { d.Proof = make([]dns.RRset, 1) },
		"malformed SOA":    func(d *Denial) { d.SOA.Data = dns.Records{1} },
		"no rank":          func(d *Denial) { d.Rank = RankNone },
		"a kind that's no": func(d *Denial) { d.Kind = 7 },
	} {
		d := denial
		change(&d)
		if v := c.PutDenial(d, c.Epoch()); v != RefusedForm {
			t.Errorf("%s: %v", what, v)
		}
	}
	if st := c.Stats(); st.RRsets+st.Denials != 0 {
		t.Errorf("%+v", st)
	}
}

// Octets that were never written by encode must not make taking them apart fail otherwise than by ok == false, nor reach
// outside.
func FuzzView(f *testing.F) {
	now := start
	e := aRecord(name("www.example.com"), 1, now, time.Hour)
	e.Partition, e.Server, e.Zone = 7, netip.MustParseAddr("2001:db8::1"), name("example.net")
	e.Expires++
	r := record{
		kind: KindRRset, name: octetsOf(e.Set.Name.Wire()), typ: e.Set.Type, partition: e.Partition, rank: e.Rank, ttl: e.Set.TTL,
		stored: e.Stored, expires: e.Expires, server: e.Server, data: e.Set.Data,
	}
	r.setZone(e.Set.Name, e.Zone)
	b := make([]byte, r.size())
	r.encode(b, 1, 0)
	f.Add(b)
	d := nxdomain(name("www.example.com"), now, time.Hour)
	d.Proof = []dns.RRset{{Name: name("a.example.com"), Type: dns.TypeNSEC, TTL: 5, Data: address(1), Sigs: address(2)}}
	data, _ := appendDenial(nil, &d)
	r = record{kind: KindDenial, name: octetsOf(d.Name.Wire()), rank: d.Rank, stored: d.Stored, expires: d.Expires, data: data}
	r.setZone(d.Name, d.Zone)
	b = make([]byte, r.size())
	r.encode(b, 1, 0)
	f.Add(b)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := blob(b).view()
		if !ok {
			return
		}
		n, err := dns.NameFromWire(v.name)
		if err != nil {
			return
		}
		if e, ok := v.entry(n, nil); ok {
			covers(&e, n)
			_ = e.Set.Data.Len()
		}
		v.denial(n)
		id := ident{kind: v.kind, typ: v.typ, partition: v.partition, name: v.name}
		_ = blob(b).is(&id)
	})
}
