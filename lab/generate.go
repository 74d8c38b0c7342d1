package lab

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/ananas-edge/ananas/dns"
)

// To make it anew, set ROOT_ZONE to a gzipped root zone.
//
//go:generate sh -c "cd data && go run reduce.go $ROOT_ZONE > tlds.txt.gz"

// tldData is the root zone, reduced: data/README.md.
//
//go:embed data/tlds.txt.gz
var tldData []byte

// rootHints are the names and addresses of the root servers: data/README.md.
//
//go:embed data/named.root
var rootHints string

// wellKnown are written zones that every generated internet has.
//
//go:embed data/wellknown.world
var wellKnown string

// internet is the generated part of a lab: the root, the top-level domains with their real servers, and below them zones whose names,
// servers and content are functions of the seed. Only the first two are held in memory; a zone below is made when it is asked for.
type internet struct {
	spec generateSpec
	seed seed
	ring *keyring

	root       *zone
	registries map[dns.Name]*zone        // top-level domains, and zones such as co.uk
	open       map[dns.Name]bool         // such as co.jp: names are registered below, and it is no zone
	hosts      map[dns.Name][]netip.Addr // the servers of the root and the top-level domains
	between    map[dns.Name]bool         // empty non-terminals above them, and above written zones
	delegated  map[dns.Name]*zone        // written zones whose parent is generated
	serving    map[netip.Addr][]*zone    // what of root and registries is served where
	suffixes   []dns.Name                // where zones are registered, common ones many times
	syllables  int                       // in the name of a zone
	names      permutation               // index of a zone -> its name
	providers  int                       // hosting providers
	providing  permutation               // index of a provider -> its name
	servers    permutation               // number of a server -> its address

	mu    sync.Mutex
	sites *generations[dns.Name, *zone] // nil: known to be none
}

type suffixWeight struct {
	suffix string
	weight int
}

// popularSuffixes is where zones are registered, by rough share. The rest of the top-level domains share what is left.
var popularSuffixes = []suffixWeight{
	{"com", 400}, {"net", 60}, {"org", 60}, {"de", 60}, {"co.uk", 40}, {"ru", 30}, {"com.br", 25}, {"nl", 25}, {"fr", 25}, {"it", 20},
	{"co.jp", 20}, {"com.au", 20}, {"pl", 20}, {"info", 15}, {"io", 15}, {"eu", 15}, {"ca", 15}, {"ch", 10}, {"se", 10}, {"us", 10},
	{"xyz", 10}, {"co", 10}, {"es", 10}, {"in", 10}, {"shop", 5}, {"online", 5}, {"app", 5}, {"dev", 5}, {"org.uk", 5}, {"edu", 5},
}

// Registration happens a label deeper under some top-level domains: in a zone of its own on the same servers, or in the same zone.
var (
	deepRegistries = []string{"co.uk", "org.uk", "com.br", "com.au"}
	openRegistries = []string{"co.jp"}
)

const siteCache = 1 << 15 // zones kept: at about 1 KiB each, 32 MiB

func newInternet(spec generateSpec, s seed, ring *keyring) (*internet, error) {
	in := &internet{
		spec: spec, seed: s.text("internet"), ring: ring,
		registries: map[dns.Name]*zone{}, open: map[dns.Name]bool{}, hosts: map[dns.Name][]netip.Addr{},
		between: map[dns.Name]bool{}, delegated: map[dns.Name]*zone{}, serving: map[netip.Addr][]*zone{},
		sites: newGenerations[dns.Name, *zone](siteCache),
	}
	in.hosts = rootAddresses()
	servers, err := in.readTLDs()
	if err != nil {
		return nil, fmt.Errorf("reading the top-level domains: %w", err)
	}
	for host := range in.hosts {
		in.addBetween(host)
	}
	in.makeRoot()
	var tlds []dns.Name
	for _, tld := range servers.order {
		in.addRegistry(tld, servers.of[tld], in.seed.text(tld.Wire()))
		tlds = append(tlds, tld)
	}
	for _, deep := range deepRegistries {
		n := dns.MustParseName(deep)
		in.addRegistry(n, servers.of[n.Parent()], in.seed.text(n.Wire()))
	}
	for _, open := range openRegistries {
		in.open[dns.MustParseName(open)] = true
	}
	total := 0
	for _, p := range popularSuffixes {
		for range p.weight {
			in.suffixes = append(in.suffixes, dns.MustParseName(p.suffix))
		}
		total += p.weight
	}
	for i := range total / 10 { // the tail: a tenth, evenly
		in.suffixes = append(in.suffixes, tlds[in.seed.with(uint64(i)).below(len(tlds))])
	}

	in.syllables = 3
	for space := uint64(343000); space < 4*uint64(spec.zones); space *= syllableCount {
		in.syllables++
	}
	in.names = newPermutation(in.seed.text("zone names"), power(syllableCount, in.syllables))
	in.providers = min(500, max(8, spec.zones/200))
	in.providing = newPermutation(in.seed.text("provider names"), power(syllableCount, 2))
	in.servers = newPermutation(in.seed.text("servers"), serverSpace)
	return in, nil
}

