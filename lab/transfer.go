package lab

import (
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// The root zone may be transferred (RFC 5936) from each of its servers, over TCP, as from several of the real ones. Other zones may not.

// transferMessage is how many octets a message of a transfer has, at most, but for a set that is longer: what compression reaches.
const transferMessage = compressionReach

// records lists all sets of the zone with their signatures: the SOA set first, the others in canonical order, delegations and glue included.
func (z *zone) records() []dns.RRset {
	names := slices.Clone(z.content.chain())
	for _, n := range z.glued(names) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, dns.Name.Compare)
	var soa, sets []dns.RRset
	for _, n := range names {
		nd := z.node(n)
		below := z.occluded(n)
		if below {
			nd.sets = z.content.glue(n)
		}
		for _, s := range nd.sets {
			if s.Type == dns.TypeZONEMD && !z.digests.off() {
				continue // whoever wants it adds it
			}
			if !below && (!nd.cut || s.Type == dns.TypeDS) {
				s = z.sign(s, n)
			}
			if s.Type == dns.TypeSOA {
				soa = append(soa, s)
			} else {
				sets = append(sets, s)
			}
		}
		if !z.signing.off() && !z.signing.nsec3 && !below && !nd.empty {
			sets = append(sets, z.sign(z.nsecMatch(n, nd), n))
		}
	}
	if z.signing.nsec3 {
		z.linked()
		for _, h := range z.hashes {
			s := z.nsec3Match(h.name)
			sets = append(sets, z.sign(s, s.Name))
		}
	}
	return append(soa, sets...)
}

// glued lists the names of the servers of the zone and of those that it delegates to, as far as the zone knows their addresses, and all
// else that was written below a delegation.
func (z *zone) glued(names []dns.Name) []dns.Name {
	seen := map[dns.Name]bool{}
	var all []dns.Name
	add := func(n dns.Name) {
		if !seen[n] && n.IsWithin(z.apex) && len(z.content.glue(n)) > 0 {
			seen[n] = true
			all = append(all, n)
		}
	}
	for _, n := range names {
		if ns, ok := z.content.node(n).set(dns.TypeNS); ok {
			for _, host := range targets(ns) {
				add(host)
			}
		}
	}
	if t, ok := z.content.(*tree); ok {
		for n := range t.nodes {
			if t.below(n) {
				add(n)
			}
		}
	}
	return all
}

// occluded tells whether a name is below a delegation.
func (z *zone) occluded(n dns.Name) bool {
	for i := z.apex.Labels() + 1; i < n.Labels(); i++ {
		if z.content.node(n.Ancestor(i)).cut {
			return true
		}
	}
	return false
}

// transferred returns the zone that the question asks to be transferred; nil if that is not to be, or a fault says something else.
func (x *exchange) transferred() *zone {
	if !x.transfers() || x.server.all || slices.ContainsFunc(x.faults, func(f *fault) bool { return f.kind.instead != nil }) {
		return nil
	}
	return x.view().zoneFor(x.q.name, x.q.qtype)
}

func (x *exchange) transfers() bool {
	q := &x.q
	return x.tcp && !q.bad && q.opcode == dns.OpcodeQuery && q.class == dns.ClassINET && q.qtype == dns.TypeAXFR && q.name.IsRoot()
}

// transfer sends a zone: its SOA record, all others, and the SOA record again (RFC 5936 section 2.2).
func (x *exchange) transfer(z *zone) []packet {
	sets := z.records()
	end := sets[0]
	end.Sigs = nil // this time it is only a mark
	if !z.digests.off() {
		sets = append(sets, z.sign(z.digested(), z.apex))
	}
	for _, f := range x.faults {
		sets = f.spoil(sets)
	}
	sets = append(sets, end)
	var out []packet
	for len(sets) > 0 {
		n, size := 0, 0
		for n < len(sets) && (n == 0 || size+setLen(sets[n]) < transferMessage) {
			size += setLen(sets[n])
			n++
		}
		im, err := pack(&reply{aa: true, answer: sets[:n]}, x.q.sent, x.q.name)
		if err != nil {
			return []packet{x.packet(0, bare(&x.q, dns.RCodeServerFailure, x.opt))}
		}
		sets = sets[n:]
		out = append(out, x.packet(0, im.message(&x.q, edns{}, maxMessage)))
	}
	return out
}

// setLen is how long a set is at most in a message.
func setLen(s dns.RRset) int {
	return (s.Data.Len()+s.Sigs.Len())*(s.Name.Len()+10) + len(s.Data) + len(s.Sigs)
}

// spoil changes what is transferred.
func (f *fault) spoil(sets []dns.RRset) []dns.RRset {
	alter := func(t dns.Type) { // one record
		for i, s := range sets {
			if s.Type == t && (len(s.Sigs) == 0 || t == dns.TypeDS) {
				sets[i].Data = slices.Clone(s.Data)
				sets[i].Data[len(s.Data)-1] ^= 1
				break
			}
		}
	}
	switch f.as {
	case "tamper": // what nobody has signed
		alter(dns.TypeA)
	case "forge": // what is signed
		alter(dns.TypeDS)
	case "strip": // what would show it
		sets = slices.DeleteFunc(sets, func(s dns.RRset) bool { return s.Type == dns.TypeZONEMD })
	}
	return sets
}

// endEarly ends a transfer after so many messages.
func endEarly(x *exchange, f *fault, out []packet) []packet {
	if f.as != "cut" && f.as != "stall" {
		return out
	}
	n := min(f.n, len(out)-1)
	if f.as == "stall" {
		return out[:n]
	}
	if n == 0 {
		x.hang = true
		return out[:1]
	}
	out[n-1].end = true
	return out[:n]
}
