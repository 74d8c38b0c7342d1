package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/dns"
)

// Names of generated zones are syllables, so that they can be told from others, and counted.
const (
	consonants    = "bdfgklmnprstvz"
	vowels        = "aeiou"
	syllableCount = uint64(len(consonants) * len(vowels)) // 70
)

func spell(n uint64, syllables int) string {
	b := make([]byte, 0, 2*syllables)
	for range syllables {
		s := n % syllableCount
		n /= syllableCount
		b = append(b, consonants[s/uint64(len(vowels))], vowels[s%uint64(len(vowels))])
	}
	return string(b)
}

func unspell(label string, syllables int) (uint64, bool) {
	if len(label) != 2*syllables {
		return 0, false
	}
	n := uint64(0)
	for i := len(label) - 2; i >= 0; i -= 2 {
		c, v := strings.IndexByte(consonants, label[i]), strings.IndexByte(vowels, label[i+1])
		if c < 0 || v < 0 {
			return 0, false
		}
		n = n*syllableCount + uint64(c*len(vowels)+v)
	}
	return n, true
}

// Servers of generated zones are numbered: providers first, then the zones' own. The number, permuted, is in the address, so that an
// address tells whose it is.
const (
	serverSpace   = 1 << 26 // four blocks of 2^24 IPv4 addresses
	perProvider   = 8
	perZone       = 4
	firstOfZones  = 1 << 14
	serverV6Share = 0.6 // share of the servers that have an IPv6 address too
)

// serverBlocks are where servers of generated zones live. None of the real servers in tlds.txt.gz does.
var serverBlocks = [4]byte{34, 35, 52, 54}

// serverV6Block is the first 32 bits of their IPv6 addresses.
const serverV6Block = 0x2a0e_b100

func (in *internet) serverAddr(number uint64) []netip.Addr {
	p := in.servers.apply(number)
	a4 := netip.AddrFrom4([4]byte{serverBlocks[p>>24], byte(p >> 16), byte(p >> 8), byte(p)})
	if !in.seed.with(number).with(6).chance(serverV6Share) {
		return []netip.Addr{a4}
	}
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], serverV6Block)
	binary.BigEndian.PutUint32(b[4:], uint32(p)<<6)
	b[15] = 53
	return []netip.Addr{a4, netip.AddrFrom16(b)}
}

// serverNumber is the inverse of serverAddr.
func (in *internet) serverNumber(a netip.Addr) (uint64, bool) {
	var p uint64
	if a.Is4() {
		b := a.As4()
		block := strings.IndexByte(string(serverBlocks[:]), b[0])
		if block < 0 {
			return 0, false
		}
		p = uint64(block)<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	} else {
		b := a.As16()
		if binary.BigEndian.Uint32(b[:]) != serverV6Block {
			return 0, false
		}
		p = uint64(binary.BigEndian.Uint32(b[4:]) >> 6)
	}
	n := in.servers.invert(p)
	for _, own := range in.serverAddr(n) {
		if own == a {
			return n, true
		}
	}
	return 0, false
}

// hasServer tells whether a server with this number exists.
func (in *internet) hasServer(number uint64) bool {
	if number < firstOfZones {
		return number/perProvider < uint64(in.providers) && number%perProvider < providerServers
	}
	number -= firstOfZones
	z := number / perZone
	return z < uint64(in.spec.zones) && int(number%perZone) < in.profile(int(z)).own
}

const providerServers = 4

// site is the content of a generated zone: one of a customer, of a hosting provider, or a department below a customer's.
type site struct {
	in     *internet
	apex   dns.Name
	index  int // of the customer or provider
	role   role
	draw   seed
	ns     []dns.Name
	own    int // servers in the zone itself: ns1 and so on
	hosts  int // hosts of a customer
	minTTL uint32
}

type role uint8

const (
	customer role = iota
	provider
	department
)

// profile is what is drawn for a customer's zone before its content.
type profile struct {
	draw   seed
	suffix dns.Name
	count  int // name servers
	own    int // of them in the zone
	style  style
}

type style uint8