func power(base uint64, n int) uint64 {
	p := uint64(1)
	for range n {
		p *= base
	}
	return p
}

// tldServers are the names of the servers of each top-level domain.
type tldServers struct {
	order []dns.Name
	of    map[dns.Name][]dns.Name
}

func (in *internet) readTLDs() (tldServers, error) {
	t := tldServers{of: map[dns.Name][]dns.Name{}}
	z, err := gzip.NewReader(bytes.NewReader(tldData))
	if err != nil {
		return t, err
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 3 {
			return t, fmt.Errorf("line %q has no facts", lines.Text())
		}
		n, err := dns.ParseName(words[1])
		if err != nil {
			return t, err
		}
		if words[0] == "tld" {
			t.order = append(t.order, n)
		}
		for _, w := range words[2:] {
			if words[0] == "tld" {
				host, err := dns.ParseName(w)
				if err != nil {
					return t, err
				}
				t.of[n] = append(t.of[n], host)
				continue
			}
			a, err := netip.ParseAddr(w)
			if err != nil {
				return t, err
			}
			in.hosts[n] = append(in.hosts[n], a)
		}
	}
	return t, lines.Err()
}

// addBetween notes the empty non-terminals between a name and the root. A top-level domain that is a zone is looked up as that first.
func (in *internet) addBetween(n dns.Name) {
	for n = n.Parent(); !n.IsRoot(); n = n.Parent() {
		in.between[n] = true
	}
}

// rootServers are the names of the root servers.
func rootServers() []dns.Name {
	var names []dns.Name
	for c := 'a'; c <= 'm'; c++ {
		names = append(names, dns.MustParseName(string(c)+".root-servers.net"))
	}
	return names
}

// rootAddresses reads the root hints.
func rootAddresses() map[dns.Name][]netip.Addr {
	t, err := parseZone(dns.Root, rootHints, 1)
	if err != nil {
		panic("lab: reading embedded root hints: " + err.Error())
	}
	m := map[dns.Name][]netip.Addr{}
	for _, host := range rootServers() {
		m[host] = addressesIn(t.glue(host))
	}
	return m
}

func (in *internet) makeRoot() {
	in.root = &zone{apex: dns.Root, ring: in.ring, minimum: 86400, signing: signing{algorithm: algECDSAP256, split: true}, digests: digesting{sha384: true}}
	if in.spec.alg != 0 {
		in.root.signing.algorithm = in.spec.alg
	}
	in.root.content = &rootContent{in, rootServers()}
	in.serve(in.root, rootServers())
}

func (in *internet) serve(z *zone, hosts []dns.Name) {
	for _, host := range hosts {
		for _, a := range in.hosts[host] {
			z.addrs = append(z.addrs, a)
			in.serving[a] = append(in.serving[a], z)
		}
	}
}

// addRegistry makes a zone in which others are registered. Most are signed with NSEC3 and opt-out, as in life, and the popular ones are all signed.
func (in *internet) addRegistry(apex dns.Name, ns []dns.Name, draw seed) {
	z := &zone{apex: apex, minimum: 900, ring: in.ring}
	popular := slices.ContainsFunc(popularSuffixes, func(p suffixWeight) bool { return p.suffix+"." == apex.String() })
	if popular || draw.share() < 0.91 {
		z.signing = signing{algorithm: algECDSAP256, split: true}
		if in.spec.alg != 0 {
			z.signing.algorithm = in.spec.alg
		} else if !popular && draw.with(1).chance(0.35) {
			z.signing.algorithm = algRSASHA256 // ten times the work: not where most referrals come from
		}
		if z.signing.nsec3 = draw.with(2).chance(0.85); z.signing.nsec3 {
			z.signing.optOut = draw.with(3).chance(0.8)
		}
	}
	z.content = &registry{in, apex, ns}
	in.serve(z, ns)
	in.registries[apex] = z
}

