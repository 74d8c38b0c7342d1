package recurse

import (
	"context"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// What was kept without being validated, because who asked set CD, or because it was met on the way to something else, is validated when
// somebody wants it who did not. What turns out bogus is asked for as if it were not there.

// fromCache validates what the cache holds unchecked, if it holds anything.
func (j *job) fromCache(ctx context.Context) (outcome, bool) {
	if j.key.cd || j.key.fresh != FreshNot || j.q.Type == dns.TypeANY || j.q.Type == dns.TypeRRSIG {
		return outcome{}, false
	}
	now := j.r.clock.Boot()
	for _, t := range [...]dns.Type{j.q.Type, dns.TypeCNAME} {
		if e, ok := j.r.peek(j.q.Name, t); ok && now < e.Expires && e.Security == cache.Unchecked {
			return j.upgrade(ctx, e, now)
		}
	}
	if e, ok := j.r.throughDNAME(j.q.Name, now); ok && e.Security == cache.Unchecked {
		return j.upgrade(ctx, e, now)
	}
	d, ok := j.r.cache.PeekDenial(j.q.Name, j.q.Type)
	if !ok || now >= d.Expires || d.Security != cache.Unchecked || d.SOA.Data == nil {
		return outcome{}, false
	}
	return j.upgradeDenial(ctx, d)
}

func (j *job) upgrade(ctx context.Context, e cache.Entry, now time.Duration) (outcome, bool) {
	proofs, _ := j.r.proofsOf(&e, now)
	c := j.check(ctx, material{zone: zoneOr(e.Zone), q: j.q, end: e.Set.Name, chain: []dns.RRset{e.Set}, proofs: proofs})
	if c.bogus != nil {
		return outcome{}, false
	}
	j.grade(&e, &c.sets[0])
	j.r.put(e, j.epoch)
	j.keepWildcard(e, &c.sets[0])
	if e.Set.Type == dns.TypeDNAME {
		j.keepSynthesised(j.q.Name, e, true)
	}
	out := outcome{chain: []cache.Entry{e}, edes: j.reasons(&c)}
	if c.sets[0].Secure() {
		proofs = c.sets[0].proofs
	}
	if len(proofs) > 0 {
		out.proofs = proofs
		j.keepProofs(e, proofs)
	}
	return out, true
}

func (j *job) upgradeDenial(ctx context.Context, d cache.Denial) (outcome, bool) {
	m := material{zone: zoneOr(d.Zone), q: j.q, what: isNoData, end: d.Name, soa: d.SOA, proofs: d.Proof}
	if d.Kind == cache.NXDomain {
		m.what = isNXDomain
	}
	c := j.check(ctx, m)
	what := c.denied(m.what)
	if c.bogus != nil || what == isNoData && m.what != isNoData {
		return outcome{}, false
	}
	if what == isNXDomain {
		d.Kind, d.Type = cache.NXDomain, dns.TypeNone
	}
	j.gradeDenial(&d, &c.denial)
	if c.proofs != nil {
		d.Proof = c.proofs
	}
	j.keepDenial(d, d.Rank)
	return outcome{denial: &d, edes: j.reasons(&c)}, true
}

// zoneOr is the zone for which a server answered, as far as the cache knows it.
func zoneOr(zone dns.Name) dns.Name {
	if zone.IsZero() {
		return dns.Root
	}
	return zone
}
