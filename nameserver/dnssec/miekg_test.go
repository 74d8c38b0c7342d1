package dnssec

import (
	"crypto"
	"fmt"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
)

// The second opinion of these tests is github.com/miekg/dns: what it signs is secure here, and of what the signer of the tests signed, whole or
// damaged, both say the same.

// miekgRRs is a set as miekg/dns has it; nil if it can't.
func miekgRRs(set dns.RRset) []miekg.RR {
	var out []miekg.RR
	for rr := range set.RRs() {
		m, err := miekg.NewRR(strings.ReplaceAll(rr.String(), "\t", " "))
		if err != nil || m == nil {
			return nil
		}
		out = append(out, m)
	}
	return out
}

func miekgRR[T miekg.RR](n dns.Name, t dns.Type, ttl uint32, rdata []byte) (out T, ok bool) {
	m, err := miekg.NewRR(dns.RR{Name: n, Type: t, Class: dns.ClassINET, TTL: ttl, Data: rdata}.String())
	if err != nil {
		return out, false
	}
	out, ok = m.(T)
	return out, ok
}

// drawSet draws records of types with and without names in their data.
func drawSet(t *rapid.T, zone string) dns.RRset {
	label := rapid.StringMatching(`[a-zA-Z0-9_-]{1,12}`)
	owner := strings.Join(append(rapid.SliceOfN(label, 0, 4).Draw(t, "labels"), zone), ".")
	n := rapid.IntRange(1, 5).Draw(t, "records")
	kind := rapid.IntRange(0, 9).Draw(t, "type")
	var lines []string
	for range n {
		a, b := label.Draw(t, "a"), label.Draw(t, "b")
		number := rapid.IntRange(0, 255).Draw(t, "number")
		lines = append(lines, owner+" 300 IN "+[]string{
			fmt.Sprintf("A 192.0.2.%d", number),
			fmt.Sprintf("AAAA 2001:db8::%x", number),
			fmt.Sprintf("MX %d %s.%s.", number, a, b),
			fmt.Sprintf("TXT %s %s", a, b),
			fmt.Sprintf("SRV %d 1 443 %s.Example.", number, a),
			fmt.Sprintf("NS %s.%s.", a, b),
			fmt.Sprintf("CAA %d issue \"%s\"", number, a),
			fmt.Sprintf("NSEC %s.Example. A RRSIG NSEC", a),
			fmt.Sprintf("DS %d 13 2 %064x", number, number),
			fmt.Sprintf("NAPTR %d 1 \"%s\" \"%s\" \"\" %s.Example.", number, a, b, a),
		}[kind])
	}
	rrs, err := dns.ParseZone(strings.Join(lines, "\n"), "drawn", dns.Root, 100)
	if err != nil {
		t.Fatalf("%v in %q", err, lines)
	}
	set := dns.RRset{Name: rrs[0].Name, Type: rrs[0].Type, Class: dns.ClassINET, TTL: 300}
	for _, rr := range rrs {
		if !set.Data.Contains(rr.Data) {
			set.Data = set.Data.Append(rr.Data)
		}
	}
	return set
}

var miekgKnows = []Algorithm{RSASHA1, RSASHA1NSEC3SHA1, RSASHA256, RSASHA512, ECDSAP256SHA256, ECDSAP384SHA384, Ed25519}

