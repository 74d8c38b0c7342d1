package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// zone is one zone as its servers know it: content, and how it is signed.
type zone struct {
	apex    dns.Name // in lower case
	content content
	signing signing
	ring    *keyring
	addrs   []netip.Addr // its servers
	minimum uint32       // seconds; TTL of denials (RFC 2308 section 5, RFC 9077)
	digests digesting

	// A written zone may hold only at some servers or for some time.
	at          []netip.Addr // empty: at all of addrs
	from, until time.Duration
	variants    []*zone // of the first variant: the others

	keysOnce sync.Once
	ksk, zsk *key
	// The other keys of the DNSKEY set.
	others, published, revoked []*key

	chainOnce sync.Once
	names     []dns.Name   // of content.chain, in canonical order
	hashes    []hashedName // the same by NSEC3 hash

	digestLock   sync.Mutex
	digest       dns.RRset // ZONEMD, of
	digestPeriod int64     // this period of the signatures
}

// content is what a zone holds. Names are in lower case and at or below the apex.
type content interface {
	// node returns what is at n. Callers come from the apex down and stop at a cut.
	node(n dns.Name) node
	// glue returns the address sets that this zone's servers know for a host, authoritative or not.
	glue(host dns.Name) []dns.RRset
	// chain lists all names of the zone, cuts included, names below cuts not; nil if the zone is made to measure, in which case
	// denials are too (RFC 4470).
	chain() []dns.Name
}

// node is what a zone holds at one name.
type node struct {
	sets  []dns.RRset // without DNSSEC records that the zone adds; at a cut only the NS set, and the DS set if it was written
	cut   bool        // a delegation
	child *zone       // the zone delegated to, if the lab knows it
	empty bool        // an empty non-terminal: no sets, but names below
}

func (n node) exists() bool { return len(n.sets) > 0 || n.empty }

func (n node) set(t dns.Type) (dns.RRset, bool) {
	for _, s := range n.sets {
		if s.Type == t {
			return s, true
		}
	}
	return dns.RRset{}, false
}

// node is content.node with the DNSSEC records that stand in a zone like others: DNSKEY, NSEC3PARAM, DS.
func (z *zone) node(n dns.Name) node {
	nd := z.content.node(n)
	if n == z.apex && !z.digests.off() {
		nd.sets = append(slices.Clip(nd.sets), z.placeholders())
	}
	if z.signing.off() {
		return nd
	}
	switch {
	case n == z.apex:
		nd.sets = slices.Clip(nd.sets)
		if _, written := nd.set(dns.TypeDNSKEY); !written && z.signing.flaw != flawNoDNSKEY {
			nd.sets = append(nd.sets, z.dnskeys())
		}
		if z.signing.nsec3 {
			nd.sets = append(nd.sets, newSet(z.apex, dns.TypeNSEC3PARAM, 0, z.nsec3Parameters(0, z.signing.salt)))
		}
	case nd.cut && nd.child != nil:
		if _, written := nd.set(dns.TypeDS); !written && nd.child.signing.delegated() {
			nd.sets = append(slices.Clip(nd.sets), nd.child.delegationSigner())
		}
	}
	return nd
}

// soa returns the SOA set with the TTL that it has in denials.
func (z *zone) soa() dns.RRset {
	s, _ := z.content.node(z.apex).set(dns.TypeSOA)
	s.TTL = min(s.TTL, z.minimum)
	return s
}

func (z *zone) serves(a netip.Addr) bool { return slices.Contains(z.addrs, a) }

// newSet makes an RRset of class IN.
func newSet(n dns.Name, t dns.Type, ttl uint32, data ...[]byte) dns.RRset {
	s := dns.RRset{Name: n, Type: t, Class: dns.ClassINET, TTL: ttl}
	for _, d := range data {
		s.Data = s.Data.Append(d)
	}
	return s
}

// nameSet makes an RRset whose data are names: NS, CNAME, PTR, DNAME.
func nameSet(n dns.Name, t dns.Type, ttl uint32, targets ...dns.Name) dns.RRset {
	s := newSet(n, t, ttl)
	for _, target := range targets {
		s.Data = s.Data.Append([]byte(target.Wire()))
	}
	return s
}

// addressSets makes the A and AAAA sets of a host.
func addressSets(n dns.Name, ttl uint32, addrs []netip.Addr) []dns.RRset {
	v4, v6 := newSet(n, dns.TypeA, ttl), newSet(n, dns.TypeAAAA, ttl)
	for _, a := range addrs {
		if a.Is4() {
			v4.Data = v4.Data.Append(a.AsSlice())
		} else {
			v6.Data = v6.Data.Append(a.AsSlice())
		}
	}
	var sets []dns.RRset
	for _, s := range []dns.RRset{v4, v6} {
		if len(s.Data) > 0 {
			sets = append(sets, s)
		}
	}
	return sets
}

func addressesIn(sets []dns.RRset) []netip.Addr {
	var addrs []netip.Addr
	for _, s := range sets {
		if s.Type != dns.TypeA && s.Type != dns.TypeAAAA {
			continue
		}
		for data := range s.Data.All() {
			if a, ok := netip.AddrFromSlice(data); ok {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}

// targets reads the names out of an NS set.
func targets(s dns.RRset) []dns.Name {
	var names []dns.Name
	for data := range s.Data.All() {
		if n, err := dns.NameFromWire(data); err == nil {
			names = append(names, n.Lower())
		}
	}
	return names
}

// soaData is the data of an SOA record (RFC 1035 section 3.3.13).
func soaData(mname, rname dns.Name, serial, refresh, retry, expire, minimum uint32) []byte {
	b := append([]byte(mname.Wire()), rname.Wire()...)
	for _, v := range []uint32{serial, refresh, retry, expire, minimum} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// child makes label.n; labels come from this package, and names that would be too long are left as they are.
func child(label string, n dns.Name) dns.Name {
	c, err := n.Child(label)
	if err != nil {
		return n
	}
	return c
}
