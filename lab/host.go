package lab

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/dns"
)

// hostLabels are what the first hosts of a zone are called, "" being the zone itself; the others are syllables. Two have a label
// above them that owns nothing, or something else.
var hostLabels = []string{"www", "", "mail", "api", "cdn", "img", "static", "shop", "blog", "m", "app", "dev", "docs", "news", "login",
	"assets.cdn", "eu.edge", "us.edge", "status", "vpn", "smtp", "imap", "media", "video", "forum", "support", "web", "portal", "store", "demo-1"}

const moreHosts = 70 * 70 // hosts of two syllables

// relative turns "a.b" into the wire form of the labels.
func relative(s string) string {
	if s == "" {
		return ""
	}
	var b strings.Builder
	for _, label := range strings.Split(s, ".") {
		b.WriteByte(byte(len(label)))
		b.WriteString(label)
	}
	return b.String()
}

// hostIndexes is hostLabels the other way around, by wire form. It is never changed.
var hostIndexes = func() map[string]int {
	m := map[string]int{}
	for i, l := range hostLabels {
		m[relative(l)] = i
	}
	return m
}()

// hostsOf returns how many hosts the customer has: the popular ones have many, by a power law that gives spec.hosts in sum.
func (in *internet) hostsOf(z int) int {
	const power = 0.6
	mean := float64(in.spec.hosts) / float64(in.spec.zones)
	n := math.Ceil(mean * (1 - power) * math.Pow(float64(in.spec.zones)/float64(z+1), power))
	return min(max(1, int(n)), len(hostLabels)+moreHosts)
}

func (s *site) hostName(j int) dns.Name {
	if j < len(hostLabels) {
		n := s.apex
		labels := strings.Split(hostLabels[j], ".")
		for _, l := range slices.Backward(labels) {
			if l != "" {
				n = child(l, n)
			}
		}
		return n
	}
	return child(spell(s.hostCodes().apply(uint64(j-len(hostLabels))), 2), s.apex)
}

func (s *site) hostCodes() permutation { return newPermutation(s.draw.with(30), moreHosts) }

// hostIndex is the inverse of hostName: the labels before the apex, in wire form, to the index.
func (s *site) hostIndex(labels string) (int, bool) {
	j, ok := hostIndexes[labels]
	if !ok && len(labels) == 5 && labels[0] == 4 {
		var n uint64
		if n, ok = unspell(labels[1:], 2); ok {
			j = len(hostLabels) + int(s.hostCodes().invert(n))
		}
	}
	return j, ok && j < s.hosts
}

// names returns the n most popular host names of the generated internet, the most popular first: the order in which a Zipf draw may take
// them. The popularity of a host falls with the rank of its zone and its own.
func (in *internet) hostNames(n int) []dns.Name {
	type entry struct {
		z, j  int
		score float64
	}
	var all []entry
	for z := range in.spec.zones {
		for j := range in.hostsOf(z) {
			all = append(all, entry{z, j, float64(z+10) * math.Pow(float64(j+1), 1.3)})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.z, b.z), cmp.Compare(a.j, b.j))
	})
	var names []dns.Name
	for _, e := range all[:min(n, len(all))] {
		p := in.profile(e.z)
		s := site{in: in, apex: in.zoneName(e.z, p), draw: p.draw}
		names = append(names, s.hostName(e.j))
	}
	return names
}

func (s *site) chain() []dns.Name { return nil }

func (s *site) glue(host dns.Name) []dns.RRset {
	var sets []dns.RRset
	for _, set := range s.node(host).sets {
		if set.Type == dns.TypeA || set.Type == dns.TypeAAAA {
			sets = append(sets, set)
		}
	}
	return sets
}

// node is the content of the zone: a function of its draw and the name.
func (s *site) node(n dns.Name) node {
	labels := n.Wire()[:n.Len()-s.apex.Len()]
	if labels == "" {
		return node{sets: s.apexSets()}
	}
	if addrs := s.in.serversOf(identity{s.role, s.index, s.own}, s.apex, n); addrs != nil {
		return node{sets: addressSets(n, 86400, addrs)}
	}
	if nd := s.in.delegation(n); nd.cut || nd.empty {
		return nd
	}
	if s.role == customer && s.hasDepartment() && n.Label() == departmentLabel && len(labels) == 1+len(departmentLabel) {
		return node{cut: true, child: s.childZone(n), sets: []dns.RRset{nameSet(n, dns.TypeNS, 3600, s.ns...)}}
	}
	if s.role == provider {
		return s.providerNode(n, labels)
	}
	if j, ok := s.hostIndex(labels); ok {
		return node{sets: s.host(n, j)}
	}
	d := s.draw.with(40)
	switch labels { // in wire form: a label may hold a dot
	case "\x04edge":
		return node{empty: s.hosts > hostIndexes["\x02eu\x04edge"]}
	case "\x03mx1", "\x03mx2":
		if s.ownMail() {
			return node{sets: s.hostAddresses(n, d.text(labels))}
		}
	case "\x06_dmarc":
		return node{sets: []dns.RRset{newSet(n, dns.TypeTXT, 3600, text("v=DMARC1; p=reject"))}}
	case "\x04_tcp":
		return node{empty: d.with(1).chance(0.1)}
	case "\x04_sip\x04_tcp":
		if d.with(1).chance(0.1) {
			return node{sets: []dns.RRset{newSet(n, dns.TypeSRV, 3600, append([]byte{0, 10, 0, 5, 0x13, 0xC4}, s.hostName(0).Wire()...))}}
		}
	case "\x04_dns":
		if d.with(2).chance(0.05) {
			return node{sets: []dns.RRset{newSet(n, dns.TypeSVCB, 3600, service(s.hostName(0), "dot", netip.Addr{}))}}
		}
	case "\x01*":
		if d.with(3).chance(0.08) {
			return node{sets: s.hostAddresses(n, d.with(3))}
		}
	case "\x03old":
		if d.with(4).chance(0.02) && s.index > 0 {
			z := d.with(5).below(s.index)
			return node{sets: []dns.RRset{nameSet(n, dns.TypeDNAME, 3600, s.in.zoneName(z, s.in.profile(z)))}}
		}
	}
	return node{}
}

