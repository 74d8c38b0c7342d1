package recurse

import (
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// keepReferral stores a delegation and returns it. NS records and glue go into a partition of their own: they lead to servers and are
// never an answer. All of it lives as long as the parent said the delegation does, and is not renewed by anything that
// the child says (ghost domains), nor longer than the delegation of the zone that it was learned from (phoenix domains, CVE-2022-30698). DS is the parent's own data and is kept as such.
func (j *job) keepReferral(rep *reply, k *kept, from *delegation) *delegation {
	r, now := j.r, j.r.clock.Boot()
	until := now + min(time.Duration(k.ns.TTL)*time.Second, j.table.MaxTTL) // cache.min_ttl is not for delegations
	if from.from == fromReferral {
		until = min(until, from.until)
	}
	d := &delegation{zone: rep.v.cut, from: fromReferral, until: until, fresh: j.key.fresh == FreshAll}
	dsUntil := now + j.ttl(k.ds.TTL)
	if k.ds.Data == nil && len(k.proofs) > 0 {
		ttl := k.proofs[0].TTL
		for i := range k.proofs {
			ttl = min(ttl, k.proofs[i].TTL)
		}
		dsUntil = now + min(j.ttl(ttl), j.table.NegativeMaxTTL)
	}
	if j.table.validate && (k.ds.Data != nil || len(k.proofs) > 0) {
		if j.cuts == nil {
			j.cuts = make(map[dns.Name]cut)
		}
		j.cuts[d.zone] = cut{rep.a.zone, k.ds, k.proofs, dsUntil}
	}
	for data := range k.ns.Data.All() {
		n, ok := dns.RdataName(dns.TypeNS, data)
		if !ok {
			continue
		}
		ns := nsName{name: n.Lower()}
		for i := range k.glue {
			if k.glue[i].Name == ns.name {
				ns.addrs = appendAddrs(ns.addrs, k.glue[i].Data)
			}
		}
		if len(ns.addrs) == 0 && !d.fresh {
			ns.addrs = r.cachedAddresses(ns.name, now)
		}
		d.names = append(d.names, ns)
	}
	if j.key.fresh == FreshAll {
		return d
	}
	put := func(set dns.RRset, partition uint32, rank cache.Rank) {
		r.put(cache.Entry{
			Set: set, Rank: rank, Security: cache.Unchecked, Server: rep.server.Addr(), Zone: rep.a.zone, Partition: partition,
			Stored: now, Expires: until,
		}, j.epoch)
	}
	put(k.ns, delegations, cache.RankReferral)
	for i := range k.glue {
		put(k.glue[i], delegations, cache.RankGlue)
	}
	switch {
	case k.ds.Data != nil:
		until = dsUntil
		put(k.ds, 0, cache.RankAuthority)
	case len(k.proofs) > 0:
		// Without an SOA record this answers nobody; validation finds it.
		r.putDenial(cache.Denial{
			Name: d.zone, Type: dns.TypeDS, Kind: cache.NoData, Zone: rep.a.zone, Proof: k.proofs[:min(len(k.proofs), cache.MaxProofs)],
			Security: cache.Unchecked, Rank: cache.RankAuthority, Server: rep.server.Addr(), Stored: now, Expires: dsUntil,
		}, j.epoch)
	}
	return d
}

// glued returns the address that a job for a name server's address looks for, if the referral brought it as glue: to find a server it is
// good enough, and it is what the referral itself would be followed with.
func (j *job) glued(k *kept) (outcome, bool) {
	if !j.key.server {
		return outcome{}, false
	}
	for _, set := range k.glue {
		if set.Name == j.q.Name && set.Type == j.q.Type {
			j.span.event(KindKept, "the referral brought the address that is looked for", "name", set.Name.String())
			now := j.r.clock.Boot()
			return outcome{chain: []cache.Entry{{Set: set, Rank: cache.RankGlue, Stored: now, Expires: now + j.ttl(set.TTL)}}}, true
		}
	}
	return outcome{}, false
}

// conclude stores the answer or the denial and makes the outcome that those who wait get. c is what validation said of it, nil if it was not
// validated.
func (j *job) conclude(rep *reply, k *kept, c *checked) outcome {
	return j.compose(rep, k, c, len(k.chain)+1)
}

// compose is conclude, and stores the first so many sets of the chain and, if that is more than there are, the denial.
func (j *job) compose(rep *reply, k *kept, c *checked, stored int) outcome {
	r, now := j.r, j.r.clock.Boot()
	out := outcome{rcode: rep.msg.RCode(), weak: rep.v.weak != "" && rep.v.denies()}
	proofs := k.proofs
	if c != nil {
		if c.proofs != nil {
			proofs = c.proofs
		}
		out.edes = j.reasons(c)
	}
	rank := cache.RankAnswer
	if rep.msg.Header.Flags&dns.FlagAA != 0 || rep.a.recursive {
		rank = cache.RankAuthAnswer
	}
	if j.key.fresh == FreshAll {
		stored = 0
	}
	name := rep.a.q.Name
	for i, set := range k.chain {
		e := cache.Entry{
			Set: set, Rank: rank, Security: cache.Unchecked, Server: rep.server.Addr(), Zone: rep.a.zone,
			Stored: now, Expires: now + j.ttl(set.TTL),
		}
		var own []dns.RRset // proofs of what came from a wildcard
		if !rep.v.denies() {
			own = k.proofs
		}
		if c != nil {
			j.grade(&e, &c.sets[i])
			if c.sets[i].Secure() {
				own = c.sets[i].proofs
			}
		}
		out.chain = append(out.chain, e)
		// The answer to ANY is one server's choice of types, and stands for none of them.
		keep := i < stored && rep.a.q.Type != dns.TypeANY && set.Type != dns.TypeRRSIG
		if keep {
			r.put(e, j.epoch)
			if c != nil {
				j.keepWildcard(e, &c.sets[i])
			}
		}
		if expanded(&e.Set) && len(own) > 0 {
			out.proofs = addSets(out.proofs, own...)
			if keep {
				j.keepProofs(e, own)
			}
		}
		name = j.keepSynthesised(name, e, i < stored)
	}
	if rep.v.what != isNXDomain && rep.v.what != isNoData {
		return out
	}
	d := cache.Denial{
		Name: rep.v.end, Type: rep.a.q.Type, Kind: cache.NoData, Zone: rep.a.zone, SOA: k.soa, Proof: proofs,
		Security: cache.Unchecked, Rank: rank, Server: rep.server.Addr(), Stored: now, Expires: now,
	}
	what := c.denied(rep.v.what)
	if (c == nil || c.denial.Security != cache.Secure) && nxname(d.Name, proofs) {
		what = isNXDomain // nobody has checked it, and the response code is no better
	}
	if what == isNXDomain {
		d.Kind, d.Type = cache.NXDomain, dns.TypeNone
	}
	if d.Kind == cache.NoData {
		out.rcode = dns.RCodeSuccess
	}
	if soa, err := dns.ParseSOA(k.soa.Data.First()); err == nil {
		// RFC 2308 section 5: the lower of the SOA record's TTL and its minimum field.
		ttl := min(soa.Minimum, k.soa.TTL)
		d.Zone, d.SOA.TTL = rep.v.soa, ttl
		d.Expires = now + min(j.ttl(ttl), j.table.NegativeMaxTTL)
		if c != nil {
			j.gradeDenial(&d, &c.denial)
		}
		if stored > len(k.chain) && d.Expires > now {
			j.keepDenial(d, rank)
		}
	} else if c != nil {
		j.gradeDenial(&d, &c.denial)
	}
	out.denial = &d
	return out
}

// grade writes down what validation said of an entry, and cuts its life to that (RFC 4035 section 5.3.3).
func (j *job) grade(e *cache.Entry, f *finding) {
	e.Security, e.Expires = f.Security, min(e.Expires, j.until(f))
	if f.Security != cache.Secure {
		return
	}
	e.Set.TTL = min(e.Set.TTL, f.TTL)
	labels := ownLabels(e.Set.Name)
	if !f.Wildcard.IsZero() {
		labels = f.Wildcard.Labels()
	}
	e.Set.Sigs = onlyOf(e.Set.Sigs, labels)
	if j.r.wall().IsZero() { // it may have expired long ago
		e.Security, e.Expires = cache.Indeterminate, min(e.Expires, e.Stored+clockTerm)
	}
}

// gradeDenial is grade for a denial.
func (j *job) gradeDenial(d *cache.Denial, f *finding) {
	d.Security, d.Expires = f.Security, min(d.Expires, max(d.Stored, j.until(f)))
	if f.Security != cache.Secure {
		return
	}
	d.Zone = f.Zone // without an SOA record the reply did not say whose denial it is
	d.SOA.TTL = min(d.SOA.TTL, f.TTL)
	if j.r.wall().IsZero() {
		d.Security, d.Expires = cache.Indeterminate, min(d.Expires, d.Stored+clockTerm)
	}
}

// keepDenial stores a denial and, if it is secure, what makes others of it: the SOA record of the zone (its proofs go into the ordered index
// by themselves) and the parameters of its hashes.
func (j *job) keepDenial(d cache.Denial, rank cache.Rank) {
	j.r.putDenial(d, j.epoch)
	if d.Security != cache.Secure {
		return
	}
	soa := cache.Entry{
		Set: d.SOA, Rank: rank, Security: cache.Secure, Server: d.Server, Zone: d.Zone, Partition: denialSOAs, Stored: d.Stored, Expires: d.Expires,
	}
	j.r.put(soa, j.epoch)
	j.noteHashes(d.Zone, d.Proof)
}

// noteHashes notes the parameters of a zone's hashes, by one of its proofs.
func (j *job) noteHashes(zone dns.Name, proofs []dns.RRset) {
	for i := range proofs {
		if n, err := dns.ParseNSEC3(proofs[i].Data.First()); err == nil && proofs[i].Type == dns.TypeNSEC3 {
			j.r.trusts.noteHash(j.trustKey(zone), n.Iterations, n.Salt)
			return
		}
	}
}

// denialSOAs is the partition of the SOA records that came with secure denials: they live as long as a denial may.
const denialSOAs = 5

// reasons are the extended errors of an answer that is given though it is not secure: what is unsupported, or a clock that can't be right.
func (j *job) reasons(c *checked) []dns.EDE {
	var out []dns.EDE
	add := func(f *finding) {
		e := f.EDE
		if f.Security == cache.Secure && j.r.wall().IsZero() {
			e = dns.EDE{Code: dns.EDEIndeterminate, Text: "this resolver's clock can't be right, so that the times of signatures were not checked"}
		}
		if (e.Code != 0 || e.Text != "") && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	for i := range c.sets {
		add(&c.sets[i])
	}
	add(&c.denial)
	return out
}

// concludeBogus ends a job whose answer failed validation at all servers that were asked. It is kept for those who set CD, for a while.
func (j *job) concludeBogus() outcome {
	b := j.bogus
	r, now := j.r, j.r.clock.Boot()
	rank := cache.RankAnswer
	if b.rep.msg.Header.Flags&dns.FlagAA != 0 || b.rep.a.recursive {
		rank = cache.RankAuthAnswer
	}
	for _, set := range b.k.chain[:min(len(b.k.chain), 1)] { // what is behind an alias was not asked for
		if j.key.fresh == FreshAll || b.rep.a.q.Type == dns.TypeANY || set.Type == dns.TypeRRSIG {
			break
		}
		r.put(cache.Entry{
			Set: set, Rank: rank, Security: cache.Bogus, Server: b.rep.server.Addr(), Zone: b.rep.a.zone,
			Stored: now, Expires: now + min(j.ttl(set.TTL), j.table.Limits.BogusTTL),
		}, j.epoch)
	}
	return outcome{err: b.f}
}

// synthesised is the partition of CNAME records that were made from a DNAME. They are not answers: they say that this very name was
// asked for and led through a DNAME. An unvalidated DNAME speaks for no other name, or one forged record would take a whole zone.
const synthesised = 2

// keepSynthesised follows one record of a chain from name, and notes the alias if it is a DNAME.
func (j *job) keepSynthesised(name dns.Name, e cache.Entry, store bool) dns.Name {
	set := e.Set
	if set.Type == dns.TypeDNAME {
		if e.Security == cache.Secure {
			j.r.dnames.Store(1)
		}
		cname, ok := synthesise(name, set)
		if !ok {
			return name
		}
		e.Set, e.Partition = cname, synthesised
		if store {
			j.r.put(e, j.epoch)
		}
		set = cname
	}
	if set.Type == dns.TypeCNAME {
		if to, ok := aliasTarget(set); ok {
			return to
		}
	}
	return name
}

// throughDNAME returns the DNAME through which a name was led before, if both are still there, or a secure one above it, which leads all names.
func (r *Resolver) throughDNAME(name dns.Name, now time.Duration) (cache.Entry, bool) {
	if name.IsRoot() {
		return cache.Entry{}, false
	}
	led := false
	if e, ok := r.cache.Peek(cache.Key{Name: name, Type: dns.TypeCNAME, Partition: synthesised}); ok && now < e.Expires {
		led = true
	}
	if !led && r.dnames.Load() == 0 {
		return cache.Entry{}, false
	}
	for above := name.Parent(); ; above = above.Parent() {
		e, ok := r.peek(above, dns.TypeDNAME)
		// One that came from a wildcard was asked for itself, and redirects nothing (RFC 4592 section 4.4).
		if ok && now < e.Expires && (led || e.Security == cache.Secure) && !expanded(&e.Set) {
			return e, true
		}
		if above.IsRoot() {
			return e, false
		}
	}
}

// ttl makes seconds of a record a time, cut to what the settings allow.
func (j *job) ttl(seconds uint32) time.Duration {
	return max(min(time.Duration(seconds)*time.Second, j.table.MaxTTL), j.table.MinTTL)
}
