package lab

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// build turns the world into zones and servers:
//
//  1. trees of written zones get what their text leaves out;
//  2. the parent of each gets a delegation to it, if it has none;
//  3. name servers are looked up, which tells who serves what;
//  4. servers get their latency, loss, faults and scripts.
func (l *Lab) build() error {
	specs := l.world.zones
	if l.world.generate != nil {
		var err error
		if l.internet, err = newInternet(*l.world.generate, l.seed, l.ring); err != nil {
			return err
		}
		known, err := ParseWorld(wellKnown)
		if err != nil {
			return err
		}
		for _, z := range known.zones {
			if !slices.ContainsFunc(specs, func(own *zoneSpec) bool { return own.apex == z.apex }) {
				specs = append(specs[:len(specs):len(specs)], z)
			}
		}
	}
	if err := l.addWritten(specs); err != nil {
		return err
	}
	if l.internet != nil {
		l.root = l.internet.root
	} else {
		l.root = l.written[dns.Root][0]
	}
	l.delegate(specs)
	l.assign(specs)
	return l.addServers()
}

// addWritten makes the zones of the world file, and a root if none is written and none generated. Trees are copied: a World is shared.
func (l *Lab) addWritten(specs []*zoneSpec) error {
	for _, spec := range specs {
		if l.internet != nil && spec.apex.IsRoot() {
			return at(spec.line, "a written root zone and [generate] exclude each other")
		}
		l.addZone(spec, spec.tree.clone())
	}
	if l.internet == nil && l.written[dns.Root] == nil {
		l.addZone(&zoneSpec{apex: dns.Root, signing: signing{algorithm: algECDSAP256, split: true}, digests: digesting{sha384: true}}, rootTree())
	}
	slices.Sort(l.phases)
	return nil
}

func (l *Lab) addZone(spec *zoneSpec, t *tree) {
	t.complete(spec.servers)
	t.alone = spec.noDelegations
	if l.internet != nil {
		for host, addrs := range l.internet.hosts {
			if host.IsWithin(spec.apex) && t.nodes[host] == nil {
				for _, a := range addrs {
					t.addAddress(host, a)
				}
			}
		}
		t.settle()
	}
	z := &zone{apex: spec.apex, content: t, signing: spec.signing, digests: spec.digests, ring: l.ring, at: spec.at, from: spec.from, until: spec.until}
	soa, _ := t.node(spec.apex).set(dns.TypeSOA)
	z.minimum = negativeTTL(soa)
	if _, written := t.node(spec.apex).set(dns.TypeZONEMD); written {
		z.digests = digesting{}
	}
	l.written[spec.apex] = append(l.written[spec.apex], z)
	for _, when := range []time.Duration{spec.from, spec.until} {
		if when > 0 {
			l.phases = append(l.phases, when)
		}
	}
}

// rootTree is the root of worlds that write none: thirteen servers at the addresses of the real ones.
func rootTree() *tree {
	t := newTree(dns.Root)
	addrs := rootAddresses()
	t.add(dns.RR{Name: dns.Root, Type: dns.TypeSOA, TTL: 86400, Data: rootSOA()})
	for _, host := range rootServers() {
		t.add(dns.RR{Name: dns.Root, Type: dns.TypeNS, TTL: rootTTL, Data: []byte(host.Wire())})
		for _, a := range addrs[host] {
			t.addAddress(host, a)
		}
	}
	return t
}

// delegate gives each written zone a delegation in its parent, and lets the parent know the zone, for its DS.
func (l *Lab) delegate(specs []*zoneSpec) {
	for _, spec := range specs {
		if spec.apex.IsRoot() {
			continue
		}
		child := l.written[spec.apex][0]
		child.variants = l.written[spec.apex][1:]
		parents := l.parents(spec.apex)
		if parents == nil {
			if spec.delegate {
				l.internet.delegated[spec.apex] = child
				l.internet.addBetween(spec.apex)
			}
			continue
		}
		for _, p := range parents {
			p.content.(*tree).delegate(child, spec.delegate)
		}
	}
}

// parents returns the variants of the closest written zone above; nil if the closest is generated.
func (l *Lab) parents(apex dns.Name) []*zone {
	for up := apex.Parent(); ; up = up.Parent() {
		if zones := l.written[up]; zones != nil {
			return zones
		}
		if up.IsRoot() {
			return nil
		}
		if l.internet != nil && (l.internet.registries[up] != nil) {
			return nil
		}
	}
}

// delegate adds NS records and in-domain glue for a zone below, unless there are NS records, or something below that says the text
// takes care of itself.
func (t *tree) delegate(below *zone, auto bool) {
	if t.alone {
		return
	}
	if nd := t.nodes[below.apex]; nd != nil && nd.cut {
		nd.child = below
		return
	}
	if !auto {
		return
	}
	theirs := below.content.(*tree)
	ns, _ := theirs.node(below.apex).set(dns.TypeNS)
	for data := range ns.Data.All() {
		t.add(dns.RR{Name: below.apex, Type: dns.TypeNS, TTL: ns.TTL, Data: data})
	}
	for _, host := range targets(ns) {
		if !host.IsWithin(below.apex) {
			continue
		}
		for _, set := range theirs.glue(host) {
			for rr := range set.RRs() {
				t.add(rr)
			}
		}
	}
	t.settle()
	t.nodes[below.apex].child = below
}