// providerNode is what a provider's zone has: mail servers, and a farm of edge servers under a wildcard.
func (s *site) providerNode(n dns.Name, labels string) node {
	d := s.draw.with(41).text(labels)
	switch labels {
	case "\x03cdn":
		return node{empty: true}
	case "\x01*\x03cdn", "\x03mx1", "\x03mx2", "\x03www":
		return node{sets: s.hostAddresses(n, d)}
	}
	return node{}
}

func (s *site) ownMail() bool { return s.draw.with(42).chance(0.4) }

func (s *site) apexSets() []dns.RRset {
	d := s.draw.with(43)
	sets := []dns.RRset{
		newSet(s.apex, dns.TypeSOA, 3600, soaData(s.ns[0], child("hostmaster", s.apex), 2026010100+uint32(d.with(1).below(99)), 7200, 3600, 1209600, s.minTTL)),
		nameSet(s.apex, dns.TypeNS, []uint32{3600, 21600, 86400, 172800}[d.with(2).below(4)], s.ns...),
	}
	sets = append(sets, s.host(s.apex, 1)...)
	switch {
	case s.role == department:
		return sets
	case s.ownMail():
		sets = append(sets, newSet(s.apex, dns.TypeMX, 3600,
			append([]byte{0, 10}, child("mx1", s.apex).Wire()...), append([]byte{0, 20}, child("mx2", s.apex).Wire()...)))
	default:
		p := s.in.providerNames(d.with(3).below(s.in.providers))[0]
		sets = append(sets, newSet(s.apex, dns.TypeMX, 3600, append([]byte{0, 10}, child("mx1", p).Wire()...)))
	}
	spf := newSet(s.apex, dns.TypeTXT, 3600, text("v=spf1 mx -all"))
	for i := range d.with(4).below(4) { // tokens that services ask their customers to publish
		spf.Data = spf.Data.Append(text(fmt.Sprintf("site-verification=%016x%016x", uint64(d.with(uint64(50+i))), uint64(d.with(uint64(60+i))))))
	}
	sets = append(sets, spf)
	if d.with(5).chance(0.2) {
		sets = append(sets, newSet(s.apex, dns.TypeCAA, 3600, append([]byte{0, 5}, "issueca.example"...)))
	}
	return sets
}

// host is host number j.
func (s *site) host(n dns.Name, j int) []dns.RRset {
	d := s.draw.with(1000 + uint64(j))
	if j != 1 && s.role == customer && s.index > 0 && d.with(1).chance(0.15) {
		return []dns.RRset{nameSet(n, dns.TypeCNAME, hostTTL(d), s.aliasTarget(d))}
	}
	return s.hostAddresses(n, d)
}

// aliasTarget is an edge server of a provider, or the first host of a more popular zone, so that aliases end.
func (s *site) aliasTarget(d seed) dns.Name {
	if d.with(2).chance(0.5) {
		p := d.with(3).below(s.in.providers)
		return child(spell(uint64(d.with(4)), 3), child("cdn", s.in.providerNames(p)[0]))
	}
	z := d.with(5).below(s.index)
	return child(hostLabels[0], s.in.zoneName(z, s.in.profile(z)))
}

func hostTTL(d seed) uint32 {
	return []uint32{60, 300, 300, 3600, 3600, 14400, 86400}[d.with(6).below(7)]
}

// hostBlocks are where hosts live: no name server does.
var hostBlocks = []byte{18, 24, 44, 47, 50, 59, 63, 67, 68, 70, 73, 76, 90, 94, 96, 98}

func (s *site) hostAddresses(n dns.Name, d seed) []dns.RRset {
	var addrs []netip.Addr
	count := 1
	if d.with(7).chance(0.2) {
		count += 1 + d.with(8).below(3)
	}
	for i := range count {
		a := uint64(d.with(uint64(10 + i)))
		addrs = append(addrs, netip.AddrFrom4([4]byte{hostBlocks[a%uint64(len(hostBlocks))], byte(a >> 8), byte(a >> 16), byte(1 + a>>24%254)}))
	}
	if d.with(9).chance(0.45) {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], 0x2a10<<48|uint64(d.with(20))>>16)
		b[15] = byte(1 + d.with(21).below(250))
		addrs = append(addrs, netip.AddrFrom16(b))
	}
	sets := addressSets(n, hostTTL(d), addrs)
	if d.with(22).chance(0.15) {
		sets = append(sets, newSet(n, dns.TypeHTTPS, hostTTL(d), service(dns.Root, "h2", addrs[0])))
	}
	return sets
}

// text is the data of a TXT record of one string of at most 255 octets.
func text(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// service is the data of an SVCB or HTTPS record (RFC 9460 section 2.2) with one protocol and, if valid, an IPv4 hint.
func service(target dns.Name, alpn string, hint netip.Addr) []byte {
	b := append([]byte{0, 1}, target.Wire()...)
	b = append(b, 0, 1, 0, byte(1+len(alpn)), byte(len(alpn)))
	b = append(b, alpn...)
	if hint.Is4() {
		b = append(append(b, 0, 4, 0, 4), hint.AsSlice()...)
	}
	return b
}
