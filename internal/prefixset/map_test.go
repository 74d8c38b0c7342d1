package prefixset

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the prefixes: the value is that of the longest one that holds the address, as a look at each of them tells.
func TestMapIsTheLongestPrefix(t *testing.T) {
	addr := func(t *rapid.T, v6 bool) netip.Addr {
		octet := rapid.SampledFrom([]byte{0, 1, 127, 128, 254, 255})
		if !v6 {
			return netip.AddrFrom4([4]byte{octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")})
		}
		var b [16]byte
		b[0], b[7], b[8], b[15] = octet.Draw(t, "a")|0x20, octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")
		if rapid.Bool().Draw(t, "all ones") {
			for i := range b {
				b[i] = 255
			}
		}
		return netip.AddrFrom16(b)
	}
	rapid.Check(t, func(t *rapid.T) {
		var all []Of
		for range rapid.IntRange(0, 12).Draw(t, "prefixes") {
			v6 := rapid.Bool().Draw(t, "IPv6")
			most := 32
			if v6 {
				most = 128
			}
			p, err := addr(t, v6).Prefix(rapid.IntRange(0, most).Draw(t, "bits"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, Of{p, int32(rapid.IntRange(0, 4).Draw(t, "value"))})
		}
		m := NewMap(all)
		for range 20 {
			a := addr(t, rapid.Bool().Draw(t, "IPv6"))
			want, bits := int32(-1), -1
			for _, of := range all {
				if of.Prefix.Contains(a) && of.Prefix.Bits() >= bits {
					want, bits = of.Value, of.Prefix.Bits()
				}
			}
			if got := m.Lookup(a); got != want {
				t.Fatalf("%v in %v: %d, want %d", a, all, got, want)
			}
			if a.Is4() {
				if got := m.Lookup(netip.AddrFrom16(a.As16())); got != want {
					t.Fatalf("%v in IPv6 form in %v: %d, want %d", a, all, got, want)
				}
			}
		}
	})
}

func TestMapDoesNotAllocate(t *testing.T) {
	m := NewMap([]Of{{netip.MustParsePrefix("10.0.0.0/8"), 1}, {netip.MustParsePrefix("2001:db8::/32"), 2}})
	four, six, none := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("2001:db8::1%eth0"), netip.Addr{}
	if n := testing.AllocsPerRun(100, func() {
		if m.Lookup(four) != 1 || m.Lookup(six) != 2 || m.Lookup(none) != -1 {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
