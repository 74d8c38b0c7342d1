package recurse

import (
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Denials without a question: what was proved for one name is often proved for its neighbours (RFC 8198), and nothing is below a name that does
// not exist (RFC 8020). Both hold for what is secure, and for nothing else: a denial that is not signed may come from a server that gets empty
// non-terminals wrong, or from an attacker who would deny a whole zone by one packet.

// maxHashBlocks is what may be hashed to find the proofs for a denial without a question: 400 blocks of SHA-1 take 25 us, and the check of what was found as
// many once more, which is less than a question costs. That is 36 labels with 10 iterations; RFC 9276 section 3.1 has zones use none.
const maxHashBlocks = 400

// deny answers a question from the proofs of other denials: that there is nothing, or what a wildcard has.
func (r *Resolver) deny(q dns.Question, now time.Duration, o Opts) (outcome, bool) {
	if q.Type == dns.TypeANY || q.Type == dns.TypeRRSIG {
		return outcome{}, false
	}
	top := ownerZoneOf(q.Name, q.Type)
	zone, t, ok := r.nearestSecure(top, o.Table, now)
	if !ok {
		return outcome{}, false
	}
	soa, hasSOA := r.cache.Peek(cache.Key{Name: zone, Type: dns.TypeSOA, Partition: denialSOAs})
	hasSOA = hasSOA && now < soa.Expires
	d := denier{r: r, zone: zone, q: q, now: now, expires: soa.Expires, work: o.Table.validation.Work(r.m.dnssec)}
	kind, ok := d.byNSEC()
	if !ok && d.answer == nil && t.hashes { // a zone that has changed from one to the other a while ago has both
		kind, ok = d.byNSEC3(t)
	}
	if d.answer != nil {
		r.m.expanded.Inc()
		if o.span.on() {
			o.span.event(KindCache, "a cached wildcard stands for "+q.Name.String()+", and cached proofs show that nothing is closer", "zone", zone.String())
		}
		text := "by a wildcard of " + zone.String() + " and cached proofs"
		return outcome{chain: []cache.Entry{*d.answer}, proofs: d.used, edes: []dns.EDE{{Code: dns.EDESynthesized, Text: text}}}, true
	}
	if !ok && !o.Proofs {
		kind, ok = d.below(top)
	}
	if !ok || !hasSOA { // without it nobody knows for how long
		return outcome{}, false
	}
	r.m.denied.Inc()
	out := cache.Denial{
		Name: q.Name, Type: q.Type, Kind: kind, Zone: zone, SOA: soa.Set, Proof: d.used, Security: cache.Secure, Stored: now, Expires: d.expires,
	}
	if kind == cache.NXDomain {
		out.Type = dns.TypeNone
	}
	if o.span.on() {
		o.span.event(KindCache, "proofs that are cached deny it: "+deniedText(&out), "zone", zone.String())
	}
	return outcome{denial: &out, edes: []dns.EDE{{Code: dns.EDESynthesized, Text: "by cached proofs of " + zone.String()}}}, true
}

func deniedText(d *cache.Denial) string { return d.Name.String() + " has no " + deniedWhat(d) }

// nearestSecure returns the closest zone at or above a name whose keys are known.
func (r *Resolver) nearestSecure(name dns.Name, table *Table, now time.Duration) (dns.Name, trust, bool) {
	if r.trusts.len() == 0 {
		return dns.Name{}, trust{}, false
	}
	if _, _, negative := table.NegativeAnchor(name, r.clock.Wall()); negative {
		return dns.Name{}, trust{}, false
	}
	// What the settings put at or above the name is not what the zones above that know of.
	floor := 0
	if a, ok := table.Anchor(name); ok {
		floor = a.Zone.Labels()
	}
	if zone, _, _, ok := table.Lookup(name); ok {
		floor = max(floor, zone.Labels())
	}
	for n := name; n.Labels() >= floor; n = n.Parent() {
		if t, ok := r.trusts.get(trustKey{n, r.space, table.terms}, now); ok {
			return n, t, t.security == cache.Secure && t.zone == n
		}
		if n.IsRoot() {
			break
		}
	}
	return dns.Name{}, trust{}, false
}

// denier gathers proofs for one question.
type denier struct {
	r       *Resolver
	zone    dns.Name
	q       dns.Question
	now     time.Duration
	expires time.Duration // of what was used
	used    []dns.RRset
	proof   *dnssec.Denial
	work    *dnssec.Work
	answer  *cache.Entry // from a wildcard, with the proof that used holds
}

// take looks for the proof of type t at or before a name, and adds it. It was verified before it was kept.
func (d *denier) take(name dns.Name, t dns.Type) (cache.Entry, bool) {
	e, ok := d.r.cache.CoveringDenial(d.zone, name, t)
	if !ok || d.now >= e.Expires || e.Security != cache.Secure {
		return e, false
	}
	for i := range d.used {
		if d.used[i].Name == e.Set.Name {
			return e, true
		}
	}
	if d.proof.Add(&e.Set, dnssec.Result{Security: cache.Secure, Zone: d.zone, TTL: e.Set.TTL}, d.work) != nil {
		return e, false
	}
	d.used, d.expires = append(d.used, e.Set), min(d.expires, e.Expires)
	return e, true
}

func (d *denier) begin() { d.used, d.proof = nil, dnssec.NewDenial(d.zone) }

// verdict says what the proofs that were gathered amount to.
func (d *denier) verdict() (cache.DenialKind, bool) {
	if d.proof.NXDomain(d.q.Name, d.work).Secure() {
		return cache.NXDomain, true
	}
	return cache.NoData, d.proof.NoData(d.q.Name, d.q.Type, d.work).Secure()
}

func (d *denier) byNSEC() (cache.DenialKind, bool) {
	d.begin()
	e, ok := d.take(d.q.Name, dns.TypeNSEC)
	if !ok {
		return 0, false
	}
	if e.Set.Name != d.q.Name { // the name is not there: what about a wildcard?
		n, err := dns.ParseNSEC(e.Set.Data.First())
		if err != nil {
			return 0, false
		}
		encloser := d.q.Name.Ancestor(max(d.q.Name.CommonLabels(e.Set.Name), d.q.Name.CommonLabels(n.NextName)))
		if d.expand(encloser, &e) {
			return 0, false
		}
		if star, err := encloser.Child("*"); err == nil {
			d.take(star.Lower(), dns.TypeNSEC)
		}
	}
	return d.verdict()
}

func (d *denier) byNSEC3(t trust) (cache.DenialKind, bool) {
	d.begin()
	blocks := 0
	hashed := func(name dns.Name) (cache.Entry, bool, bool) {
		if blocks += dnssec.NSEC3Blocks(name, t.iterations, []byte(t.salt)); blocks > maxHashBlocks {
			d.r.m.limits.With("hash_blocks").Inc()
			return cache.Entry{}, false, false
		}
		h, err := d.zone.Child(dnssec.NSEC3Label(name, t.iterations, []byte(t.salt)))
		if err != nil {
			return cache.Entry{}, false, false
		}
		h = h.Lower()
		e, ok := d.take(h, dns.TypeNSEC3)
		return e, ok && e.Set.Name == h, ok
	}
	if d.expandHashed(hashed) {
		return 0, false
	}
	for n := d.q.Name; n.Labels() >= d.zone.Labels(); n = n.Parent() {
		_, match, ok := hashed(n)
		if !ok {
			return 0, false
		}
		if match {
			if n != d.q.Name {
				if star, err := n.Child("*"); err == nil {
					hashed(star.Lower())
				}
			}
			return d.verdict()
		}
		if n.IsRoot() {
			break
		}
	}
	return 0, false
}

// below looks for an ancestor that is proved not to exist (RFC 8020). Its proofs need not be any for the name itself.
func (d *denier) below(top dns.Name) (cache.DenialKind, bool) {
	for n := top.Parent(); n.Labels() > d.zone.Labels(); n = n.Parent() {
		e, ok := d.r.cache.PeekDenial(n, dns.TypeNone)
		if ok && d.now < e.Expires && e.Security == cache.Secure && e.Kind == cache.NXDomain && e.Zone == d.zone {
			d.used, d.expires = e.Proof, min(d.expires, e.Expires)
			return cache.NXDomain, true
		}
	}
	return 0, false
}

// nxname tells whether the records of a denial say in the way of RFC 9824 that a name does not exist: by one of its own with the type NXNAME,
// which no other record has. That it is an NSEC3 record's own name would take a hash; the name that was asked is the only one that a server has it for.
func nxname(name dns.Name, proofs []dns.RRset) bool {
	for i := range proofs {
		switch p := &proofs[i]; p.Type {
		case dns.TypeNSEC:
			if n, err := dns.ParseNSEC(p.Data.First()); err == nil && p.Name == name && n.Types.Has(dns.TypeNXNAME) {
				return true
			}
		case dns.TypeNSEC3:
			if n, err := dns.ParseNSEC3(p.Data.First()); err == nil && n.Types.Has(dns.TypeNXNAME) {
				return true
			}
		}
	}
	return false
}
