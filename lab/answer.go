package lab

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// maxAliases bounds the CNAME and DNAME records that one reply follows; BIND stops at 16 as well.
const maxAliases = 16

// view is the world as one server shows it at one time.
type view struct {
	lab    *Lab
	server netip.Addr
	since  time.Duration // since the carrier began
	all    bool          // a recursive server: it answers from all zones
	co     bool          // the client takes NXDOMAIN with a compact denial (RFC 9824 section 5.1)

	unproved purpose // what remains without proof
}

// zoneFor returns the deepest zone at or above name that the server serves, nil if there is none. DS is the parent's, if the server
// serves that too (RFC 4035 section 3.1.4.1).
func (v view) zoneFor(name dns.Name, t dns.Type) *zone {
	var found *zone
	for _, z := range v.lab.enclosing(name, v.server, v.since) {
		if t == dns.TypeDS && z.apex == name && found != nil {
			break
		}
		if v.all || z.serves(v.server) {
			found = z
		}
	}
	return found
}

// authoritative answers as RFC 1034 section 4.3.2, RFC 4035 section 3.1 and RFC 5155 section 7.2 have it. It returns nil if the server
// serves no zone for the name.
func (v view) authoritative(name dns.Name, t dns.Type, do bool) *reply {
	w := writer{view: v, qtype: t, do: do, reply: &reply{aa: true}}
	for range maxAliases {
		z := v.zoneFor(name, t)
		if z == nil {
			break
		}
		w.zone = z
		next := w.answer(name)
		if next.IsZero() {
			return w.reply
		}
		name = next
	}
	if len(w.reply.answer) == 0 {
		return nil
	}
	return w.reply // an alias to where this server knows nothing, or too many
}

// writer builds one reply.
type writer struct {
	view
	zone  *zone
	qtype dns.Type
	do    bool
	reply *reply
}

// signed returns the set with its signature, if the client wants it.
func (w *writer) signed(s dns.RRset, owner dns.Name) dns.RRset {
	if !w.do {
		return s
	}
	return w.zone.sign(s, owner)
}

// answer adds what the zone says about name. An alias gives the name to go on with.
func (w *writer) answer(name dns.Name) (next dns.Name) {
	z := w.zone
	labels := name.Labels()
	var here node
	for i := z.apex.Labels(); i <= labels; i++ {
		at := name.Ancestor(i)
		here = z.node(at)
		switch {
		case here.cut && (i < labels || w.qtype != dns.TypeDS):
			w.referral(at, here)
			return dns.Name{}
		case !here.exists():
			return w.missing(name, at)
		case i < labels:
			if d, ok := here.set(dns.TypeDNAME); ok {
				return w.dname(name, d)
			}
		}
	}
	return w.found(name, name, here)
}

// found answers from a node; owner is the wildcard that name was expanded from, or name itself.
func (w *writer) found(name, owner dns.Name, nd node) (next dns.Name) {
	add := func(s dns.RRset) {
		if s.Type == dns.TypeZONEMD && name == w.zone.apex && !w.zone.digests.off() {
			s = w.zone.digested()
		}
		s = w.signed(s, owner)
		s.Name = name
		w.reply.answer = append(w.reply.answer, s)
	}
	if c, ok := nd.set(dns.TypeCNAME); ok && w.qtype != dns.TypeCNAME && w.qtype != dns.TypeANY && w.qtype != dns.TypeRRSIG {
		add(c)
		w.expanded(name, owner)
		to := targets(c)
		if len(to) == 0 || slices.ContainsFunc(w.reply.answer, func(s dns.RRset) bool { return s.Name == to[0] }) {
			return dns.Name{} // the loop is closed
		}
		return to[0]
	}
	switch w.qtype {
	case dns.TypeANY:
		for _, s := range nd.sets {
			add(s)
		}
	case dns.TypeRRSIG:
		for _, s := range nd.sets {
			s = w.zone.sign(s, owner)
			if len(s.Sigs) > 0 {
				s.Name, s.Type, s.Data, s.Sigs = name, dns.TypeRRSIG, s.Sigs, nil
				w.reply.answer = append(w.reply.answer, s)
			}
		}
	case dns.TypeNSEC:
		if !w.zone.signing.off() && !w.zone.signing.nsec3 && !nd.empty {
			add(w.zone.nsecMatch(owner, nd))
		}
	default:
		if s, ok := nd.set(w.qtype); ok {
			add(s)
			w.addresses(s)
		}
	}
	if len(w.reply.answer) == 0 || w.reply.answer[len(w.reply.answer)-1].Name != name {
		w.noData(name, owner, nd)
	} else {
		w.expanded(name, owner)
	}
	return dns.Name{}
}

