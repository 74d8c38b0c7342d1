package dnssec

import (
	"os"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Whatever comes, nothing panics, a result is one of three, a failure has a reason, and what was spent is within the limits.

func checkResult(t *testing.T, r Result, w *Work) {
	t.Helper()
	s, l := w.Spent(), w.table.limits
	switch {
	case r.Security != cache.Secure && r.Security != cache.Insecure && r.Security != cache.Bogus,
		(r.Security == cache.Bogus) != (r.Security == cache.Bogus && r.EDE.Text != ""), r.Secure() && r.EDE != dns.EDE{}, len(r.EDE.Text) > maxText,
		r.Limit != NoLimit && r.Security != cache.Bogus:
		t.Errorf("%+v", r)
	case s.SignatureWork > l.SignatureWork, s.Digests > l.Digests, s.NSEC3Work > l.NSEC3Work, s.Checks > s.SignatureWork:
		t.Errorf("spent %+v", s)
	}
}

// packed puts records into octets as the fuzz targets read them: those of an answer.
func packed(t testing.TB, sets ...dns.RRset) []byte {
	t.Helper()
	var b dns.Builder
	b.Start(make([]byte, 0, 65535), 65535, 1, dns.FlagQR)
	for i := range sets {
		if !b.AddRRset(dns.Answer, sets[i].Name, &sets[i], sets[i].TTL, true) {
			t.Fatal("a set does not fit")
		}
	}
	return b.Finish()
}

// unpacked reads them back; none if they are malformed, which the resolver would not pass on.
func unpacked(octets []byte) []dns.RRset {
	var m dns.Message
	if dns.Parse(octets, &m) != nil {
		return nil
	}
	return setsOf(m.Sections[dns.Answer])
}

func FuzzCheckSet(f *testing.F) {
	zone := name("example.")
	for _, a := range validated() {
		s := newSigner(a, 1)
		f.Add(packed(f, s.sign(rrset(f, www), zone)), []byte(records(s.data())))
		f.Add(packed(f, s.sign(rrset(f, "a.w.example. 300 IN MX 1 a.example."), zone, func(s *signature) { s.owner = name("*.example.") })), []byte(records(s.data())))
	}
	data, tag := trapKeys(6)
	f.Add(packed(f, trapSet(f, www, tag, 12)), []byte(records(data...)))
	f.Fuzz(func(t *testing.T, octets, keys []byte) {
		w := work(t, withSHA1)
		set := &dns.RRset{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET, Data: keys}
		all := (&keysCheck{zone: zone, set: set, work: w}).all(nil)
		sets := unpacked(octets)
		for i := range min(len(sets), 10) {
			r := CheckSet(&sets[i], all, at, w)
			checkResult(t, r, w)
			if r.Security == cache.Insecure || r.Secure() && (!sets[i].Name.IsWithin(zone) || r.Until.Before(at) || r.TTL > sets[i].TTL) {
				t.Errorf("%v: %+v", sets[i], r)
			}
		}
	})
}

func FuzzCheckKeys(f *testing.F) {
	zone := name("example.")
	for _, a := range validated() {
		s := newSigner(a, 1)
		set := keySet(f, "example.", []*signer{s, newSigner(Ed25519, 7)}, s)
		f.Add(packed(f, *set), []byte(records(s.ds(zone, SHA256), s.ds(zone, SHA1), s.ds(zone, SHA384))), []byte(nil))
		f.Add(packed(f, *set), []byte(nil), []byte(records(s.data())))
	}
	f.Fuzz(func(t *testing.T, octets, ds, anchors []byte) {
		w := work(t, withSHA1)
		var set *dns.RRset
		if sets := unpacked(octets); len(sets) > 0 {
			set = &sets[0]
		}
		keys, r := CheckKeys(zone, set, ds, anchors, at, w)
		checkResult(t, r, w)
		if ok, _ := w.table.Usable(zone, ds, anchors); (keys != nil) != r.Secure() || keys != nil && (!ok || len(keys.keys) == 0 || len(keys.keys) > w.table.limits.Keys) {
			t.Errorf("%+v: %v", r, keys)
		}
	})
}

// Keys and signatures of any octets: the arithmetic below must not panic either.
func FuzzVerify(f *testing.F) {
	for _, a := range validated() {
		s := newSigner(a, 1)
		f.Add(uint8(a), s.public, s.private([]byte("message")))
	}
	for _, k := range []struct{ bits, exponent int }{{512, 65537}, {2048, 1<<32 + 1}, {4096, 65537}} {
		s := newRSA(RSASHA256, k.bits, k.exponent)
		f.Add(uint8(RSASHA256), s.public, s.private([]byte("message")))
	}
	tab := table(f, withSHA1)
	f.Fuzz(func(t *testing.T, algorithm uint8, public, signature []byte) {
		k, err := readKey(&dns.DNSKEY{Flags: dns.DNSKEYFlagZone, Protocol: dns.DNSKEYProtocol, Algorithm: algorithm, PublicKey: public}, 1, tab)
		if err != nil {
			return
		}
		if k.weight < 1 || k.weight > 9 {
			t.Errorf("weight %d", k.weight)
		}
		if k.verify([]byte("message"), signature) && k.verify([]byte("another message"), signature) && Algorithm(algorithm).row().minBits > 0 {
			t.Error("one signature of two messages") // with EdDSA a key of low order does that
		}
	})
}

func FuzzDenial(f *testing.F) {
	for _, file := range []string{"nsec", "nsec3"} {
		text, err := os.ReadFile("testdata/denial/" + file + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		for paragraph := range strings.SplitSeq(string(text), "\n\n") {
			var sets []dns.RRset
			for line := range strings.Lines(paragraph) {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' || strings.HasPrefix(line, "zone ") || strings.Contains(line, " = ") {
					continue
				}
				record, _, _ := strings.Cut(line, " ; ")
				sets = append(sets, record3(f, name("example."), record))
			}
			f.Add(packed(f, sets...), string(name("x.c.example.").Wire()), uint16(1), 1)
		}
	}
	zone := name("example.")
	f.Fuzz(func(t *testing.T, octets []byte, question string, typ uint16, encloser int) {
		q, err := dns.NameFromWire([]byte(question))
		if err != nil {
			return
		}
		w := work(t)
		d := NewDenial(zone)
		for _, set := range unpacked(octets) {
			_ = d.Add(&set, noted(zone, ""), w) // what it can't use it ignores
		}
		nx, nodata := d.NXDomain(q, w), d.NoData(q, dns.Type(typ), w)
		unsigned, noCut := d.Unsigned(q, w), d.NoCut(q, w)
		for _, r := range []Result{nx, nodata, unsigned, noCut, d.Expanded(q, q.Ancestor(encloser), w)} {
			checkResult(t, r, w)
			if !q.IsWithin(zone) && r.Security != cache.Bogus {
				t.Errorf("%v: %+v", q, r)
			}
		}
	})
}