func (t *tree) clone() *tree {
	c := newTree(t.apex)
	for n, nd := range t.nodes {
		copied := *nd
		copied.sets = slices.Clone(nd.sets)
		for i := range copied.sets {
			copied.sets[i].Data = slices.Clip(copied.sets[i].Data)
		}
		c.nodes[n] = &copied
	}
	return c
}

// assign finds the servers of the written zones: the addresses of the NS records at their apex and of those that their parents have.
func (l *Lab) assign(specs []*zoneSpec) {
	for apex, variants := range l.written {
		var hosts []dns.Name
		for _, z := range variants {
			ns, _ := z.content.node(apex).set(dns.TypeNS)
			hosts = append(hosts, targets(ns)...)
		}
		if !apex.IsRoot() {
			for _, p := range l.parents(apex) {
				ns, _ := p.content.node(apex).set(dns.TypeNS)
				hosts = append(hosts, targets(ns)...)
			}
		}
		var addrs []netip.Addr
		for _, host := range hosts {
			addrs = append(addrs, l.addresses(host)...)
		}
		for _, spec := range specs {
			if spec.apex == apex {
				addrs = append(append(addrs, spec.servers...), spec.at...)
			}
		}
		slices.SortFunc(addrs, netip.Addr.Compare)
		addrs = slices.Clip(slices.Compact(addrs))
		for _, z := range variants {
			z.addrs = addrs
		}
	}
}

// addresses finds the addresses of a host: in the zone that it is in, or as glue anywhere above.
func (l *Lab) addresses(host dns.Name) []netip.Addr {
	var found []netip.Addr
	if l.internet != nil {
		found = l.internet.addresses(host)
	}
	for up := host; ; up = up.Parent() {
		for _, z := range l.written[up] {
			found = append(found, addressesIn(z.content.glue(host))...)
		}
		if up.IsRoot() {
			return found
		}
	}
}

// addServers makes the servers that do not follow from their address, and applies the sections [server] to those that they name.
func (l *Lab) addServers() error {
	if l.internet != nil {
		for a := range l.internet.serving {
			l.servers[a] = l.newServer(a)
		}
	}
	for _, variants := range l.written {
		for _, z := range variants {
			for _, a := range z.addrs {
				l.addServer(a, !z.apex.IsRoot())
			}
		}
	}
	for _, sc := range l.world.replies {
		for _, a := range sc.servers {
			l.addServer(a, true)
		}
	}
	for _, spec := range l.world.servers {
		addrs, err := l.selected(spec)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			l.addServer(a, true)
			spec.apply(l.servers[a])
		}
		for _, n := range spec.serves {
			if l.written[n] == nil {
				return at(spec.line, "zone %q, which this server serves, is not written", n)
			}
			for _, z := range l.written[n] {
				z.addrs = append(slices.Clip(z.addrs), addrs...)
			}
		}
	}
	return nil
}

// addServer makes the server at an address, with the faults of [defaults] if it is not one of the root.
func (l *Lab) addServer(a netip.Addr, withFaults bool) {
	s := l.servers[a]
	if s != nil {
		return
	}
	s = l.newServer(a)
	if withFaults && !slices.Contains(l.root.addrs, a) {
		s.faults = append(s.faults, l.world.defaults.faults...)
	}
	l.servers[a] = s
}

// selected resolves the selectors of a [server] section.
func (l *Lab) selected(spec *serverSpec) ([]netip.Addr, error) {
	addrs := slices.Clone(spec.addrs)
	for _, host := range spec.hosts {
		found := l.addresses(host)
		if len(found) == 0 {
			return nil, at(spec.line, "server %q has no addresses in this world", host)
		}
		addrs = append(addrs, found...)
	}
	for _, n := range spec.zones {
		zones := l.written[n]
		if zones == nil && l.internet != nil {
			enclosing := l.enclosing(n, netip.Addr{}, 0)
			if z := enclosing[len(enclosing)-1]; z.apex == n {
				zones = []*zone{z}
			}
		}
		if len(zones) == 0 {
			return nil, at(spec.line, "zone %q is not in this world", strings.TrimSuffix(n.String(), "."))
		}
		for _, z := range zones {
			addrs = append(addrs, z.addrs...)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs), nil
}

// apply lays what the section says over the server.
func (v *serverSpec) apply(s *server) {
	if v.latency != [2]time.Duration{} {
		s.latency = s.drawLatency(v.latency)
	}
	if v.jitter >= 0 {
		s.jitter = v.jitter
	}
	if v.loss >= 0 {
		s.loss = v.loss
	}
	s.all = s.all || v.all
	s.faults = append(slices.Clip(s.faults), v.faults...)
}
