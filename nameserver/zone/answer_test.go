package zone

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/lab"
)

var rootServer = netip.MustParseAddrPort("192.0.2.1:53")

// variety is a root zone with one of each.
const variety = `
[zone . servers=192.0.2.1 zonemd=sha384,sha512]
@         3600 SOA  ns1 hostmaster 2026010100 1800 900 604800 3600
alias     300   CNAME host
host      300   A    192.0.2.10
host      60    AAAA 2001:db8::10
HOST      60    TXT  "in Capitals"
below.a   300   A    192.0.2.11
deep.in.a.tree 300 TXT "far down"
*.wild    300   A    192.0.2.12
*.wild    300   TXT  "expanded"
*.alias   300   CNAME nowhere
moved     300   DNAME test
strange   300   TYPE65280 \# 3 010203
strange   300   TYPE65281 \# 0
signed    3600  NS   ns.signed
ns.signed 3600  A    192.0.2.2
ns.signed 3600  AAAA 2001:db8::2
plain     3600  NS   ns.plain
plain     3600  NS   ns.signed
ns.plain  3600  A    192.0.2.3
far       3600  NS   ns.elsewhere.test
z         3600  NS   z
z         3600  A    192.0.2.5
[zone signed servers=192.0.2.2]
[zone test servers=192.0.2.4 sign=none]
`

// open makes a lab, and a zone of what its root server gives.
func open(t testing.TB, world string, server netip.AddrPort) (*lab.Lab, *lab.Network, *Zone) {
	t.Helper()
	w, err := lab.ParseWorld(world)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Config{Seed: 1, World: w})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Network()
	rrs, err := transferFrom(t.Context(), n, server)
	if err != nil {
		t.Fatal(err)
	}
	z, err := build(dns.Root, rrs)
	if err != nil {
		t.Fatal(err)
	}
	return l, n, z
}

func transferFrom(ctx context.Context, d Dialer, server netip.AddrPort) ([]dns.RR, error) {
	s, err := connect(ctx, d, server, dns.Root, func() uint16 { return 4711 })
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.serial(); err != nil {
		return nil, err
	}
	return s.transfer()
}

// TestAnswersLikeAServer asks the lab's root server over TCP, and the zone that it gives, the same questions. The lab has code of its own.
func TestAnswersLikeAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n, z := open(t, variety, rootServer)
		defer n.Close()
		conn, err := n.DialTCP(t.Context(), rootServer)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := &miekg.Conn{Conn: conn}
		names := strings.Fields(`. alias host HOST a below.a above.below.a in.a.tree a.tree tree deep.in.a.tree wild x.wild y.x.wild *.wild x.alias
			moved x.moved y.x.moved strange signed ns.signed x.signed plain ns.plain x.ns.plain far z x.z test x.test nothing x.nothing zz
			0 \000 \255.z`)
		types := []dns.Type{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC,
			dns.TypeZONEMD, 65280, 65281, 65282}
		asked := 0
		for _, qname := range names {
			for _, qtype := range types {
				// The lab takes NSEC of an alias for a question that the alias leads on (RFC 4035 section 2.5 says otherwise), and follows a
				// DNAME also when CNAME is asked for.
				if qtype == dns.TypeNSEC && strings.HasSuffix(qname, "alias") || qtype == dns.TypeCNAME && strings.HasSuffix(qname, ".moved") {
					continue
				}
				for _, do := range []bool{true, false} {
					q := new(miekg.Msg)
					q.SetQuestion(miekg.Fqdn(qname), uint16(qtype))
					q.RecursionDesired = false
					q.SetEdns0(1232, do)
					if err := client.WriteMsg(q); err != nil {
						t.Fatal(err)
					}
					want, err := client.ReadMsg()
					if err != nil {
						t.Fatal(err)
					}
					got := new(miekg.Msg)
					if err := got.Unpack(z.Answer(dns.Question{Name: name(qname), Type: qtype, Class: dns.ClassINET}, do)); err != nil {
						t.Fatal(err)
					}
					if g, w := show(got), show(want); g != w {
						t.Errorf("%s %v DO %v\ngot:\n%s\nwant:\n%s", qname, qtype, do, g, w)
					}
					asked++
				}
			}
		}
		if asked < 500 {
			t.Errorf("only %d questions", asked)
		}
	})
}

