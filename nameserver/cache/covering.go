package cache

import (
	"bytes"
	"encoding/base32"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
)

// proofs is the ordered index of the NSEC and NSEC3 RRsets of secure denials, for the synthesis of denials from the interval
// between two owner names (RFC 8198). The RRsets are entries of kind KindProof in the arenas like all others; the index only
// knows their owners. An entry that is evicted or purged leaves it at once, under the lock of its shard.
//
// All zones share one list. The key of an owner is
//
//	the zone, its labels from the right, each in lower case and ended by 0
//	0, which no label starts with, and the type
//	the labels of the owner below the zone, as those of the zone
//
// behind the space, unless that is 0 (space.go), and with 0 and 1 in labels written as 1 1 and 1 2; so the order of octets is the canonical order (RFC 4034 section 6.1), and
// everything of one zone and type lies together.
type proofs struct {
	mu     sync.RWMutex // taken after a shard's, never before it
	set    ordered
	gaveUp *telemetry.Counter // owners given up for others
}

// appendSortKey appends labels of a wire name from the right: all but the last `skip`.
func appendSortKey(b []byte, wire []byte, skip int) []byte {
	var starts [128]uint8
	n := 0
	for i := 0; i < len(wire) && wire[i] != 0 && n < len(starts); i += 1 + int(wire[i]) {
		starts[n] = uint8(i)
		n++
	}
	for i := n - skip - 1; i >= 0; i-- {
		at := int(starts[i])
		for _, c := range wire[at+1 : at+1+int(wire[at])] {
			c = lowerOctet(c)
			if c <= 1 {
				b = append(b, 1)
				c++
			}
			b = append(b, c)
		}
		b = append(b, 0)
	}
	return b
}

// appendPrefix appends what all keys of a space, zone and type begin with.
func appendPrefix(b []byte, space Space, zone dns.Name, typ dns.Type) []byte {
	b = appendSortKey(appendSpace(b, space), octetsOf(zone.Wire()), 0)
	return append(b, 0, byte(typ))
}

// ownerOf returns the name whose labels below zone are the rest of a key after its prefix.
func ownerOf(rest []byte, zone dns.Name) (dns.Name, bool) {
	owner := zone
	for len(rest) > 0 {
		var label []byte
		for len(rest) > 0 && rest[0] != 0 {
			c := rest[0]
			if c == 1 && len(rest) > 1 {
				rest = rest[1:]
				c = rest[0] - 1
			}
			label = append(label, c)
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return owner, false
		}
		rest = rest[1:]
		var err error
		if owner, err = owner.Child(string(label)); err != nil {
			return owner, false
		}
	}
	return owner, true
}

// removeBlob takes the owner of a proof out of the index.
func (p *proofs) removeBlob(b blob) {
	v, ok := b.view()
	if !ok {
		return // found missing when it is next looked for
	}
	labels := 0
	for i := 0; v.name[i] != 0; i += 1 + int(v.name[i]) {
		labels++
	}
	zone := v.name
	above := int(v.partition & partitionMask)
	for n := labels - above; n > 0; n-- {
		zone = zone[1+int(zone[0]):]
	}
	var buf [256]byte
	key := append(appendSortKey(appendSpace(buf[:0], spaceOf(v.partition)), zone, 0), 0, byte(v.typ))
	key = appendSortKey(key, v.name, above)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set.remove(key)
}

// add puts an owner into the index.
func (p *proofs) add(space Space, zone, owner dns.Name, typ dns.Type, until time.Duration) {
	var buf [256]byte
	key := appendSortKey(appendPrefix(buf[:0], space, zone, typ), octetsOf(owner.Wire()), zone.Labels())
	p.mu.Lock()
	defer p.mu.Unlock()
	if gaveUp, ok := p.set.add(key, until); gaveUp || !ok {
		p.gaveUp.Inc()
	}
}

// removeKey takes a key out of the index.
func (p *proofs) removeKey(key []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set.remove(key)
}