const (
	hosted  style = iota // at a provider
	selfRun              // in the zone, with glue
	foreign              // in another customer's zone: no glue
	mixed                // one in the zone, the others at a provider
)

func (in *internet) profile(z int) profile {
	d := in.seed.text("zone").with(uint64(z))
	p := profile{draw: d, suffix: in.suffixes[d.with(1).below(len(in.suffixes))]}
	switch s := d.with(2).share(); { // two servers most often
	case s < 0.6:
		p.count = 2
	case s < 0.75:
		p.count = 3
	default:
		p.count = 4
	}
	switch s := d.with(3).share(); {
	case s < 0.55:
		p.style = hosted
	case s < 0.85:
		p.style, p.own = selfRun, p.count
	case s < 0.95:
		p.style = foreign
	default:
		p.style, p.own = mixed, 1
	}
	return p
}

func (in *internet) zoneName(z int, p profile) dns.Name {
	return child(spell(in.names.apply(uint64(z)), in.syllables), p.suffix)
}

const providerMark = "dns" // ends the labels of providers; no syllable does

// providerNames returns the zones of a provider: every fourth has two, under different suffixes, with the same servers in both.
func (in *internet) providerNames(p int) []dns.Name {
	label := spell(in.providing.apply(uint64(p)), 2) + providerMark
	d := in.seed.text("provider").with(uint64(p))
	names := []dns.Name{child(label, in.suffixes[d.with(1).below(len(in.suffixes))])}
	if p%4 == 0 {
		if second := child(label, in.suffixes[d.with(2).below(len(in.suffixes))]); second != names[0] {
			names = append(names, second)
		}
	}
	return names
}

func serverName(k int, zone dns.Name) dns.Name { return child(fmt.Sprintf("ns%d", k+1), zone) }

// providerHost is the name of the provider's server number k.
func (in *internet) providerHost(p, k int) dns.Name {
	names := in.providerNames(p)
	return serverName(k, names[k%len(names)])
}

// identity is whose a generated zone is.
type identity struct {
	role  role
	index int
	own   int // servers in the zone
}

// identify tells whose generated zone has this apex.
func (in *internet) identify(apex dns.Name) (identity, bool) {
	if n := apex.Labels(); n < 2 || n > 3 || in.delegated[apex] != nil {
		return identity{}, false
	}
	label := apex.Label()
	if mark, ok := strings.CutSuffix(label, providerMark); ok {
		n, ok := unspell(mark, 2)
		if !ok {
			return identity{}, false
		}
		p := in.providing.invert(n)
		if p >= uint64(in.providers) || !slices.Contains(in.providerNames(int(p)), apex) {
			return identity{}, false
		}
		return identity{provider, int(p), providerServers}, true
	}
	n, ok := unspell(label, in.syllables)
	if !ok {
		return identity{}, false
	}
	z := in.names.invert(n)
	if z >= uint64(in.spec.zones) {
		return identity{}, false
	}
	p := in.profile(int(z))
	if p.suffix != apex.Parent() {
		return identity{}, false
	}
	return identity{customer, int(z), p.own}, true
}

// site returns the generated zone registered under this name; nil if there is none.
func (in *internet) site(apex dns.Name) *zone {
	return in.kept(apex, func() *zone {
		id, ok := in.identify(apex)
		switch {
		case !ok:
			return nil
		case id.role == provider:
			return in.providerZone(apex, id.index)
		}
		return in.customerZone(apex, id.index, in.profile(id.index))
	})
}

// kept makes a zone if it is not there. What does not exist is not kept: such names are without number.
func (in *internet) kept(apex dns.Name, make func() *zone) *zone {
	in.mu.Lock()
	z, ok := in.sites.get(apex)
	in.mu.Unlock()
	if ok {
		return z
	}
	if z = make(); z == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if first, ok := in.sites.get(apex); ok {
		return first // made twice at the same time
	}
	in.sites.put(apex, z)
	return z
}