// show writes what a reply says. Of a chain of aliases it is the first: a server may follow it within its zone, and need not.
func show(m *miekg.Msg) string {
	var b strings.Builder
	alias := slices.ContainsFunc(m.Answer, func(rr miekg.RR) bool {
		return rr.Header().Rrtype == miekg.TypeCNAME && m.Question[0].Qtype != miekg.TypeCNAME
	})
	fmt.Fprintln(&b, miekg.RcodeToString[m.Rcode], m.Authoritative, m.Truncated, m.Question)
	for i, section := range [][]miekg.RR{m.Answer, m.Ns, m.Extra} {
		var lines []string
		for _, rr := range section {
			h := rr.Header()
			first := h.Name == m.Question[0].Name || h.Rrtype == miekg.TypeDNAME
			if s, ok := rr.(*miekg.RRSIG); ok {
				first = first || s.TypeCovered == miekg.TypeDNAME
			}
			if h.Rrtype == miekg.TypeOPT || alias && (i > 0 || !first) {
				continue
			}
			lines = append(lines, strings.ToLower(rr.String()))
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "section %d\n%s\n", i, strings.Join(lines, "\n"))
	}
	if alias {
		return strings.TrimPrefix(b.String(), miekg.RcodeToString[m.Rcode])
	}
	return b.String()
}

// What the lab's servers answer in another way, or not at all.
func TestAnswerToMetaTypes(t *testing.T) {
	z := load(t, "a4-signed.zone", "uri.arpa")
	for _, c := range []struct {
		q      string
		t      dns.Type
		class  dns.Class
		rcode  int
		answer string // types in the answer section
	}{
		{"uri.arpa", dns.TypeANY, dns.ClassINET, miekg.RcodeSuccess, "NS SOA MX NSEC DNSKEY ZONEMD"},
		{"ftp.uri.arpa", dns.TypeRRSIG, dns.ClassINET, miekg.RcodeSuccess, "RRSIG"},
		{"FTP.uri.arpa", dns.TypeNSEC, dns.ClassINET, miekg.RcodeSuccess, "NSEC"},
		{"uri.arpa", dns.TypeAXFR, dns.ClassINET, miekg.RcodeRefused, ""},
		{"uri.arpa", dns.TypeNone, dns.ClassINET, miekg.RcodeRefused, ""},
		{"uri.arpa", dns.TypeSOA, dns.ClassCHAOS, miekg.RcodeRefused, ""},
		{"arpa", dns.TypeSOA, dns.ClassINET, miekg.RcodeRefused, ""},
		{"example", dns.TypeSOA, dns.ClassINET, miekg.RcodeRefused, ""},
	} {
		m := new(miekg.Msg)
		if err := m.Unpack(z.Answer(dns.Question{Name: name(c.q), Type: c.t, Class: c.class}, true)); err != nil {
			t.Fatal(err)
		}
		var types []string
		for _, rr := range m.Answer {
			if s := miekg.TypeToString[rr.Header().Rrtype]; !slices.Contains(types, s) && (s != "RRSIG" || c.t == dns.TypeRRSIG) {
				types = append(types, s)
			}
		}
		if got := strings.Join(types, " "); m.Rcode != c.rcode || got != c.answer {
			t.Errorf("%s %v: %s %q, want %s %q", c.q, c.t, miekg.RcodeToString[m.Rcode], got, miekg.RcodeToString[c.rcode], c.answer)
		}
	}
}

// An answer that no message holds is truncated, which whoever asks takes for what it is: of no use.
func TestAnswerTooLarge(t *testing.T) {
	text := "@ SOA ns hostmaster 1 1 1 1 1\n@ NS ns\n"
	for i := range 400 {
		text += fmt.Sprintf("@ TXT %q\n", fmt.Sprintf("%0250d", i))
	}
	z, err := Parse(text, "large", name("example"))
	if err != nil {
		t.Fatal(err)
	}
	var m dns.Message
	if err := dns.Parse(z.Answer(dns.Question{Name: name("example"), Type: dns.TypeTXT, Class: dns.ClassINET}, true), &m); err != nil {
		t.Fatal(err)
	}
	if m.Header.Flags&dns.FlagTC == 0 || len(m.Sections[dns.Answer]) != 0 {
		t.Errorf("flags %x, %d records", m.Header.Flags, len(m.Sections[dns.Answer]))
	}
}