// candidate returns the owner in zone that comes last at or before name, in canonical order; failing that, for NSEC3, the last
// of the zone, whose interval goes on at its beginning.
func (p *proofs) candidate(space Space, zone, name dns.Name, typ dns.Type) (key []byte, owner dns.Name, ok bool) {
	var buf [512]byte
	prefix := appendPrefix(buf[:0], space, zone, typ)
	wanted := appendSortKey(bytes.Clone(prefix), octetsOf(name.Wire()), zone.Labels())
	p.mu.RLock()
	if n := p.set.floor(wanted); n != 0 && bytes.HasPrefix(p.set.key(n), prefix) {
		key = bytes.Clone(p.set.key(n))
	} else if typ == dns.TypeNSEC3 {
		after := append(bytes.Clone(prefix[:len(prefix)-1]), byte(typ)+1)
		if n := p.set.floor(after); n != 0 && bytes.HasPrefix(p.set.key(n), prefix) {
			key = bytes.Clone(p.set.key(n))
		}
	}
	p.mu.RUnlock()
	if key == nil {
		return nil, owner, false
	}
	owner, ok = ownerOf(key[len(prefix):], zone)
	return key, owner, ok
}

// CoveringDenial returns the secure NSEC or NSEC3 RRset (typ) of a zone that matches name, or whose interval holds it; in the
// first case the set's name is name. For NSEC3 name is the hashed owner name, and it is for the caller to know that salt and
// iterations are those of the set. What the type bitmap says, and which further proofs a denial needs, is for the caller too.
// The entry is live.
func (c *Cache) CoveringDenial(zone, name dns.Name, typ dns.Type) (Entry, bool) {
	return c.coveringDenial(0, zone, name, typ)
}

func (c *Cache) coveringDenial(space Space, zone, name dns.Name, typ dns.Type) (Entry, bool) {
	if !name.IsWithin(zone) || typ != dns.TypeNSEC && typ != dns.TypeNSEC3 {
		return Entry{}, false
	}
	now := c.now()
	for range 3 { // an owner whose entry is gone is skipped: a cover by the one before it is a matter of luck
		key, owner, ok := c.proofs.candidate(space, zone, name, typ)
		if !ok {
			return Entry{}, false
		}
		e, ok := c.proof(space, zone, owner, typ, now)
		if !ok {
			c.proofs.removeKey(key)
			continue
		}
		return e, covers(&e, name)
	}
	return Entry{}, false
}

// proof returns the live proof of that owner.
func (c *Cache) proof(space Space, zone, owner dns.Name, typ dns.Type, now time.Duration) (Entry, bool) {
	id := c.ident(KindProof, owner, typ, space.of(uint32(zone.Labels())))
	s := c.shardOf(id.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	page, slot, b := s.find(&id)
	if b == nil {
		return Entry{}, false
	}
	if b.expires() <= now {
		s.drop(page, slot, evictedExpired)
		return Entry{}, false
	}
	v, ok := b.view()
	if !ok {
		s.drop(page, slot, notEvicted)
		s.n.damaged++
		return Entry{}, false
	}
	b.touch(false)
	e, ok := v.entry(owner, nil)
	e.Partition, e.Zone = 0, zone
	return e, ok
}

// covers tells whether name is the owner of an NSEC or NSEC3 record, or lies between it and the next.
func covers(e *Entry, name dns.Name) bool {
	owner := e.Set.Name
	if owner.Equal(name) {
		return true
	}
	switch e.Set.Type {
	case dns.TypeNSEC:
		n, err := dns.ParseNSEC(e.Set.Data.First())
		// The last NSEC of a zone names its apex (RFC 4034 section 4.1.1).
		return err == nil && owner.Compare(name) < 0 && (name.Compare(n.NextName) < 0 || n.NextName.Equal(e.Zone))
	case dns.TypeNSEC3:
		n, err := dns.ParseNSEC3(e.Set.Data.First())
		from, ok1 := hashOf(owner)
		hash, ok2 := hashOf(name)
		next := n.NextHashed
		if err != nil || !ok1 || !ok2 || len(from) != len(hash) || len(next) != len(hash) {
			return false
		}
		after, before := bytes.Compare(from, hash) < 0, bytes.Compare(hash, next) < 0
		if bytes.Compare(from, next) < 0 {
			return after && before
		}
		return after || before // the last one (RFC 5155 section 3.1.7)
	}
	return false
}

// hashOf returns the hash in the first label of an NSEC3 owner name (RFC 5155 section 3).
func hashOf(n dns.Name) ([]byte, bool) {
	h, err := base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(n.Label()))
	return h, err == nil && len(h) > 0
}
