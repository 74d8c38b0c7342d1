package dataset

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/dns"
)

func build(t testing.TB, text string, o Options) (*Set, Info) {
	t.Helper()
	b, info, err := Build(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if s.Info() != info {
		t.Fatalf("built %+v, loaded %+v", info, s.Info())
	}
	return s, info
}

// model is a list as a Go map: by name and scope, the value.
type model map[dns.Name][2]*uint8

func (m model) add(n dns.Name, scope int, v uint8) {
	e := m[n]
	for i := range e {
		if scope>>i&1 != 0 && e[i] == nil {
			e[i] = &v
		}
	}
	m[n] = e
}

func (m model) exact(n dns.Name) (uint8, bool) {
	if v := m[n][0]; v != nil {
		return *v, true
	}
	return 0, false
}

func (m model) suffix(n dns.Name) (Match, bool) {
	if v := m[n][0]; v != nil {
		return Match{*v, n.Labels()}, true
	}
	for !n.IsRoot() {
		n = n.Parent()
		if v := m[n][1]; v != nil {
			return Match{*v, n.Labels()}, true
		}
	}
	return Match{}, false
}

func (m model) check(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Set, n dns.Name) {
	t.Helper()
	v, ok := s.Exact(n)
	if wv, wok := m.exact(n); v != wv || ok != wok {
		t.Fatalf("exact %v: %d %v, want %d %v", n, v, ok, wv, wok)
	}
	match, ok := s.Suffix(n)
	if wm, wok := m.suffix(n); match != wm || ok != wok {
		t.Fatalf("suffix %v: %+v %v, want %+v %v", n, match, ok, wm, wok)
	}
	if w, wok := s.SuffixWire([]byte(n.Wire())); w != match || wok != ok {
		t.Fatalf("suffix of octets %v: %+v %v, of the name %+v %v", n, w, wok, match, ok)
	}
}

// A set answers as a map does, for names of few and odd labels, listed with any scope, so that ancestors, values and buckets meet.
func TestLikeAMap(t *testing.T) {
	label := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "ab", "com", "example", "tracker", "xn--a", "\x00", "a\x01b", "0", strings.Repeat("a", 48), strings.Repeat("z", 63)}),
		rapid.StringOfN(rapid.RuneFrom([]rune("abc019-_")), 1, 12, -1),
	)
	name := rapid.Custom(func(t *rapid.T) dns.Name {
		n := dns.Root
		for range rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3, 4, 9, 70}).Draw(t, "labels") {
			if c, err := n.Child(label.Draw(t, "label")); err == nil {
				n = c
			}
		}
		return n
	})
	rapid.Check(t, func(t *rapid.T) {
		m := make(model)
		c := new(compiler)
		var listed []dns.Name
		for range rapid.IntRange(0, 200).Draw(t, "names") {
			n := name.Draw(t, "name")
			scope, v := rapid.IntRange(1, 3).Draw(t, "scope"), uint8(rapid.IntRange(0, 2).Draw(t, "value"))
			m.add(n, scope, v)
			c.addName([]byte(n.Wire()[:n.Len()-1]), byte(scope), v)
			listed = append(listed, n)
		}
		s := loadNames(t, c)
		for _, n := range listed {
			m.check(t, s, n)
			m.check(t, s, n.Parent())
			if child, err := n.Child(label.Draw(t, "label")); err == nil {
				m.check(t, s, child)
			}
		}
		for range 50 {
			m.check(t, s, name.Draw(t, "asked"))
		}
	})
}

