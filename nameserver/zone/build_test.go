package zone

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ananas-edge/ananas/dns"
	"net/netip"
)

func TestParseRefuses(t *testing.T) {
	const soa = "@ SOA ns hostmaster 1 1 1 1 1\n"
	for _, c := range []struct{ what, text, want string }{
		{"empty", "", errNoSOA.Error()},
		{"no SOA", "@ NS ns\n", errNoSOA.Error()},
		{"an SOA record elsewhere", "a SOA ns hostmaster 1 1 1 1 1\n@ NS ns\n", errNoSOA.Error()},
		{"two SOA records", soa + "@ SOA ns hostmaster 2 1 1 1 1\n@ NS ns\n", errManySOA.Error()},
		{"no NS", soa + "a NS ns\n", errNoNS.Error()},
		{"NSEC3", soa + "@ NS ns\n@ NSEC3PARAM 1 0 0 -\n", errNSEC3.Error()},
		{"another class", soa + "@ NS ns\n@ CH TXT a\n", "is of class CH"},
		{"a type of a message", soa + "@ NS ns\n@ TYPE250 \\# 0\n", "TSIG"},
		{"no zone file", "this is none", "reading records of"},
		{"other files", "$INCLUDE /etc/passwd\n", "$INCLUDE directive not allowed"},
		{"too long", strings.Repeat(";\n", maxOctets/2+1), limitOctets.Error()},
	} {
		z, err := Parse(c.text, "the file", name("example"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the file") {
			t.Errorf("%s: %v, %v, want %q", c.what, z, err, c.want)
		}
	}
}

// What is there twice counts once, also when its case differs; other names are left out; the lowest TTL holds for a set; unknown types
// survive as octets.
func TestParseKeeps(t *testing.T) {
	z, err := Parse(`
$ORIGIN Example.
@ 60 SOA ns hostmaster 7 1800 900 604800 86400
@ 60 SOA ns hostmaster 7 1800 900 604800 86400
@ NS NS
@ NS ns
A 300 A 192.0.2.1
a 60 A 192.0.2.2
a 60 A 192.0.2.1
a 300 TYPE65280 \# 4 00ff00ff
elsewhere. A 192.0.2.3
`, "the file", name("EXAMPLE"))
	if err != nil {
		t.Fatal(err)
	}
	if z.Records() != 5 || z.Outside() != 1 || z.SOA().Serial != 7 || z.Apex() != name("example") {
		t.Errorf("%d records, %d outside, %+v, %v", z.Records(), z.Outside(), z.SOA(), z.Apex())
	}
	a, ok := z.Set(name("A.example"), dns.TypeA)
	if !ok || a.TTL != 60 || a.Data.Len() != 2 {
		t.Errorf("%v %+v", ok, a)
	}
	if s, ok := z.Set(name("a.example"), 65280); !ok || string(s.Data.First()) != "\x00\xff\x00\xff" {
		t.Errorf("%v %+v", ok, s)
	}
	if _, ok := z.Set(name("a.example"), dns.TypeAAAA); ok {
		t.Error("a set that is not there")
	}
	if _, ok := z.Set(name("elsewhere"), dns.TypeA); ok {
		t.Error("a set of another zone")
	}
}

// A name with as many types as there are, each signed, takes time in proportion.
func TestManyTypes(t *testing.T) {
	rrs := []dns.RR{
		{Name: name("x"), Type: dns.TypeSOA, Class: dns.ClassINET, Data: append([]byte("\x01x\x00\x01x\x00"), make([]byte, 20)...)},
		{Name: name("x"), Type: dns.TypeNS, Class: dns.ClassINET, Data: []byte("\x01x\x00")},
	}
	for n := 300; n < 65000; n++ {
		sig := append([]byte{byte(n >> 8), byte(n)}, make([]byte, 16)...)
		rrs = append(rrs, dns.RR{Name: name("x"), Type: dns.Type(n), Class: dns.ClassINET, Data: []byte("data")},
			dns.RR{Name: name("x"), Type: dns.TypeRRSIG, Class: dns.ClassINET, Data: append(sig, 0)})
	}
	z, err := build(name("x"), rrs)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := z.Set(name("x"), 64999); !ok || s.Sigs.Len() != 1 {
		t.Errorf("%v %+v", ok, s)
	}
	if _, err := build(name("x"), make([]dns.RR, maxRecords+1)); err != limitRecords {
		t.Error(err)
	}
}

// What the whole root of the lab takes: 1,508 top-level domains, signed. The figure in DESIGN.md is this one.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n, z := open(t, "[generate zones=100 hosts=100]", netip.MustParseAddrPort("198.41.0.4:53"))
		defer n.Close()
		each := float64(z.Size()) / float64(z.Records())
		t.Logf("%d records of %d names take %d octets, %.0f each", z.Records(), len(z.nodes), z.Size(), each)
		if z.Records() < 15_000 || each > 80 {
			t.Errorf("%d records, %.0f octets each", z.Records(), each)
		}
		if d, why := z.Digest(); d != DigestRight {
			t.Errorf("digest: %v %s", d, why)
		}
		// The collector has nothing to look at but the names.
		runtime.KeepAlive(z)
	})
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("@ SOA ns hostmaster 1 1 1 1 1\n@ NS ns\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "tld%d NS ns.tld%d\nns.tld%d A 192.0.2.1\n", i, i, i)
	}
	for b.Loop() {
		if _, err := Parse(text.String(), "the file", dns.Root); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20_002, "ns/record")
}

func BenchmarkAnswer(b *testing.B) {
	var text strings.Builder
	text.WriteString("@ SOA ns hostmaster 1 1 1 1 1\n@ NS ns\n")
	for i := range 2_000 {
		fmt.Fprintf(&text, "tld%d NS ns1.tld%d\ntld%d NS ns2.tld%d\nns1.tld%d A 192.0.2.1\nns2.tld%d A 192.0.2.1\n", i, i, i, i, i, i)
	}
	z, err := Parse(text.String(), "the file", dns.Root)
	if err != nil {
		b.Fatal(err)
	}
	q := dns.Question{Name: name("www.example.tld777"), Type: dns.TypeA, Class: dns.ClassINET}
	b.ReportAllocs()
	for b.Loop() {
		z.Answer(q, true)
	}
}
