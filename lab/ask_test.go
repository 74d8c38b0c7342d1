package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// These tests read replies with github.com/miekg/dns: a second opinion on what this package writes.

func newLab(t testing.TB, world string) *Lab {
	t.Helper()
	cfg := Config{Seed: 1, Log: 1000}
	if world != "" {
		w, err := ParseWorld(world)
		if err != nil {
			t.Fatalf("parsing the world: %v", err)
		}
		cfg.World = w
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// how changes a question from the usual: UDP, EDNS with 1232 octets and DO.
type how func(*miekg.Msg, *asking)

type asking struct {
	tcp    bool
	since  time.Duration
	client netip.AddrPort
}

func plain(m *miekg.Msg, _ *asking)   { m.Extra = nil }
func noDO(m *miekg.Msg, _ *asking)    { m.IsEdns0().SetDo(false) }
func overTCP(_ *miekg.Msg, a *asking) { a.tcp = true }
func size(n uint16) how               { return func(m *miekg.Msg, _ *asking) { m.IsEdns0().SetUDPSize(n) } }
func after(d time.Duration) how       { return func(_ *miekg.Msg, a *asking) { a.since = d } }
func option(o miekg.EDNS0) how {
	return func(m *miekg.Msg, _ *asking) { m.IsEdns0().Option = append(m.IsEdns0().Option, o) }
}

var testClient = netip.MustParseAddrPort("203.0.113.53:40000")

func newQuestion(name string, qtype uint16) *miekg.Msg {
	m := new(miekg.Msg)
	m.SetQuestion(miekg.Fqdn(name), qtype)
	m.Id = 4711
	m.RecursionDesired = false
	m.SetEdns0(1232, true)
	return m
}

// exchangeOf sends a question past the carriers. It returns nil if it was lost.
func exchangeOf(t testing.TB, l *Lab, server, name string, qtype uint16, hows ...how) *exchange {
	t.Helper()
	m := newQuestion(name, qtype)
	a := asking{client: testClient}
	for _, h := range hows {
		h(m, &a)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	c := newCarrier(l)
	c.start = c.start.Add(-a.since)
	return c.arrive(a.client, netip.AddrPortFrom(netip.MustParseAddr(server), port), a.tcp, wire)
}

// ask returns the one reply; nil if there is none.
func ask(t testing.TB, l *Lab, server, name string, qtype uint16, hows ...how) *miekg.Msg {
	t.Helper()
	x := exchangeOf(t, l, server, name, qtype, hows...)
	if x == nil {
		return nil
	}
	packets := x.packets()
	if len(packets) != 1 {
		t.Fatalf("asking %s for %s: %d packets came, not one", server, name, len(packets))
	}
	return unpack(t, packets[0].data)
}

func unpack(t testing.TB, data []byte) *miekg.Msg {
	t.Helper()
	r := new(miekg.Msg)
	if err := r.Unpack(data); err != nil {
		t.Fatalf("reading the reply %x: %v", data, err)
	}
	return r
}

// show writes a section, one record a line: "owner type data", without signatures and TTLs.
func show(section []miekg.RR) string {
	var b strings.Builder
	for _, rr := range section {
		switch rr.Header().Rrtype {
		case miekg.TypeRRSIG, miekg.TypeOPT:
			continue
		case miekg.TypeDNSKEY: // in prose: keys are long
			k := rr.(*miekg.DNSKEY)
			fmt.Fprintf(&b, "%s DNSKEY %d %s\n", k.Hdr.Name, k.Flags, miekg.AlgorithmToString[k.Algorithm])
			continue
		}
		fields := strings.Fields(rr.String())
		if rr.Header().Rrtype == miekg.TypeZONEMD { // the digest is that of this week's signatures
			fields = fields[:7]
		}
		if rr.Header().Ttl == 0 {
			fields[3] = "(TTL 0) " + fields[3]
		}
		b.WriteString(fields[0] + " " + strings.Join(fields[3:], " ") + "\n")
	}
	return b.String()
}

func name(s string) dns.Name { return dns.MustParseName(s) }
