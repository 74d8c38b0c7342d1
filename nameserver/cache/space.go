package cache

import (
	"encoding/binary"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Space is one of several bodies of knowledge in one cache: what was stored in one is never found in another, nor does it replace or contradict anything there. They share the memory, its eviction, and purges, which are for a name in
// all of them. 0 is the world as everybody sees it, and costs nothing; an entry of another one takes 4 octets more.
type Space uint32

// MaxSpace is the largest: 24 bits of the partition of an entry are left for it.
const MaxSpace Space = 1<<24 - 1

// The partition of an entry in the arena is its own, in the low octet, and the space above that.
const (
	spaceShift    = 8
	partitionMask = 1<<spaceShift - 1
)

func (s Space) of(partition uint32) uint32 { return uint32(s)<<spaceShift | partition&partitionMask }

// spaceOf is the space of a partition in the arena.
func spaceOf(partition uint32) Space { return Space(partition >> spaceShift) }

// View is a cache as it is seen from one space. It is as good as a pointer: copy it.
type View struct {
	c     *Cache
	space Space
}

// In returns the view from a space.
func (c *Cache) In(s Space) View { return View{c, s & MaxSpace} }

// Epoch is [Cache.Epoch]: there is one for all spaces.
func (v View) Epoch() uint64 { return v.c.Epoch() }

// Purge is [Cache.Purge]: it is for all spaces.
func (v View) Purge(name dns.Name, subtree bool) (PurgeReport, error) {
	return v.c.Purge(name, subtree)
}

// Get is [Cache.Get].
func (v View) Get(key Key, buf []byte) (Entry, bool) {
	return v.c.get(v.space, key, v.c.now(), buf, true)
}

// Peek is [Cache.Peek].
func (v View) Peek(key Key) (Entry, bool) { return v.c.get(v.space, key, v.c.now(), nil, false) }

// PeekAt is [Cache.PeekAt].
func (v View) PeekAt(key Key, now time.Duration, buf []byte) (Entry, bool) {
	return v.c.get(v.space, key, now, buf, false)
}

// Put is [Cache.Put]; the entry's own Space does not count.
func (v View) Put(e Entry, epoch uint64) Verdict {
	e.Space = v.space
	return v.c.Put(e, epoch)
}

// GetDenial is [Cache.GetDenial].
func (v View) GetDenial(name dns.Name, typ dns.Type) (Denial, bool) {
	return v.c.getDenial(v.space, name, typ, v.c.now(), true)
}

// PeekDenial is [Cache.PeekDenial].
func (v View) PeekDenial(name dns.Name, typ dns.Type) (Denial, bool) {
	return v.c.getDenial(v.space, name, typ, v.c.now(), false)
}

// PutDenial is [Cache.PutDenial]; the denial's own Space does not count.
func (v View) PutDenial(d Denial, epoch uint64) Verdict {
	d.Space = v.space
	return v.c.PutDenial(d, epoch)
}

// PutProof is [Cache.PutProof].
func (v View) PutProof(zone dns.Name, set dns.RRset, rank Rank, stored, expires time.Duration, epoch uint64) {
	v.c.putProof(&Denial{Zone: zone, Rank: rank, Security: Secure, Stored: stored, Expires: expires, Space: v.space}, &set, epoch, v.c.now())
}

// CoveringDenial is [Cache.CoveringDenial].
func (v View) CoveringDenial(zone, name dns.Name, typ dns.Type) (Entry, bool) {
	return v.c.coveringDenial(v.space, zone, name, typ)
}

// spacePrefix is how long the beginning of a key in the ordered index is that names its space: 0, 0, and the space from its first octet. No key of space 0 begins so, for the first 0 of one ends a zone, and no type of a proof is 0.
const spacePrefix = 2 + 4

// appendSpace appends what the keys of a space in the ordered index begin with: nothing for space 0.
func appendSpace(b []byte, s Space) []byte {
	if s == 0 {
		return b
	}
	return binary.BigEndian.AppendUint32(append(b, 0, 0), uint32(s))
}

// after returns the first space behind s that has proofs.
func (p *proofs) after(s Space) (next Space, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	n := p.set.ceiling(appendSpace(nil, s+1))
	if n == 0 {
		return 0, false
	}
	key := p.set.key(n)
	if len(key) < spacePrefix || key[0] != 0 || key[1] != 0 {
		return 0, false
	}
	return Space(binary.BigEndian.Uint32(key[2:])), true
}