func (in *internet) providerZone(apex dns.Name, p int) *zone {
	s := &site{in: in, apex: apex, index: p, role: provider, own: providerServers, minTTL: 300,
		draw: in.seed.text("provider").with(uint64(p)).text(apex.Wire())}
	for k := range providerServers {
		s.ns = append(s.ns, in.providerHost(p, k))
	}
	return s.zone()
}

func (in *internet) customerZone(apex dns.Name, index int, p profile) *zone {
	s := &site{in: in, apex: apex, index: index, role: customer, own: p.own, draw: p.draw, hosts: in.hostsOf(index),
		minTTL: []uint32{300, 900, 1800, 3600}[p.draw.with(4).below(4)]}
	// Most customers are at few providers.
	u := p.draw.with(5).share()
	at := int(float64(in.providers) * u * u)
	switch p.style {
	case selfRun:
		for k := range p.count {
			s.ns = append(s.ns, serverName(k, apex))
		}
	case foreign:
		s.ns = in.foreignServers(index, p)
	case mixed:
		s.ns = append(s.ns, serverName(0, apex))
	}
	for k := 0; len(s.ns) < p.count; k++ { // hosted, the rest of mixed, and foreign if no host was found
		s.ns = append(s.ns, in.providerHost(at, (k+index)%providerServers))
	}
	return s.zone()
}

// foreignServers looks for another customer's servers, under another suffix, so that there can be no glue.
func (in *internet) foreignServers(index int, p profile) []dns.Name {
	for i := range uint64(16) {
		other := p.draw.with(100 + i).below(in.spec.zones)
		q := in.profile(other)
		if other == index || q.style != selfRun || q.suffix == p.suffix {
			continue
		}
		var ns []dns.Name
		for k := range min(q.own, p.count) {
			ns = append(ns, serverName(k, in.zoneName(other, q)))
		}
		return ns
	}
	return nil
}

// zone wraps the content with what a zone has besides.
func (s *site) zone() *zone {
	z := &zone{apex: s.apex, content: s, minimum: s.minTTL, ring: s.in.ring}
	d := s.draw.with(10)
	if !d.with(1).chance(s.in.spec.unsigned) {
		z.signing.algorithm = algECDSAP256
		switch u := d.with(2).share(); { // RSA is rarer than in life: it is ten times the work
		case u < 0.04:
			z.signing.algorithm = algRSASHA256
		case u < 0.05:
			z.signing.algorithm = algRSASHA512
		case u < 0.06:
			z.signing.algorithm = algECDSAP384
		case u < 0.15:
			z.signing.algorithm = algED25519
		}
		if s.in.spec.alg != 0 {
			z.signing.algorithm = s.in.spec.alg
		}
		if z.signing.nsec3 = d.with(3).chance(0.4); z.signing.nsec3 && d.with(4).chance(0.25) {
			z.signing.iterations = uint16(1 + d.with(5).below(10))
			z.signing.salt = binary.BigEndian.AppendUint32(nil, uint32(d.with(6)))
		}
	}
	for _, host := range s.ns {
		z.addrs = append(z.addrs, s.in.addresses(host)...)
	}
	return z
}

// serversOf returns the addresses of ns1 and so on in a generated zone.
func (in *internet) serversOf(id identity, apex, host dns.Name) []netip.Addr {
	for k := range id.own {
		if host != serverName(k, apex) {
			continue
		}
		if id.role == provider {
			return in.serverAddr(uint64(id.index*perProvider + k))
		}
		return in.serverAddr(uint64(firstOfZones + id.index*perZone + k))
	}
	return nil
}

const departmentLabel = "corp" // the delegation that some customers have

func (s *site) hasDepartment() bool { return s.role == customer && s.draw.with(20).chance(0.03) }

// childZone is the zone below a customer's, on the same servers.
func (s *site) childZone(apex dns.Name) *zone {
	if !s.hasDepartment() || apex != child(departmentLabel, s.apex) {
		return nil
	}
	return s.in.kept(apex, func() *zone {
		d := &site{in: s.in, apex: apex, index: s.index, role: department, draw: s.draw.with(21), ns: s.ns, hosts: 3, minTTL: 300}
		return d.zone()
	})
}
