package cache

import (
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Put stores an RRset that was found by work which began at epoch (from Epoch), or says why not.
//
// An entry that has expired is always replaced. A live one is replaced by one of equal or higher rank, except that nothing but
// secure data replaces secure data; secure data replaces all else whatever its rank, and data that was validated with another
// result than bogus replaces bogus data. What contradicts the RRset (the denial of its type or of its name) goes out, by the
// same rule.
func (c *Cache) Put(e Entry, epoch uint64) Verdict {
	now, table := c.now(), c.table.Load()
	set := &e.Set
	if set.Name.IsZero() || set.Class != dns.ClassINET || set.Type.IsMeta() || len(set.Data) == 0 ||
		!wellFormed(set.Data) || !wellFormed(set.Sigs) || e.Rank == RankNone || e.Rank >= rankEnd || e.Security >= securityEnd ||
		e.Partition > partitionMask || e.Space > MaxSpace {
		return c.refuse(RefusedForm)
	}
	if len(set.Data) > maxPartLen || len(set.Sigs) > maxPartLen {
		return c.refuse(RefusedSize)
	}
	if limit := e.Stored + table.MaxTTL; e.Expires > limit {
		e.Expires = limit
		c.m.ttlsCut.Inc()
	}
	r := record{
		kind: KindRRset, name: octetsOf(set.Name.Wire()), typ: set.Type, partition: e.Space.of(e.Partition), rank: e.Rank, security: e.Security,
		ttl: set.TTL, stored: e.Stored, expires: e.Expires, server: e.Server.WithZone(""), data: set.Data, sigs: set.Sigs,
	}
	r.setZone(set.Name, e.Zone)
	return c.store(&r, set.Name, epoch, now)
}

// PutDenial stores a denial under the rules of [Cache.Put]. NODATA replaces the RRset that it denies. NXDOMAIN takes out what
// has expired under its name, so that nothing of it is served as stale; what is live stays to the end of its TTL, for there
// are servers that deny a name because they do not know the type. The proofs of a secure denial go into the ordered index
// ([Cache.CoveringDenial]).
func (c *Cache) PutDenial(d Denial, epoch uint64) Verdict {
	now, table := c.now(), c.table.Load()
	if d.Name.IsZero() || (d.Kind == NXDomain) != (d.Type == dns.TypeNone) || d.Kind > NXDomain || d.Type.IsMeta() && d.Type != dns.TypeNone ||
		d.Rank == RankNone || d.Rank >= rankEnd || d.Security >= securityEnd || d.Space > MaxSpace {
		return c.refuse(RefusedForm)
	}
	if limit := d.Stored + table.NegativeMaxTTL; d.Expires > limit {
		d.Expires = limit
		c.m.ttlsCut.Inc()
	}
	var scratch [1024]byte
	data, ok := appendDenial(scratch[:0], &d)
	if !ok {
		return c.refuse(RefusedForm)
	}
	if len(data) > maxPartLen {
		return c.refuse(RefusedSize)
	}
	r := record{
		kind: KindDenial, name: octetsOf(d.Name.Wire()), typ: d.Type, partition: d.Space.of(0), rank: d.Rank, security: d.Security,
		ttl: d.SOA.TTL, stored: d.Stored, expires: d.Expires, server: d.Server.WithZone(""), data: data,
	}
	r.setZone(d.Name, d.Zone)
	verdict := c.store(&r, d.Name, epoch, now)
	if verdict == Stored && d.Security == Secure {
		for i := range d.Proof {
			c.putProof(&d, &d.Proof[i], epoch, now)
		}
	}
	return verdict
}

// PutProof stores an NSEC or NSEC3 RRset of a zone that was validated beside something else than a denial: a referral to an unsigned zone, an answer
// from a wildcard. It is found by [Cache.CoveringDenial] until expires.
func (c *Cache) PutProof(zone dns.Name, set dns.RRset, rank Rank, stored, expires time.Duration, epoch uint64) {
	c.putProof(&Denial{Zone: zone, Rank: rank, Security: Secure, Stored: stored, Expires: expires}, &set, epoch, c.now())
}

// putProof stores one NSEC or NSEC3 RRset of a secure denial for the ordered index.
func (c *Cache) putProof(d *Denial, set *dns.RRset, epoch uint64, now time.Duration) {
	if set.Type != dns.TypeNSEC && set.Type != dns.TypeNSEC3 || !set.Name.IsWithin(d.Zone) {
		return
	}
	r := record{
		kind: KindProof, name: octetsOf(set.Name.Wire()), typ: set.Type, partition: d.Space.of(uint32(d.Zone.Labels())), rank: d.Rank, security: d.Security,
		// RFC 9077: an NSEC or NSEC3 lives no longer than the denial that it came with.
		ttl: set.TTL, stored: d.Stored, expires: min(d.Expires, d.Stored+time.Duration(set.TTL)*time.Second), server: d.Server.WithZone(""),
		data: set.Data, sigs: set.Sigs,
	}
	r.setZone(set.Name, d.Zone)
	c.store(&r, set.Name, epoch, now)
}

func (c *Cache) refuse(v Verdict) Verdict {
	c.m.refused[v].Inc()
	return v
}

// store puts a record into the arena, if it may.
func (c *Cache) store(r *record, name dns.Name, epoch uint64, now time.Duration) Verdict {
	if r.expires <= now || r.expires <= r.stored {
		return c.refuse(RefusedExpired)
	}
	size := r.size()
	if size > c.maxEntry {
		return c.refuse(RefusedSize)
	}
	id := ident{hash: c.key.name(r.name), kind: r.kind, typ: r.typ, partition: r.partition, name: r.name}
	s := c.shardOf(id.hash)
	t := c.moment(now)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == nil {
		return c.refuse(RefusedClosed)
	}
	// Under the lock: a purge raises the epoch before it takes this lock to look for what it removes.
	if v := c.purges.check(r, name, epoch); v != Stored {
		return c.refuse(v)
	}
	if r.kind == KindImage && c.changes[id.hash%changeStripes].Load() != r.mark {
		return c.refuse(RefusedChanged)
	}
	if _, _, old := s.find(&id); old != nil {
		if r.kind == KindImage && r.repeats(old, now) {
			return Stored
		}
		if v := mayReplace(old, r, now); v != Stored {
			return c.refuse(v)
		}
	}
	if !s.roomFor(id.hash, t) {
		return c.refuse(RefusedSize)
	}
	q, use := &s.small, uint32(0)
	if page, slot, old := s.find(&id); page != 0 { // what was learned of its use stays; the hits begin anew
		use = old.loadUse() & useCount
		if s.a.stateOf(s.a.slots(page)[slot] & locMask).main {
			q = &s.main
		}
	} else if s.ghost.take(c.key.ghost(id.hash, id.kind, id.typ, id.partition)) {
		q = &s.main
		s.n.ghostHits++
	}
	loc := s.reserve(q, uint32(size/unit), t)
	if loc == 0 {
		return c.refuse(RefusedSize)
	}
	b := s.a.write(loc, size, func(room []byte) { r.encode(room, c.purges.epoch.Load(), use) })

	if page, slot, old := s.find(&id); page != 0 { // the reservation may have evicted or moved it
		s.forget(old)
		s.point(page, slot, loc)
	} else {
		s.insert(&id, loc)
	}
	s.n.entries[r.kind]++
	s.n.liveUnits += int64(len(b) / unit)
	if r.kind == KindProof {
		c.proofs.add(spaceOf(r.partition), r.zone, name, r.typ, r.expires)
		return Stored
	}
	s.contradict(&id, r, now)
	return Stored
}

// mayReplace tells whether r may take the place of old. A Verdict of Stored means yes.
func mayReplace(old blob, r *record, now time.Duration) Verdict {
	was := old.security()
	switch {
	case r.kind == KindImage: // the newest
		return Stored
	case now >= old.expires():
		return Stored
	case r.security == Secure && was != Secure:
		return Stored
	case was == Secure && r.security != Secure:
		return RefusedSecurity
	case was == Bogus && (r.security == Insecure || r.security == Indeterminate):
		return Stored
	case r.rank < old.rank():
		return RefusedRank
	}
	return Stored
}

// contradict takes out what can't be true any more after r was stored as id, if r may replace it.
func (s *shard) contradict(id *ident, r *record, now time.Duration) {
	if r.kind == KindRRset && r.partition&partitionMask != 0 || r.kind == KindImage {
		return
	}
	s.c.changes[id.hash%changeStripes].Add(1)
	var buf [16]uint64
	for _, loc := range s.ofName(id.hash, id.name, buf[:0]) {
		b := s.a.blob(loc)
		if b != nil && b.kind() == KindImage { // what it was made of is not what is known any more
			page, slot := s.findLoc(id.hash, loc)
			s.drop(page, slot, notEvicted)
			continue
		}
		if b == nil || b.partition() != r.partition { // of another space, or no answer
			continue
		}
		kind, typ, gone := b.kind(), b.typ(), false
		switch {
		case r.kind == KindRRset && kind == KindDenial: // NXDOMAIN has no type
			gone = typ == r.typ || typ == dns.TypeNone
		case r.kind == KindRRset && kind == KindRRset: // an alias stands alone (RFC 2181 section 10.1)
			gone = typ != r.typ && (typ == dns.TypeCNAME || r.typ == dns.TypeCNAME) && now >= b.expires()
		case r.kind == KindDenial && kind == KindRRset:
			gone = typ == r.typ || r.typ == dns.TypeNone && now >= b.expires()
		case r.kind == KindDenial && kind == KindDenial:
			gone = typ == dns.TypeNone && r.typ != dns.TypeNone
		}
		if gone && mayReplace(b, r, now) == Stored {
			page, slot := s.findLoc(id.hash, loc)
			s.drop(page, slot, notEvicted)
		}
	}
}
