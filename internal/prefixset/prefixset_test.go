package prefixset

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// The set answers as a walk over all its prefixes does, most of all at their edges and when they touch or overlap.
func TestContainsLikeAWalk(t *testing.T) {
	octet := rapid.SampledFrom([]byte{0, 1, 127, 128, 254, 255}) // few values, so that prefixes meet
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			var b [4]byte
			for i := range b {
				b[i] = octet.Draw(t, "octet")
			}
			return netip.AddrFrom4(b)
		}
		var b [16]byte
		for i := range b {
			b[i] = octet.Draw(t, "octet")
		}
		return netip.AddrFrom16(b)
	})
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := addr.Draw(t, "addr")
		return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
	})
	rapid.Check(t, func(t *rapid.T) {
		prefixes := rapid.SliceOfN(prefix, 0, 12).Draw(t, "prefixes")
		set := New(prefixes)
		probes := rapid.SliceOfN(addr, 1, 8).Draw(t, "probes")
		for _, p := range prefixes {
			first := p.Masked().Addr()
			probes = append(probes, first, first.Prev(), first.Next())
		}
		for _, a := range probes {
			if !a.IsValid() || a.Is4In6() {
				continue
			}
			want := false
			for _, p := range prefixes {
				want = want || p.Masked().Contains(a)
			}
			if got := set.Contains(a); got != want {
				t.Fatalf("%v in %v: %v, want %v (ranges %v)", a, prefixes, got, want, set.String())
			}
		}
	})
}

func TestContains(t *testing.T) {
	set := New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fe80::/10"), {}, netip.MustParsePrefix("::ffff:10.0.0.0/104")})
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "126.255.255.255": false, "128.0.0.0": false, "::ffff:127.0.0.1": true,
		"fe80::1%eth0": true, "fec0::": false, "::1": false, "10.0.0.1": false,
	} {
		if got := set.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if set.Contains(netip.Addr{}) {
		t.Error("no address at all is in the set")
	}
	var none Set
	if !none.IsEmpty() || set.IsEmpty() || none.Contains(netip.MustParseAddr("::")) || none.Contains(netip.IPv4Unspecified()) {
		t.Error("the zero set is not empty")
	}
}

func TestStringIsTheSetNotItsSpelling(t *testing.T) {
	parse := func(list ...string) string {
		var out []netip.Prefix
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		set := New(out)
		return set.String()
	}
	if a, b := parse("10.0.0.0/9", "10.128.0.0/9", "::/1", "8000::/1"), parse("::/0", "10.0.0.0/8", "10.1.0.0/16"); a != b {
		t.Errorf("%s\n%s", a, b)
	}
	if parse("10.0.0.0/9") == parse("10.0.0.0/8") {
		t.Error("different sets have the same string")
	}
}

func BenchmarkContains(b *testing.B) {
	for _, n := range []int{2, 10, 1000, 100_000} {
		var prefixes []netip.Prefix
		for i := range n {
			prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i >> 15), byte(i >> 7), byte(i << 1), 0}), 24))
		}
		set := New(prefixes)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := netip.MustParseAddr("0.3.4.5")
			for b.Loop() {
				set.Contains(a)
			}
		})
	}
}
