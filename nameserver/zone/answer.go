package zone

import (
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// Answer is what an authoritative server of the zone replies to a question over TCP (RFC 1034 section 4.3.2, RFC 4035 section 3.1): a whole
// message, with the question as it is given and id 0. do tells whether it has signatures and proofs. A question for a name outside of the zone, or for
// what no zone has, is refused.
func (z *Zone) Answer(q dns.Question, do bool) []byte {
	r := reply{z: z, q: q, do: do}
	name := q.Name.Lower()
	switch {
	case q.Class != dns.ClassINET, q.Type.IsMeta() && q.Type != dns.TypeANY, q.Name.IsZero(), !name.IsWithin(z.apex):
		r.begin(dns.RCodeRefused, 0)
		return r.b.Finish()
	}
	r.answer(name)
	return r.b.Finish()
}

// reply is one reply while it is written.
type reply struct {
	z  *Zone
	q  dns.Question
	do bool
	b  dns.Builder

	proofs []dns.Name // owners of the proofs that are there already
}

func (r *reply) begin(rcode dns.RCode, flags dns.Flags) {
	r.b.Start(nil, dns.MaxMessageLen, 0, dns.FlagQR|flags|dns.Flags(rcode))
	r.b.Question(r.q)
}

// add writes a set. What does not fit into 64 KiB makes the reply a truncated one, which is of no use, as over TCP.
func (r *reply) add(s dns.Section, owner dns.Name, set *dns.RRset, signed bool) {
	if !r.b.AddRRset(s, owner, set, set.TTL, r.do && signed) {
		r.b.SetFlags(dns.FlagTC)
	}
}

// answer looks from the apex down: for a delegation or a DNAME on the way, for the name itself, for a wildcard that stands for it.
func (r *reply) answer(name dns.Name) {
	z, labels := r.z, name.Labels()
	for i := z.apex.Labels(); ; i++ {
		at := name.Ancestor(i)
		n, empty := z.node(at)
		switch {
		case n == nil && !empty:
			r.missing(name, at)
			return
		case n != nil && n.cut && (i < labels || r.q.Type != dns.TypeDS):
			r.referral(n)
			return
		case i == labels:
			r.begin(dns.RCodeSuccess, dns.FlagAA)
			r.found(name, n, dns.Name{})
			return
		}
		if d, ok := z.set(n, dns.TypeDNAME); ok {
			r.redirect(name, &d)
			return
		}
	}
}

// found answers with what a node has, for a name that is the node's or was expanded from it: then next is the name one label below the
// closest encloser, of which it is to be proved that it does not exist.
func (r *reply) found(name dns.Name, n *node, next dns.Name) {
	answered := false
	add := func(s *dns.RRset) {
		answered = true
		r.add(dns.Answer, name, s, true)
	}
	cname, alias := r.z.set(n, dns.TypeCNAME)
	switch {
	case alias && r.q.Type != dns.TypeCNAME && r.q.Type != dns.TypeANY && r.q.Type != dns.TypeRRSIG && r.q.Type != dns.TypeNSEC:
		add(&cname)
	case n == nil:
	case r.q.Type == dns.TypeANY:
		r.z.each(n, func(s *dns.RRset) bool {
			add(s)
			return true
		})
	case r.q.Type == dns.TypeRRSIG:
		r.z.each(n, func(s *dns.RRset) bool {
			if len(s.Sigs) > 0 {
				add(&dns.RRset{Type: dns.TypeRRSIG, Class: dns.ClassINET, TTL: s.TTL, Data: s.Sigs})
			}
			return true
		})
	default:
		if s, ok := r.z.set(n, r.q.Type); ok {
			add(&s)
		}
	}
	if answered {
		if !next.IsZero() {
			r.proveAbsent(next)
		}
		if ns, ok := r.z.set(n, dns.TypeNS); ok && r.q.Type == dns.TypeNS {
			r.addresses(&ns)
		}
		return
	}
	r.soa()
	if n == nil {
		r.proveAbsent(name) // an empty non-terminal owns no NSEC record
		return
	}
	r.prove(n)
	if !next.IsZero() {
		r.proveAbsent(next)
	}
}

// missing answers for a name that is not there: by the wildcard below the closest encloser, the parent of absent, or not at all.
func (r *reply) missing(name, absent dns.Name) {
	star, err := absent.Parent().Child("*")
	if err == nil {
		n, empty := r.z.node(star)
		if n != nil || empty {
			r.begin(dns.RCodeSuccess, dns.FlagAA)
			r.found(name, n, absent)
			return
		}
	}
	r.begin(dns.RCodeNameError, dns.FlagAA)
	r.soa()
	r.proveAbsent(name)
	if err == nil {
		r.proveAbsent(star)
	}
}

// soa writes the SOA record of a denial, with the TTL of RFC 2308 section 3.
func (r *reply) soa() {
	apex, _ := r.z.node(r.z.apex)
	s, _ := r.z.set(apex, dns.TypeSOA)
	s.TTL = min(s.TTL, r.z.soa.Minimum)
	r.add(dns.Authority, r.z.apex, &s, true)
}

// prove writes the NSEC record of a node, once.
func (r *reply) prove(n *node) {
	s, ok := r.z.set(n, dns.TypeNSEC)
	if !r.do || !ok || slices.Contains(r.proofs, n.name) {
		return
	}
	r.proofs = append(r.proofs, n.name)
	r.add(dns.Authority, n.name, &s, true)
}

// proveAbsent writes the NSEC record that covers a name which owns nothing: that of the last name before it which has one.
func (r *reply) proveAbsent(name dns.Name) {
	if len(r.z.nsec) == 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(r.z.nsec, name, func(at uint32, n dns.Name) int { return r.z.nodes[at].name.Compare(n) })
	r.prove(&r.z.nodes[r.z.nsec[max(i, 1)-1]])
}

// referral writes the NS records of a delegation, its DS records or the proof that it has none, and the addresses that are known of its servers.
func (r *reply) referral(n *node) {
	r.begin(dns.RCodeSuccess, 0)
	ns, _ := r.z.set(n, dns.TypeNS)
	r.add(dns.Authority, n.name, &ns, false)
	if ds, ok := r.z.set(n, dns.TypeDS); !ok {
		r.prove(n)
	} else if r.do {
		r.add(dns.Authority, n.name, &ds, true)
	}
	r.addresses(&ns)
}

// addresses writes what the zone knows of name servers, glue and its own.
func (r *reply) addresses(ns *dns.RRset) {
	for d := range ns.Data.All() {
		host, ok := dns.RdataName(dns.TypeNS, d)
		if !ok {
			continue
		}
		n, _ := r.z.node(host.Lower())
		for _, t := range [...]dns.Type{dns.TypeA, dns.TypeAAAA} {
			if s, ok := r.z.set(n, t); ok {
				r.b.AddRRset(dns.Additional, n.name, &s, s.TTL, r.do) // what does not fit is left out
			}
		}
	}
}

// redirect answers with a DNAME, and the CNAME that it makes (RFC 6672 section 3.1). Whoever asks goes on by himself.
func (r *reply) redirect(name dns.Name, d *dns.RRset) {
	target, _ := dns.RdataName(dns.TypeDNAME, d.Data.First())
	to, err := name.ReplaceSuffix(d.Name, target)
	if err != nil {
		r.begin(dns.RCodeYXDomain, dns.FlagAA)
		r.add(dns.Answer, d.Name, d, true)
		return
	}
	r.begin(dns.RCodeSuccess, dns.FlagAA)
	r.add(dns.Answer, d.Name, d, true)
	cname := dns.RRset{Type: dns.TypeCNAME, Class: dns.ClassINET, TTL: d.TTL, Data: dns.Records{}.Append([]byte(to.Wire()))}
	r.add(dns.Answer, name, &cname, false)
}
