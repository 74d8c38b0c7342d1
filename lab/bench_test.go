package lab

import (
	"fmt"
	"net/netip"
	"testing"

	miekg "github.com/miekg/dns"
)

func BenchmarkNew(b *testing.B) {
	for _, world := range []string{"[zone example servers=192.0.2.1]", "[generate]"} {
		b.Run(world[1:5], func(b *testing.B) {
			w := MustParseWorld(world)
			for b.Loop() {
				if _, err := New(Config{World: w}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAnswer(b *testing.B) {
	l := newLab(b, "[generate]")
	names := l.Names(20000)
	var servers []netip.AddrPort
	var referral, answer, nxdomain [][]byte
	for i, n := range names {
		zones := l.enclosing(n, netip.Addr{}, 0)
		servers = append(servers, netip.AddrPortFrom(zones[len(zones)-1].addrs[0], port))
		referral = append(referral, packed(b, n.String(), miekg.TypeA, uint16(i)))
		answer = append(answer, packed(b, n.String(), miekg.TypeA, uint16(i)))
		nxdomain = append(nxdomain, packed(b, fmt.Sprintf("x%d.%v", i, n), miekg.TypeA, uint16(i)))
	}
	c := newCarrier(l)
	run := func(name string, questions [][]byte, server func(int) netip.AddrPort) {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if x := c.arrive(testClient, server(i%len(questions)), false, questions[i%len(questions)]); x != nil {
					x.packets()
				}
				i++
			}
		})
	}
	root := netip.MustParseAddrPort("198.41.0.4:53")
	com := netip.MustParseAddrPort("192.5.6.30:53")
	run("root", referral, func(int) netip.AddrPort { return root })
	run("com", referral, func(int) netip.AddrPort { return com })
	run("answer", answer, func(i int) netip.AddrPort { return servers[i] })
	run("nxdomain", nxdomain, func(i int) netip.AddrPort { return servers[i] })
	run("hot", answer[:100], func(i int) netip.AddrPort { return servers[i] })
}
