package replica

import "bytes"

// The keys by their hash: a tree whose leaves are small tables of numbers. A leaf has up to maxSlots slots, found by linear probing; a fuller one becomes 64 leaves. The
// highest bits of the hash say the way down, the lowest the slot. A million keys are two steps and a slot away, and a change copies a leaf of
// 4 KiB and two nodes of 512 octets.
const (
	minSlots = 8
	maxSlots = 512
	fanBits  = 6
	fan      = 1 << fanBits
	maxDepth = 4 // 64^4 leaves; below, a leaf grows as it must

	// A slot is a ref of 40 bits, and above it the lowest 24 bits of the hash: most slots of other keys are passed without a look at them.
	refBits = 40
	tagMask = 1<<(64-refBits) - 1
	refMask = 1<<refBits - 1
)

// bin is a node (fan is set) or a leaf. It is immutable unless it was made by the edit that holds it.
type bin struct {
	fan   *[fan]*bin
	slots []uint64
	n     int    // slots that are taken
	edit  uint64 // that made it
}

// find returns where the entry of a key with that hash is; 0 if there is none.
func (b *bin) find(a *arena, hash uint64, key string) ref {
	shift := 64 - fanBits
	for {
		if b == nil {
			return 0
		}
		if b.fan == nil {
			break
		}
		b = b.fan[hash>>shift&(fan-1)]
		shift -= fanBits
	}
	tag, mask := hash&tagMask, uint64(len(b.slots)-1)
	for i := tag & mask; ; i = (i + 1) & mask {
		s := b.slots[i]
		if s == 0 {
			return 0
		}
		if s>>refBits == tag {
			if r := ref(s & refMask); string(a.key(r)) == key {
				return r
			}
		}
	}
}

// set puts an entry at its key, which must be what a says at r, and returns the bin and what was there.
func (e *edit) set(b *bin, hash uint64, depth int, r ref) (*bin, ref) {
	if b == nil {
		b = &bin{slots: make([]uint64, minSlots), edit: e.id}
	}
	b = e.ownBin(b)
	if b.fan != nil {
		kid := &b.fan[hash>>(64-fanBits*(depth+1))&(fan-1)]
		var was ref
		*kid, was = e.set(*kid, hash, depth+1, r)
		return b, was
	}
	tag, mask := hash&tagMask, uint64(len(b.slots)-1)
	key := e.key(r)
	i := tag & mask
	for ; b.slots[i] != 0; i = (i + 1) & mask {
		if s := b.slots[i]; s>>refBits == tag && bytes.Equal(e.key(ref(s&refMask)), key) {
			b.slots[i] = tag<<refBits | uint64(r)
			return b, ref(s & refMask)
		}
	}
	if (b.n+1)*4 <= len(b.slots)*3 {
		b.slots[i] = tag<<refBits | uint64(r)
		b.n++
		return b, 0
	}
	if len(b.slots) >= maxSlots && depth < maxDepth {
		b = e.split(b, depth)
	} else {
		b.slots = rehash(b.slots, len(b.slots)*2)
	}
	return e.set(b, hash, depth, r)
}

// split makes a node of a leaf.
func (e *edit) split(b *bin, depth int) *bin {
	out := &bin{fan: new([fan]*bin), edit: e.id}
	for _, s := range b.slots {
		if s != 0 {
			r := ref(s & refMask)
			out, _ = e.set(out, e.hash(e.key(r)), depth, r)
		}
	}
	return out
}

// unset takes the entry of a key out, and returns the bin and where it was.
func (e *edit) unset(b *bin, hash uint64, depth int, key string) (*bin, ref) {
	if b == nil {
		return nil, 0
	}
	if b.fan != nil {
		at := hash >> (64 - fanBits*(depth+1)) & (fan - 1)
		kid, was := e.unset(b.fan[at], hash, depth+1, key)
		if was == 0 {
			return b, 0
		}
		b = e.ownBin(b)
		b.fan[at] = kid
		if kid == nil && *b.fan == [fan]*bin{} {
			return nil, was
		}
		return b, was
	}
	tag, mask := hash&tagMask, uint64(len(b.slots)-1)
	for i := tag & mask; b.slots[i] != 0; i = (i + 1) & mask {
		r := ref(b.slots[i] & refMask)
		if b.slots[i]>>refBits != tag || string(e.key(r)) != key {
			continue
		}
		if b.n == 1 {
			return nil, r
		}
		b = e.ownBin(b)
		b.slots[i] = 0
		b.n--
		size := len(b.slots)
		if size > minSlots && b.n*8 < size {
			size /= 2
		}
		b.slots = rehash(b.slots, size) // what stood behind it may have to come forward
		return b, r
	}
	return b, 0
}

// rehash returns a table with what is in old.
func rehash(old []uint64, size int) []uint64 {
	out := make([]uint64, size)
	mask := uint64(size - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := s >> refBits & mask
		for out[i] != 0 {
			i = (i + 1) & mask
		}
		out[i] = s
	}
	return out
}

// ownBin returns a copy that e may change, or b if it is one.
func (e *edit) ownBin(b *bin) *bin {
	if b.edit == e.id {
		return b
	}
	c := &bin{n: b.n, edit: e.id}
	if b.fan != nil {
		c.fan = new([fan]*bin)
		*c.fan = *b.fan
	} else {
		c.slots = append([]uint64(nil), b.slots...)
	}
	return c
}