func TestSignerAgreesWithMiekg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(miekgKnows).Draw(t, "algorithm")
		s := newSigner(a, 5)
		zone := name("Example.")
		set := drawSet(t, "Example.")
		if set.Type == dns.TypeDS && set.Name.Equal(zone) {
			t.Skip("the zone's own DS")
		}
		set = s.sign(set, zone)
		octets := set.Sigs
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			octets = set.Data
			fallthrough
		case 1:
			i := rapid.IntRange(0, len(octets.First())-1).Draw(t, "octet")
			octets[2+i] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		}
		parsed, err := dns.ParseDNSKEY(s.data())
		if err != nil {
			t.Fatal(err)
		}
		read, err := readKey(&parsed, parsed.KeyTag(), &Table{sha1Signatures: true, sha1Digests: true, limits: Defaults().Limits})
		if err != nil {
			t.Fatal(err)
		}
		w := (&Table{sha1Signatures: true, limits: Defaults().Limits}).Work(nil)
		ours := CheckSet(&set, newKeys(zone, []key{read}), at, w)

		public, ok := miekgRR[*miekg.DNSKEY](zone, dns.TypeDNSKEY, 300, s.data())
		if !ok {
			t.Fatal("the key can't be written")
		}
		rrsig, ok := miekgRR[*miekg.RRSIG](set.Name, dns.TypeRRSIG, 300, set.Sigs.First())
		rrs := miekgRRs(set)
		if !ok || len(rrs) == 0 || rrsig.SignerName == "" {
			if ours.Secure() {
				t.Fatalf("miekg/dns can't read it, and it is %+v", ours)
			}
			return
		}
		theirs := rrsig.Verify(public, rrs)
		if theirs == nil && !rrsig.ValidityPeriod(at) {
			theirs = fmt.Errorf("at another time")
		}
		if theirs == nil && set.Type == dns.TypeDS && !ours.Wildcard.IsZero() {
			return // a rule that they have not
		}
		if ours.Secure() != (theirs == nil) {
			t.Fatalf("ours: %+v\ntheirs: %v\n%v", ours, theirs, rrsig)
		}
	})
}

// What miekg/dns signs is secure.
func TestSignedByMiekg(t *testing.T) {
	private := map[Algorithm]crypto.Signer{}
	public := map[Algorithm]*miekg.DNSKEY{}
	for _, a := range []Algorithm{RSASHA256, RSASHA512, ECDSAP256SHA256, ECDSAP384SHA384, Ed25519} {
		k := &miekg.DNSKEY{
			Hdr:   miekg.RR_Header{Name: "example.", Rrtype: miekg.TypeDNSKEY, Class: miekg.ClassINET, Ttl: 300},
			Flags: 256, Protocol: 3, Algorithm: uint8(a),
		}
		bits := map[Algorithm]int{RSASHA256: 1024, RSASHA512: 1024, ECDSAP256SHA256: 256, ECDSAP384SHA384: 384, Ed25519: 256}[a]
		p, err := k.Generate(bits)
		if err != nil {
			t.Fatal(err)
		}
		private[a], public[a] = p.(crypto.Signer), k
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom([]Algorithm{RSASHA256, RSASHA512, ECDSAP256SHA256, ECDSAP384SHA384, Ed25519}).Draw(t, "algorithm")
		set := drawSet(t, "example.")
		if set.Type == dns.TypeDS && set.Name.Equal(name("example.")) {
			t.Skip("the zone's own DS")
		}
		sig := &miekg.RRSIG{
			Hdr:        miekg.RR_Header{Ttl: 300},
			Expiration: uint32(at.Unix() + 10), Inception: uint32(at.Unix() - 10), KeyTag: public[a].KeyTag(), SignerName: "example.", Algorithm: uint8(a),
		}
		if err := sig.Sign(private[a], miekgRRs(set)); err != nil {
			t.Fatal(err)
		}
		set.Sigs = records(rdataOf(t, sig))
		k, err := dns.ParseDNSKEY(rdataOf(t, public[a]))
		if err != nil {
			t.Fatal(err)
		}
		table := &Table{limits: Defaults().Limits}
		read, err := readKey(&k, public[a].KeyTag(), table)
		if err != nil {
			t.Fatal(err)
		}
		if r := CheckSet(&set, newKeys(name("example."), []key{read}), at, table.Work(nil)); !r.Secure() {
			t.Fatalf("%+v\n%v", r, set)
		}
	})
}

func rdataOf(t *rapid.T, rr miekg.RR) []byte {
	rrs, err := dns.ParseZone(rr.String(), "a record", dns.Root, 1)
	if err != nil || len(rrs) != 1 {
		t.Fatalf("%v: %v", rr, err)
	}
	return rrs[0].Data
}