// loadNames compiles what is in c.
func loadNames(t interface{ Fatal(...any) }, c *compiler) *Set {
	names, err := c.compileNames(1)
	if err != nil {
		t.Fatal(err)
	}
	h := header{info: Info{Names: names.kept}, seed: names.seed, depths: names.depths, deepest: names.deepest}
	s, err := Load(assemble(h, [sections][]byte{names.table.append(nil), names.buckets, names.more}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The same at the size of a real list: all that is listed is found, with its value, and of a million that are not none is.
func TestLikeALargeMap(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 20_000
	}
	r := newRealistic(3)
	m := make(model)
	var text bytes.Buffer
	list := r.list(n)
	for i, s := range list {
		fmt.Fprintf(&text, "%s %d\n", s, i%251)
		m.add(dns.MustParseName(s), self|below, uint8(i%251))
	}
	s, info := build(t, text.String(), Options{})
	if info.Names != n || info.Taken != n || info.Duplicates != 0 {
		t.Errorf("%+v", info)
	}
	for _, name := range list {
		m.check(t, s, dns.MustParseName(name))
		m.check(t, s, dns.MustParseName("www."+name))
		m.check(t, s, dns.MustParseName("a.b."+name))
	}
	for range 5 * n {
		m.check(t, s, dns.MustParseName(r.name()))
	}
}

// What is listed is what walk finds, octet for octet.
func TestWalkGivesTheListBack(t *testing.T) {
	list := newRealistic(4).list(10_000)
	want := make(map[string]bool)
	for _, s := range list {
		w := dns.MustParseName(s).Wire()
		want[w[:len(w)-1]] = true
	}
	s, _ := build(t, strings.Join(list, "\n"), Options{})
	err := s.walk(func(e listed) error {
		b, ok := s.table.expand(nil, e.codes)
		if !ok || !want[string(b)] {
			t.Fatalf("%q %v", b, ok)
		}
		delete(want, string(b))
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%v; %d are missing", err, len(want))
	}
}

// A set of prefixes answers as a walk over all of them does, most of all where they nest, meet and end with the last address.
func TestPrefixLikeAWalk(t *testing.T) {
	octet := rapid.SampledFrom([]byte{0, 1, 2, 127, 128, 254, 255})
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			var b [4]byte
			for i := range b {
				b[i] = octet.Draw(t, "octet")
			}
			return netip.AddrFrom4(b)
		}
		var b [16]byte
		b[0] = octet.Draw(t, "octet") | 1 // no IPv4 in IPv6 form
		for i := 1; i < 16; i++ {
			if i < 3 || i > 6 && i < 9 || i > 13 {
				b[i] = octet.Draw(t, "octet")
			}
		}
		return netip.AddrFrom16(b)
	})
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		type line struct {
			netip.Prefix
			value uint8
		}
		var list []line
		var ask []netip.Addr
		for range rapid.IntRange(1, 300).Draw(t, "prefixes") {
			a := addr.Draw(t, "address")
			p, err := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			if err != nil {
				t.Fatal(err)
			}
			v := uint8(rapid.IntRange(0, 255).Draw(t, "value"))
			list = append(list, line{p, v})
			fmt.Fprintf(&text, "%v %d\n", p, v)
			ask = append(ask, a, p.Addr(), p.Addr().Prev(), last(p), last(p).Next())
		}
		b, _, err := Build(strings.NewReader(text.String()), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Load(b)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			ask = append(ask, addr.Draw(t, "asked"))
		}
		for _, a := range ask {
			want := PrefixMatch{Bits: -1}
			for _, l := range list {
				if a.IsValid() && l.Contains(a) && l.Bits() > want.Bits {
					want = PrefixMatch{l.value, l.Bits()}
				}
			}
			got, ok := s.Prefix(a)
			if ok != (want.Bits >= 0) || ok && got != want {
				t.Fatalf("%v: %+v %v, want %+v, in\n%s", a, got, ok, want, text.String())
			}
		}
	})
}

func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// The levels above the ranges agree with a walk when there are many.
func TestManyPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 7, 8, 9, 127, 128, 129, 5000} {
		var text strings.Builder
		listed := make(map[netip.Addr]bool)
		for len(listed) < n {
			a := netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
			if !listed[a] {
				listed[a] = true
				fmt.Fprintln(&text, a)
			}
		}
		s, info := build(t, text.String(), Options{Value: 9})
		if info.Prefixes != n {
			t.Errorf("%d prefixes: %+v", n, info)
		}
		for a := range listed {
			for _, x := range []netip.Addr{a, a.Next(), a.Prev()} {
				m, ok := s.Prefix(x)
				if ok != listed[x] || ok && m != (PrefixMatch{9, 32}) {
					t.Fatalf("%d prefixes: %v: %+v %v", n, x, m, ok)
				}
			}
			if m, ok := s.Prefix(netip.AddrFrom16(a.As16())); !ok || m.Bits != 32 {
				t.Fatalf("%v in IPv6 form: %+v %v", a, m, ok)
			}
		}
	}
}
