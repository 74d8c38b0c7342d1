package recurse

import (
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
	if k.ds.Data != nil {
		until = now + j.ttl(k.ds.TTL)
		put(k.ds, 0, cache.RankAuthority)
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

// conclude stores the answer or the denial and makes the outcome that those who wait get.
func (j *job) conclude(rep *reply, k *kept) outcome {
	r, now := j.r, j.r.clock.Boot()
	out := outcome{rcode: rep.msg.RCode()}
	rank := cache.RankAnswer
	if rep.msg.Header.Flags&dns.FlagAA != 0 || rep.a.recursive {
		rank = cache.RankAuthAnswer
	}
	store := j.key.fresh != FreshAll
	name := rep.a.q.Name
	for _, set := range k.chain {
		e := cache.Entry{
			Set: set, Rank: rank, Security: cache.Unchecked, Server: rep.server.Addr(), Zone: rep.a.zone,
			Stored: now, Expires: now + j.ttl(set.TTL),
		}
		out.chain = append(out.chain, e)
		// The answer to ANY is one server's choice of types, and stands for none of them.
		keep := store && rep.a.q.Type != dns.TypeANY && set.Type != dns.TypeRRSIG
		if keep {
			r.put(e, j.epoch)
		}
		if expanded(&set) && len(k.proofs) > 0 && rep.v.what != isNXDomain && rep.v.what != isNoData {
			out.proofs = k.proofs
			if keep {
				j.keepProofs(e, k.proofs)
			}
		}
		name = j.keepSynthesised(name, e, store)
	}
	if rep.v.what != isNXDomain && rep.v.what != isNoData {
		return out
	}
	d := cache.Denial{
		Name: rep.v.end, Type: rep.a.q.Type, Kind: cache.NoData, Zone: rep.a.zone, SOA: k.soa, Proof: k.proofs,
		Security: cache.Unchecked, Rank: rank, Server: rep.server.Addr(), Stored: now, Expires: now,
	}
	if rep.v.what == isNXDomain {
		d.Kind, d.Type = cache.NXDomain, dns.TypeNone
	}
	if soa, err := dns.ParseSOA(k.soa.Data.First()); err == nil {
		// RFC 2308 section 5: the lower of the SOA record's TTL and its minimum field.
		ttl := min(soa.Minimum, k.soa.TTL)
		d.Zone, d.SOA.TTL = rep.v.soa, ttl
		d.Expires = now + min(j.ttl(ttl), j.table.NegativeMaxTTL)
		if store && d.Expires > now {
			r.putDenial(d, j.epoch)
		}
	}
	out.denial = &d
	return out
}

// synthesised is the partition of CNAME records that were made from a DNAME. They are not answers: they say that this very name was
// asked for and led through a DNAME. An unvalidated DNAME speaks for no other name, or one forged record would take a whole zone.
const synthesised = 2

// keepSynthesised follows one record of a chain from name, and notes the alias if it is a DNAME.
func (j *job) keepSynthesised(name dns.Name, e cache.Entry, store bool) dns.Name {
	set := e.Set
	if set.Type == dns.TypeDNAME {
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

// throughDNAME returns the DNAME through which a name was led before, if both are still there.
func (r *Resolver) throughDNAME(name dns.Name, now time.Duration) (cache.Entry, bool) {
	e, ok := r.cache.Peek(cache.Key{Name: name, Type: dns.TypeCNAME, Partition: synthesised})
	if !ok || now >= e.Expires {
		return e, false
	}
	for above := name.Parent(); ; above = above.Parent() {
		e, ok = r.peek(above, dns.TypeDNAME)
		if ok && now < e.Expires {
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
