package lab

import (
	"bytes"
	"net/netip"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// What a client sends is foreign: whatever the octets, a server answers something that miekg/dns reads, or nothing.
func FuzzServer(f *testing.F) {
	for _, q := range []struct {
		name  string
		qtype uint16
	}{{"www.example", miekg.TypeA}, {"any.wild.example", miekg.TypeTXT}, {"x.deep.example", miekg.TypeANY}, {".", miekg.TypeDNSKEY}} {
		f.Add(packed(f, q.name, q.qtype, 1), true)
	}
	m := newQuestion("www.example", miekg.TypeA)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "0123456789abcdef"}, &miekg.EDNS0_LOCAL{Code: 65001, Data: []byte("x")})
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire, false)
	f.Add(wire[:20], false)
	l := newLab(f, `
[zone example servers=192.0.2.1]
www A 192.0.2.80
*.wild A 192.0.2.81
a.deep DNAME other.test.
child NS ns.child
[server 192.0.2.1]
fault cookies
fault verbose rate=50%`)
	to := netip.MustParseAddrPort("192.0.2.1:53")
	f.Fuzz(func(t *testing.T, msg []byte, tcp bool) {
		x := newCarrier(l).arrive(testClient, to, tcp, bytes.Clone(msg))
		if x == nil {
			return
		}
		for _, p := range x.packets() {
			r := new(miekg.Msg)
			if err := r.Unpack(p.data); err != nil {
				t.Fatalf("reply %x to %x: %v", p.data, msg, err)
			}
			if !r.Response || r.Id != uint16(msg[0])<<8|uint16(msg[1]) {
				t.Fatalf("reply %v to %x", r, msg)
			}
			if !tcp && len(p.data) > max(x.q.size, plainUDPMax) {
				t.Fatalf("%d octets were sent where %d fit", len(p.data), x.q.size)
			}
		}
	})
}

// The parser reads what miekg/dns writes, and says FORMERR to what the RFCs forbid.
func TestParseQuery(t *testing.T) {
	edit := func(change func(*miekg.Msg)) []byte {
		m := newQuestion("wWw.example", miekg.TypeAAAA)
		change(m)
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return wire
	}
	good := edit(func(m *miekg.Msg) {
		m.IsEdns0().Option = append(m.IsEdns0().Option, &miekg.EDNS0_PADDING{Padding: make([]byte, 7)}, &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "0123456789abcdef"})
	})
	q, err := parseQuery(good)
	if err != nil || q.bad || q.id != 4711 || q.name != name("www.example") || q.qtype != dns.TypeAAAA || !q.edns || !q.do || q.size != 1232 || len(q.cookie) != 8 || q.unknown {
		t.Errorf("%+v, %v", q, err)
	}
	pointer := append(bytes.Clone(good[:headerLen]), 0xC0, 0x0C, 0, 1, 0, 1)
	for what, wire := range map[string][]byte{
		"no question":         edit(func(m *miekg.Msg) { m.Question = nil }),
		"two questions":       edit(func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"two OPT records":     edit(func(m *miekg.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }),
		"OPT not at the root": edit(func(m *miekg.Msg) { m.IsEdns0().Hdr.Name = "example." }),
		"a cookie of 9": edit(func(m *miekg.Msg) {
			m.IsEdns0().Option = []miekg.EDNS0{&miekg.EDNS0_LOCAL{Code: 10, Data: make([]byte, 9)}}
		}),
		"octets behind":  append(bytes.Clone(good), 0),
		"half an option": good[:len(good)-3],
		"a pointer":      pointer,
	} {
		if q, err := parseQuery(wire); err != nil || !q.bad {
			t.Errorf("%s: %+v, %v", what, q, err)
		}
	}
	for what, wire := range map[string][]byte{"eleven octets": good[:11], "a reply": edit(func(m *miekg.Msg) { m.Response = true })} {
		if _, err := parseQuery(wire); err == nil {
			t.Errorf("%s is taken for a question", what)
		}
	}
}