// rootContent is the root zone.
type rootContent struct {
	in *internet
	ns []dns.Name
}

const (
	delegationTTL = 172800 // seconds
	rootTTL       = 518400 // seconds, of the root's NS set
)

func (r *rootContent) node(n dns.Name) node {
	switch n.Labels() {
	case 0:
		return node{sets: []dns.RRset{newSet(n, dns.TypeSOA, 86400, rootSOA()), nameSet(n, dns.TypeNS, rootTTL, r.ns...)}}
	case 1:
		if z := r.in.registries[n]; z != nil {
			return node{cut: true, child: z, sets: []dns.RRset{nameSet(n, dns.TypeNS, delegationTTL, z.content.(*registry).ns...)}}
		}
	}
	return r.in.delegation(n)
}

func rootSOA() []byte {
	return soaData(rootServers()[0], dns.MustParseName("nstld.verisign-grs.com"), 2026010100, 1800, 900, 604800, 86400)
}

func (r *rootContent) glue(host dns.Name) []dns.RRset {
	return addressSets(host, delegationTTL, r.in.addresses(host))
}

func (r *rootContent) chain() []dns.Name {
	names := []dns.Name{dns.Root}
	for n := range r.in.registries {
		if n.Labels() == 1 {
			names = append(names, n)
		}
	}
	for n := range r.in.delegated {
		if r.in.registries[n.Ancestor(1)] == nil {
			names = append(names, n)
		}
	}
	return names
}

// delegation is the cut to a written zone at n, or what is above it.
func (in *internet) delegation(n dns.Name) node {
	if z := in.delegated[n]; z != nil {
		ns, _ := z.content.node(n).set(dns.TypeNS)
		ns.TTL = delegationTTL
		return node{cut: true, child: z, sets: []dns.RRset{ns}}
	}
	return node{empty: in.between[n]}
}

// registry is the content of a top-level domain, or of a zone such as co.uk.
type registry struct {
	in   *internet
	apex dns.Name
	ns   []dns.Name
}

func (r *registry) node(n dns.Name) node {
	if n == r.apex {
		soa := soaData(r.ns[0], child("hostmaster", r.apex), 2026010100, 1800, 900, 604800, 900)
		return node{sets: []dns.RRset{newSet(n, dns.TypeSOA, 900, soa), nameSet(n, dns.TypeNS, delegationTTL, r.ns...)}}
	}
	if z := r.in.registries[n]; z != nil {
		return node{cut: true, child: z, sets: []dns.RRset{nameSet(n, dns.TypeNS, delegationTTL, z.content.(*registry).ns...)}}
	}
	if nd := r.in.delegation(n); nd.cut {
		return nd
	}
	if z := r.in.site(n); z != nil {
		s := z.content.(*site)
		return node{cut: true, child: z, sets: []dns.RRset{nameSet(n, dns.TypeNS, delegationTTL, s.ns...)}}
	}
	if addrs := r.in.hosts[n]; addrs != nil {
		return node{sets: addressSets(n, delegationTTL, addrs)}
	}
	return node{empty: r.in.open[n] || r.in.between[n]}
}

func (r *registry) glue(host dns.Name) []dns.RRset {
	return addressSets(host, delegationTTL, r.in.addresses(host))
}

func (r *registry) chain() []dns.Name { return nil }

// zoneAt returns the generated zone with this apex, whose closest enclosing zone is up; nil if there is none.
func (in *internet) zoneAt(apex dns.Name, up *zone) *zone {
	if up == nil {
		return in.root
	}
	switch c := up.content.(type) {
	case *rootContent, *registry:
		if z := in.registries[apex]; z != nil {
			return z
		}
		return in.site(apex)
	case *site:
		return c.childZone(apex)
	}
	return nil
}

// addresses returns the addresses of a name server that the internet knows.
func (in *internet) addresses(host dns.Name) []netip.Addr {
	if a, ok := in.hosts[host]; ok {
		return a
	}
	for i := 1; i < host.Labels(); i++ {
		apex := host.Ancestor(i)
		if z := in.delegated[apex]; z != nil {
			return addressesIn(z.content.glue(host))
		}
		if id, ok := in.identify(apex); ok {
			return in.serversOf(id, apex, host)
		}
	}
	return nil
}
