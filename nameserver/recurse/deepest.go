package recurse

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// delegation is a zone and who answers for it.
type delegation struct {
	zone  dns.Name
	from  source
	names []nsName         // by NS record, with the addresses that are known
	fixed []netip.AddrPort // of a stub, forward or group
	group string           // whose they are; "": no group's
	fresh bool             // what the cache knows of its servers' addresses is not used
	until time.Duration    // boot time: a delegation never outlives the parent's TTL (ghost domains)
}

// nsName is one name server of a delegation.
type nsName struct {
	name  dns.Name
	addrs []netip.Addr
}

// source says how a delegation is known.
type source uint8

const (
	fromHints source = iota
	fromReferral
	fromStub
	fromForward
	fromLocal
)

var sourceNames = [...]string{"root hints", "delegation", "stub", "forward", "local root"}

func (s source) String() string { return sourceNames[s] }

// deepest returns the closest zone above (or at) the question's name whose servers are known: a stub or forward of the
// settings, else the cached delegation with the most labels, else the local root, else the root hints. A question for DS is the parent's to answer.
func (r *Resolver) deepest(t *Table, q dns.Question, fresh Fresh) *delegation {
	name := q.Name
	if q.Type == dns.TypeDS && !name.IsRoot() {
		name = name.Parent()
	}
	floor := dns.Name{} // a stub or forward here: no delegation above it is of interest
	zone, servers, kind, ok := t.Lookup(name)
	if ok {
		floor = zone
	}
	if fresh != FreshAll {
		now := r.clock.Boot()
		for n := name; ; n = n.Parent() {
			// At the stub or forward itself it wins over what the world says of that zone; below a forward nothing is
			// delegated, for the forwarder answers all.
			if ok && (n == floor || kind == KindForward) {
				break
			}
			if n.IsRoot() && r.localUsable(t) {
				break
			}
			if d := r.cachedDelegation(n, now); d != nil {
				return d
			}
			if n.IsRoot() {
				break
			}
		}
	}
	if ok {
		from := fromStub
		if kind == KindForward {
			from = fromForward
		}
		return &delegation{zone: zone, from: from, fixed: servers, group: t.groupOf(zone)}
	}
	if r.localUsable(t) {
		return &delegation{zone: dns.Root, from: fromLocal}
	}
	return r.hints(t)
}

// hints is the delegation of the root that the settings name.
func (r *Resolver) hints(t *Table) *delegation {
	d := &delegation{zone: dns.Root, from: fromHints}
	for _, h := range t.Hints() {
		d.names = append(d.names, nsName{h.Name, h.Addrs})
	}
	return d
}

// cachedDelegation returns the delegation of zone, if one is cached and alive, with the addresses that are known of its
// servers.
func (r *Resolver) cachedDelegation(zone dns.Name, now time.Duration) *delegation {
	room := r.rooms.Get().(*room)
	defer r.rooms.Put(room)
	e, ok := r.cache.PeekAt(cache.Key{Name: zone, Type: dns.TypeNS, Partition: delegations}, now, room[:0])
	if !ok || now >= e.Expires {
		return nil
	}
	d := &delegation{zone: zone, from: fromReferral, until: e.Expires, names: make([]nsName, 0, e.Set.Data.Len())}
	for data := range e.Set.Data.All() {
		if n, ok := dns.RdataName(dns.TypeNS, data); ok {
			d.names = append(d.names, nsName{name: n.Lower()})
		}
	}
	return d
}

// delegations is the partition of the cache that holds NS records as parents gave them. They are never given as answers, and a
// child's own NS records never change them.
const delegations = 1

// room is memory for the data of a look-up whose result is not kept. What is larger gets memory of its own.
type room [1024]byte

// usualAddresses is how many most zones have at most: four name servers of two families.
const usualAddresses = 8

// addresses fills in the addresses of the name servers that the cache knows, at any rank: glue is good enough to find a
// server, and for nothing else. At most limit addresses in all.
func (r *Resolver) addresses(d *delegation, t *Table, now time.Duration) (out []candidate, never []netip.Addr) {
	full := false
	out = make([]candidate, 0, min(t.Limits.Addresses, usualAddresses))
	add := func(name dns.Name, a netip.AddrPort) {
		ip := a.Addr()
		if ip.Is4() && !t.IPv4 || ip.Is6() && !t.IPv6 {
			return
		}
		for i := range out {
			if out[i].server == a {
				return
			}
		}
		if len(out) >= t.Limits.Addresses {
			full = true
			return
		}
		out = append(out, candidate{server: a, name: name, fact: r.servers.of(a, now)})
	}
	for _, a := range d.fixed { // of the settings: exempt from never_query
		add(dns.Name{}, a)
	}
	for i := range d.names {
		if i >= t.Limits.NSNames {
			r.m.limits.With("ns_names").Inc()
			break
		}
		ns := &d.names[i]
		if d.from == fromReferral && !d.fresh && len(ns.addrs) == 0 {
			ns.addrs = r.cachedAddresses(ns.name, now)
		}
		for _, a := range ns.addrs {
			if t.NeverQuery(a) {
				never = append(never, a)
				continue
			}
			add(ns.name, netip.AddrPortFrom(a, dnsPort))
		}
	}
	if full {
		r.m.limits.With("addresses").Inc()
	}
	return out, never
}

const dnsPort = 53

// cachedAddresses returns what is known of a name server's addresses: for each family what its own zone said, else the
// glue that came with a delegation and lives as long as that does.
func (r *Resolver) cachedAddresses(name dns.Name, now time.Duration) []netip.Addr {
	out := make([]netip.Addr, 0, 2)
	room := r.rooms.Get().(*room)
	defer r.rooms.Put(room)
	for _, typ := range [...]dns.Type{dns.TypeA, dns.TypeAAAA} {
		for _, partition := range [...]uint32{0, delegations} {
			e, ok := r.cache.PeekAt(cache.Key{Name: name, Type: typ, Partition: partition}, now, room[:0])
			if ok && now < e.Expires {
				out = appendAddrs(out, e.Set.Data)
				break
			}
		}
	}
	return out
}

func appendAddrs(out []netip.Addr, data dns.Records) []netip.Addr {
	for d := range data.All() {
		if a, ok := netip.AddrFromSlice(d); ok {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// describe says for the trace who is asked.
func (d *delegation) describe() string {
	switch d.from {
	case fromLocal:
		return "the local root"
	case fromStub, fromForward:
		if d.group != "" {
			return fmt.Sprintf("group %s (%v %v): %v", d.group, d.from, d.zone, d.fixed)
		}
		return fmt.Sprintf("%v %v: %v", d.from, d.zone, d.fixed)
	}
	return fmt.Sprintf("zone %v, %d name servers, from %v", d.zone, len(d.names), d.from)
}
