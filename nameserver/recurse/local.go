package recurse

import (
	"strconv"

	"github.com/ananas-edge/ananas/dns"
)

// Names that are answered here and never asked of the world. A stub, forward or trust anchor at or below one switches it off, for
// then somebody means it.

// localZone says what a special name is answered with.
type localZone uint8

const (
	localEmpty     localZone = iota + 1 // an empty zone: NXDOMAIN below it
	localLocalhost                      // loopback addresses at and below it
	localNoData                         // nothing at it, nor of any type
)

// localZones are those of RFC 6303 sections 4.1 to 4.6, RFC 6761 section 6, RFC 7686 (onion), RFC 8375 (home.arpa), RFC 9462 section 8.2
// (resolver.arpa) and RFC 9476 (alt), RFC 7793 (100.64/10).
var localZones = makeLocalZones()

func makeLocalZones() map[dns.Name]localZone {
	m := map[dns.Name]localZone{
		dns.MustParseName("localhost"):                    localLocalhost,
		dns.MustParseName("resolver.arpa"):                localNoData,
		dns.MustParseName("127.in-addr.arpa"):             localEmpty,
		dns.MustParseName("0.in-addr.arpa"):               localEmpty,
		dns.MustParseName("255.255.255.255.in-addr.arpa"): localEmpty,
	}
	for _, z := range []string{
		"invalid", "test", "onion", "alt", "home.arpa",
		"10.in-addr.arpa", "168.192.in-addr.arpa", "254.169.in-addr.arpa",
		"2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa",
		"d.f.ip6.arpa", "8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa",
		"8.b.d.0.1.0.0.2.ip6.arpa",
		"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	} {
		m[dns.MustParseName(z)] = localEmpty
	}
	for i := 16; i < 32; i++ {
		m[dns.MustParseName(strconv.Itoa(i)+".172.in-addr.arpa")] = localEmpty
	}
	for i := 64; i < 128; i++ {
		m[dns.MustParseName(strconv.Itoa(i)+".100.in-addr.arpa")] = localEmpty
	}
	return m
}

var (
	ptrLoopback4 = dns.MustParseName("1.0.0.127.in-addr.arpa")
	ptrLoopback6 = dns.MustParseName("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa")
	localhost    = dns.MustParseName("localhost")
	nobody       = dns.MustParseName("nobody.invalid")
)

// localTTL is the TTL of local answers, in seconds (RFC 6303 section 3 leaves it open; a change of settings should show soon).
const localTTL = 600

// local answers a special name; ok is false for all others.
func local(t *Table, q dns.Question) (a Answer, ok bool) {
	for zone := q.Name; !zone.IsRoot(); zone = zone.Parent() {
		kind := localZones[zone]
		if kind == 0 {
			continue
		}
		if t.Overrides(zone) || q.Type == dns.TypeDS && q.Name == zone {
			return Answer{}, false
		}
		return localAnswer(zone, kind, q), true
	}
	return Answer{}, false
}

func localAnswer(zone dns.Name, kind localZone, q dns.Question) Answer {
	a := Answer{Local: true}
	set := func(t dns.Type, rdata ...[]byte) {
		s := dns.RRset{Name: q.Name, Type: t, Class: dns.ClassINET, TTL: localTTL}
		for _, d := range rdata {
			s.Data = s.Data.Append(d)
		}
		a.Answer = append(a.Answer, s)
	}
	soa := dns.SOA{MName: nobody, RName: nobody, Serial: 1, Refresh: 3600, Retry: 1200, Expire: 604800, Minimum: localTTL}.Append(nil)
	ptr := q.Name == ptrLoopback4 || q.Name == ptrLoopback6
	any := q.Type == dns.TypeANY
	switch {
	case kind == localLocalhost && (q.Type == dns.TypeA || any):
		set(dns.TypeA, []byte{127, 0, 0, 1})
	case kind == localLocalhost && q.Type == dns.TypeAAAA:
		set(dns.TypeAAAA, []byte{15: 1})
	case ptr && (q.Type == dns.TypePTR || any):
		set(dns.TypePTR, []byte(localhost.Wire()))
	case q.Name == zone && (q.Type == dns.TypeSOA || any):
		set(dns.TypeSOA, soa)
	case q.Name == zone && q.Type == dns.TypeNS:
		set(dns.TypeNS, []byte(nobody.Wire()))
	}
	if len(a.Answer) > 0 {
		return a
	}
	if kind == localEmpty && q.Name != zone && !ptr && !ptrLoopback4.IsWithin(q.Name) {
		a.RCode = dns.RCodeNameError
	}
	if q.Name != zone && kind == localNoData {
		a.RCode = dns.RCodeNameError
	}
	a.Authority = []dns.RRset{{Name: zone, Type: dns.TypeSOA, Class: dns.ClassINET, TTL: localTTL, Data: dns.Records{}.Append(soa)}}
	return a
}