// expanded proves, if owner is a wildcard, that it was the closest match.
func (w *writer) expanded(name, owner dns.Name) {
	if owner != name {
		w.deny(func(z *zone) []proof { return z.denyExpansion(name.Ancestor(owner.Labels()), name) })
	}
}

// addresses adds what the zone knows of the hosts that the answer names (RFC 1035 section 3.3.9, RFC 2782).
func (w *writer) addresses(s dns.RRset) {
	prefix, ok := map[dns.Type]int{dns.TypeNS: 0, dns.TypeMX: 2, dns.TypeSRV: 6}[s.Type]
	if !ok {
		return
	}
	for data := range s.Data.All() {
		host, _, err := dns.UnpackName(data, min(prefix, len(data)))
		if err != nil || !host.IsWithin(w.zone.apex) {
			continue
		}
		for _, a := range w.zone.content.glue(host.Lower()) {
			if w.authoritativeFor(host.Lower()) {
				a = w.signed(a, a.Name)
			}
			w.reply.additional = append(w.reply.additional, a)
		}
	}
}

// authoritativeFor tells whether name, in the zone, is not below a cut.
func (w *writer) authoritativeFor(name dns.Name) bool {
	for i := w.zone.apex.Labels() + 1; i <= name.Labels(); i++ {
		if w.zone.content.node(name.Ancestor(i)).cut {
			return false
		}
	}
	return true
}

// missing deals with a name whose ancestor (or which itself) does not exist: a wildcard, or a name error.
func (w *writer) missing(name, absent dns.Name) (next dns.Name) {
	encloser := absent.Parent()
	star := child("*", encloser)
	if nd := w.zone.node(star); star != encloser && nd.exists() {
		if w.zone.signing.compact { // signed like a name that exists (RFC 9824 section 3.4)
			star = name
		}
		return w.found(name, star, nd)
	}
	if !w.zone.signing.compact || !w.do || w.co {
		w.reply.rcode = dns.RCodeNameError
	}
	w.negative()
	w.deny(func(z *zone) []proof { return z.denyName(encloser, absent, name) })
	return dns.Name{}
}

func (w *writer) noData(name, owner dns.Name, nd node) {
	w.negative()
	w.deny(func(z *zone) []proof {
		if owner != name {
			return z.denyWildcardType(owner.Parent(), name.Ancestor(owner.Labels()), name, nd)
		}
		return z.denyType(name, nd)
	})
}

// negative adds the SOA record (RFC 2308 section 2).
func (w *writer) negative() {
	w.reply.authority = append(w.reply.authority, w.signed(w.zone.soa(), w.zone.apex))
}

// deny adds signed proofs to the authority section.
func (w *writer) deny(proofs func(*zone) []proof) {
	if !w.do || w.zone.signing.off() || w.zone.signing.unsigned() {
		return
	}
	for _, s := range distinct(proofs(w.zone), w.unproved) {
		if !slices.ContainsFunc(w.reply.authority, func(o dns.RRset) bool { return o.Name == s.Name && o.Type == s.Type }) {
			w.reply.authority = append(w.reply.authority, w.signed(s, s.Name))
		}
	}
}

// referral points to the servers of a zone below (RFC 1034 section 4.3.2 step 3b), with its DS set or the proof that there is none
// (RFC 4035 section 3.1.4) and glue.
func (w *writer) referral(at dns.Name, nd node) {
	if len(w.reply.answer) == 0 {
		w.reply.aa = false
	}
	ns, _ := nd.set(dns.TypeNS)
	w.reply.authority = append(w.reply.authority, ns)
	if ds, ok := nd.set(dns.TypeDS); ok {
		if w.do {
			w.reply.authority = append(w.reply.authority, w.signed(ds, at))
		}
	} else {
		w.deny(func(z *zone) []proof { return z.denyType(at, nd) })
	}
	// Glue below the cut first: a referral without it is useless.
	hosts := targets(ns)
	for _, below := range []bool{true, false} {
		for _, host := range hosts {
			if host.IsWithin(at) == below && host.IsWithin(w.zone.apex) {
				w.reply.additional = append(w.reply.additional, w.zone.content.glue(host)...)
			}
		}
		if below {
			w.reply.needed = len(w.reply.additional)
		}
	}
}

// dname redirects the names below it (RFC 6672 section 3.2).
func (w *writer) dname(name dns.Name, d dns.RRset) (next dns.Name) {
	w.reply.answer = append(w.reply.answer, w.signed(d, d.Name))
	to := targets(d)
	if len(to) == 0 {
		return dns.Name{}
	}
	next, err := name.ReplaceSuffix(d.Name, to[0])
	if err != nil {
		w.reply.rcode = dns.RCodeYXDomain
		return dns.Name{}
	}
	w.reply.answer = append(w.reply.answer, nameSet(name, dns.TypeCNAME, d.TTL, next))
	return next
}
