package cache

import (
	"bytes"

	"github.com/ananas-edge/ananas/dns"
)

// purge is one purge at work.
type purge struct {
	c      *Cache
	what   purging
	report PurgeReport
	names  map[dns.Name]struct{}
}

// act is done to each entry that a purge is for, under the lock of its shard.
type act func(s *shard, page uint32, slot int, b blob)

// remove takes an entry out and notes it.
func (p *purge) remove(s *shard, page uint32, slot int, b blob) {
	switch b.kind() {
	case KindRRset:
		p.report.RRsets++
	case KindDenial:
		p.report.Denials++
	case KindProof:
		p.report.Proofs++
	}
	if name, err := dns.NameFromWire(b.name()); err == nil {
		if _, known := p.names[name]; !known && len(p.names) >= MaxPurgeNames {
			p.report.MoreNames = true
		} else {
			p.names[name] = struct{}{}
		}
	}
	s.drop(page, slot, notEvicted)
}

// count counts an entry that should not be there any more. What was stored under the epoch of this purge may be.
func (p *purge) count(_ *shard, _ uint32, _ int, b blob) {
	if b.epoch() != byte(p.report.Epoch-1) {
		p.report.Left++
	}
}

// sweep does act to every entry that the purge is for.
func (p *purge) sweep(do act) {
	c, name := p.c, p.what.name
	wire := octetsOf(name.Wire())
	if p.what.subtree {
		for i := range c.shards {
			c.shards[i].sweepSubtree(wire, do)
		}
	} else {
		hash := c.key.name(wire)
		s := c.shardOf(hash)
		s.mu.Lock()
		s.each(s.ofName(hash, wire, nil), do)
		s.mu.Unlock()
	}
	for zone := name; ; zone = zone.Parent() {
		if zone != name {
			c.actOnDenials(zone, do)
		}
		if zone.IsRoot() {
			break
		}
	}
	for space, ok := Space(0), true; ok; space, ok = c.proofs.after(space) {
		for zone := name; ; zone = zone.Parent() {
			p.sweepProofs(space, zone, do)
			if zone.IsRoot() {
				break
			}
		}
	}
}

// sweepSubtree goes through a shard page by page; the lock is free in between.
func (s *shard) sweepSubtree(wire []byte, do act) {
	var locs []uint64
	for at := uint64(0); at < 1<<nameBits; {
		s.mu.Lock()
		locs = locs[:0]
		at = s.eachPage(at, func(slots *[pageSlots]uint64) {
			for _, v := range slots {
				if b := s.a.blob(v & locMask); b != nil && within(b.name(), wire) {
					locs = append(locs, v&locMask)
				}
			}
		})
		s.each(locs, do)
		s.mu.Unlock()
	}
}

// each does act to the entries at locs, as far as they are still there.
func (s *shard) each(locs []uint64, do act) {
	for _, loc := range locs {
		b := s.a.blob(loc)
		if b == nil {
			continue
		}
		if page, slot := s.findLoc(s.c.key.name(b.name()), loc); page != 0 {
			do(s, page, slot, b)
		}
	}
}

// actOnDenials does act to what denies that a name exists, in all spaces.
func (c *Cache) actOnDenials(name dns.Name, do act) {
	wire := octetsOf(name.Wire())
	hash := c.key.name(wire)
	s := c.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(s.ofName(hash, wire, nil), func(s *shard, page uint32, slot int, b blob) {
		if b.kind() == KindDenial && b.typ() == dns.TypeNone {
			do(s, page, slot, b)
		}
	})
}

// actOn does act to one entry, if it is there.
func (c *Cache) actOn(kind Kind, name dns.Name, typ dns.Type, partition uint32, do act) {
	id := c.ident(kind, name, typ, partition)
	s := c.shardOf(id.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if page, slot, b := s.find(&id); page != 0 {
		do(s, page, slot, b)
	}
}

// sweepProofs does act to the proofs of a zone that may deny what is purged: each NSEC whose interval holds it, for a zone
// that changes leaves intervals behind that overlap; and all NSEC3, for whose hash lies where is not known without hashing
// under each set of parameters.
func (p *purge) sweepProofs(space Space, zone dns.Name, do act) {
	name, wire := p.what.name, octetsOf(p.what.name.Wire())
	prefix := appendPrefix(nil, space, zone, dns.TypeNSEC)
	last := appendSortKey(bytes.Clone(prefix), wire, zone.Labels())
	p.eachProof(space, zone, dns.TypeNSEC, prefix, last, func(owner dns.Name) act {
		return func(s *shard, page uint32, slot int, b blob) {
			if v, ok := b.view(); ok {
				e, ok := v.entry(owner, nil)
				if e.Zone = zone; ok && !covers(&e, name) {
					return
				}
			}
			do(s, page, slot, b)
		}
	})
	prefix = appendPrefix(nil, space, zone, dns.TypeNSEC3)
	last = append(bytes.Clone(prefix[:len(prefix)-1]), byte(dns.TypeNSEC3)+1)
	p.eachProof(space, zone, dns.TypeNSEC3, prefix, last, func(dns.Name) act { return do })
}

// eachProof does what `do` returns for their owner to the proofs with keys from prefix to last.
func (p *purge) eachProof(space Space, zone dns.Name, typ dns.Type, prefix, last []byte, do func(owner dns.Name) act) {
	for from := prefix; from != nil; {
		var keys [][]byte
		keys, from = p.c.proofs.keys(prefix, from, last)
		for _, key := range keys {
			if owner, ok := ownerOf(key[len(prefix):], zone); ok {
				p.c.actOn(KindProof, owner, typ, space.of(uint32(zone.Labels())), do(owner))
			}
		}
	}
}

// keys returns up to 256 keys with a prefix, not before from nor after last, and where to go on; nil at the end.
func (p *proofs) keys(prefix, from, last []byte) (keys [][]byte, next []byte) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for node := p.set.ceiling(from); node != 0; node = p.set.next(node, 0) {
		key := p.set.key(node)
		switch {
		case !bytes.HasPrefix(key, prefix) || bytes.Compare(key, last) > 0:
			return keys, nil
		case len(keys) == 256:
			return keys, bytes.Clone(key)
		}
		keys = append(keys, bytes.Clone(key))
	}
	return keys, nil
}

// within tells whether a name is zone or below it; both are in wire form and lower case.
func within(name, zone []byte) bool {
	above := len(name) - len(zone)
	if above < 0 {
		return false
	}
	i := 0
	for i < above {
		i += 1 + int(name[i])
	}
	return i == above && bytes.Equal(name[i:], zone)
}
