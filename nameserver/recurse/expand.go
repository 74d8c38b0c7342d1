package recurse

import (
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Answers from a wildcard without a question (RFC 8198 section 5.3): where cached proofs show that a name does not exist, and that nothing is closer
// to it than a wildcard of which the records are cached, these are its answer. It is the one that its zone would give, proof and signatures included.

// expandable tells whether records of a type are taken from a wildcard here. What a wildcard means that delegates or redirects is left open
// (RFC 4592 sections 4.2 and 4.4); the others belong to names that exist.
func expandable(t dns.Type) bool {
	switch t {
	case dns.TypeNS, dns.TypeDNAME, dns.TypeSOA, dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeRRSIG:
		return false
	}
	return !t.IsMeta()
}

// keepWildcard keeps an RRset that is secure and was expanded from a wildcard once more, at the name where it stands in its zone. Its signature
// is of that name.
func (j *job) keepWildcard(e cache.Entry, f *finding) {
	if e.Security != cache.Secure || f.Wildcard.IsZero() || !expandable(e.Set.Type) {
		return
	}
	star, err := f.Wildcard.Child("*")
	if err != nil {
		return
	}
	e.Set.Name = star.Lower()
	j.r.put(e, j.epoch)
	j.noteHashes(f.Zone, f.proofs)
}

// maxExpandedLabels is how far above a name a wildcard is looked for, in labels, where hashes don't tell how far the closest encloser is: 16 looks
// into the cache take 2 us.
const maxExpandedLabels = 8

// expandHashed is expand for a zone with NSEC3. The wildcard's own records prove that its encloser exists (RFC 5155 section 8.8), so that all that
// has to be found is what covers the name below.
func (d *denier) expandHashed(hashed func(dns.Name) (e cache.Entry, match, ok bool)) bool {
	if !expandable(d.q.Type) {
		return false
	}
	next := d.q.Name
	for range maxExpandedLabels {
		if next.Labels() <= d.zone.Labels() {
			break
		}
		encloser := next.Parent()
		if _, ok := d.wildcard(encloser); ok {
			cover, match, ok := hashed(next)
			return ok && !match && d.expand(encloser, &cover)
		}
		next = encloser
	}
	return false
}

// wildcard returns what the wildcard below a name has to answer the question with: records of the type, or an alias.
func (d *denier) wildcard(encloser dns.Name) (cache.Entry, bool) {
	star, err := encloser.Child("*")
	if err != nil || star.Equal(d.q.Name) {
		return cache.Entry{}, false
	}
	star = star.Lower()
	types := [...]dns.Type{d.q.Type, dns.TypeCNAME}
	n := len(types)
	if d.q.Type == dns.TypeCNAME {
		n = 1
	}
	for _, t := range types[:n] {
		if e, ok := d.r.peek(star, t); ok && d.now < e.Expires && e.Security == cache.Secure && d.signed(&e.Set) {
			return e, true
		}
	}
	return cache.Entry{}, false
}

// expand looks for records of the wildcard below encloser, which is the closest one of the question's name if cover, a proof that was taken, shows
// that nothing is at the name below it.
func (d *denier) expand(encloser dns.Name, cover *cache.Entry) bool {
	if !expandable(d.q.Type) {
		return false
	}
	e, ok := d.wildcard(encloser)
	if !ok {
		return false
	}
	proof := dnssec.NewDenial(d.zone) // of this record alone: it is all that the answer comes with
	if proof.Add(&cover.Set, dnssec.Result{Security: cache.Secure, Zone: d.zone, TTL: cover.Set.TTL}, d.work) != nil ||
		!proof.Expanded(d.q.Name, encloser, d.work).Secure() {
		return false
	}
	e.Set.Name, e.Expires = d.q.Name, min(e.Expires, cover.Expires)
	d.answer, d.used = &e, []dns.RRset{cover.Set}
	return true
}

// signed tells whether the zone of the proofs has signed a set, and no other one.
func (d *denier) signed(set *dns.RRset) bool {
	for data := range set.Sigs.All() {
		if sig, err := dns.ParseRRSIG(data); err != nil || !sig.SignerName.Equal(d.zone) {
			return false
		}
	}
	return set.Sigs.Len() > 0
}
