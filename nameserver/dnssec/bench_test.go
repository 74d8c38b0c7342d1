package dnssec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/dns"
)

// One good signature by each algorithm: nearly all of it is the arithmetic.
func BenchmarkCheckSet(b *testing.B) {
	type c struct {
		what string
		s    *signer
	}
	var all []c
	for _, a := range validated() {
		if a.row().minBits == 0 {
			all = append(all, c{a.String(), newSigner(a, 1)})
		}
	}
	for _, k := range []struct{ bits, exponent int }{{1024, 65537}, {2048, 65537}, {2048, 1<<32 + 1}, {4096, 65537}, {4096, 1<<32 + 1}} {
		all = append(all, c{fmt.Sprintf("RSASHA256-%d-%d", k.bits, k.exponent), newRSA(RSASHA256, k.bits, k.exponent)})
	}
	for _, c := range all {
		set := c.s.sign(rrset(b, www), name("example."))
		keys, tab := keysOf(b, "example.", c.s), table(b)
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := CheckSet(&set, keys, at, tab.Work(nil)); !r.Secure() {
					b.Fatal(r)
				}
			}
		})
	}
}

// What is left without the arithmetic: a signature that is by no key.
func BenchmarkCheckSetUnknownKey(b *testing.B) {
	s := newSigner(Ed25519, 1)
	set := s.sign(rrset(b, www), name("example."))
	keys, tab := keysOf(b, "example.", newSigner(Ed25519, 2)), table(b)
	b.ReportAllocs()
	for b.Loop() {
		if r := CheckSet(&set, keys, at, tab.Work(nil)); r.Secure() {
			b.Fatal(r)
		}
	}
}

func BenchmarkCheckKeys(b *testing.B) {
	for _, a := range []Algorithm{RSASHA256, ECDSAP256SHA256, Ed25519} {
		ksk, zsk := flagged(newSigner(a, 1), 257), newSigner(a, 2)
		if a == RSASHA256 {
			ksk, zsk = flagged(newRSA(a, 2048, 65537), 257), newRSA(a, 1280, 65537)
		}
		set := keySet(b, "example.", []*signer{ksk, zsk}, ksk)
		ds, tab := records(ksk.ds(name("example."), SHA256)), table(b)
		b.Run(a.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, r := CheckKeys(name("example."), set, ds, nil, at, tab.Work(nil)); !r.Secure() {
					b.Fatal(r)
				}
			}
		})
	}
}

func BenchmarkNXDomain(b *testing.B) {
	zone := name("example.")
	for what, text := range map[string]string{
		"NSEC":      "b.example. NSEC d.example. A\nexample. NSEC a.example. SOA NS",
		"NSEC3":     "match example. SOA NS\ncover c.example.\ncover *.example.",
		"NSEC3-100": "match example. SOA NS iterations=100\ncover c.example. iterations=100\ncover *.example. iterations=100",
	} {
		var sets []dns.RRset
		for line := range strings.Lines(text) {
			sets = append(sets, record3(b, zone, strings.TrimSpace(line)))
		}
		tab, q := table(b), name("www.c.example.")
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := tab.Work(nil)
				d := NewDenial(zone)
				for i := range sets {
					if err := d.Add(&sets[i], noted(zone, ""), w); err != nil {
						b.Fatal(err)
					}
				}
				if r := d.NXDomain(q, w); !r.Secure() {
					b.Fatal(r)
				}
			}
		})
	}
}

// The worst that an answer can cost within the limits, by what it is made of.
func BenchmarkWorst(b *testing.B) {
	zone := name("example.")
	tab := table(b)
	data, tag := trapKeys(64)
	set := &dns.RRset{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET, Data: records(data...)}
	trap := trapSet(b, www, tag, 100)
	trapped := (&keysCheck{zone: zone, set: set, work: tab.Work(nil)}).all(nil)
	b.Run("KeyTrap", func(b *testing.B) {
		for b.Loop() {
			CheckSet(&trap, trapped, at, tab.Work(nil))
		}
	})
	for _, a := range []Algorithm{RSASHA256, ECDSAP256SHA256, ECDSAP384SHA384, Ed25519, Ed448} {
		s := newSigner(a, 1)
		if a == RSASHA256 {
			s = newRSA(a, 4096, 65537)
		}
		good := s.sign(rrset(b, www), zone)
		keys := keysOf(b, "example.", s)
		b.Run(a.String(), func(b *testing.B) {
			for b.Loop() {
				for w := tab.Work(nil); CheckSet(&good, keys, at, w).Secure(); {
				}
			}
		})
	}
	b.Run("NSEC3", func(b *testing.B) {
		var sets []dns.RRset
		for _, line := range []string{"match example. NS SOA", "cover a.example.", "cover *.example."} {
			sets = append(sets, record3(b, zone, line+" iterations=100"))
		}
		long := name(strings.Repeat("a.", 123) + "example.")
		for b.Loop() {
			w := tab.Work(nil)
			d := NewDenial(zone)
			for i := range sets {
				_ = d.Add(&sets[i], noted(zone, ""), w) // none is ignored
			}
			d.NXDomain(long, w)
		}
	})
}
