package cache

import (
	"sync/atomic"

	"github.com/ananas-edge/ananas/dns"
)

// The index finds entries by their key. It is extendible hashing without pointers: a directory per shard, indexed by the first
// bits of the name's hash, leads to pages of 4 KiB; a full page is split in two by one more bit. So the index grows with what
// is stored, in steps of a page, and no growth ever moves more than one page.
//
// A page is 512 slots with linear probing, 8 slots (a cache line) to a home. A slot is one word, 0 if empty:
//
//	63..44  20 bits of the name's hash, those after the shard's; the first lead to the page, the last 6 to the home
//	43..34  10 bits of hash, type, kind and partition, so that a wrong entry is hardly ever touched
//	33..0   where the entry is, in units of 8 octets from the start of the arena
//
// All entries of a name have the same home: a purge of a name, or the question whether anything is known of it, is one read of
// a few lines.
const (
	pageSlots = 512
	pageBytes = pageSlots * 8
	// pageFull is how many slots of a page are used at most: 7 of 8. A look-up that finds nothing then reads four lines of 8
	// slots, which lie behind each other; on average pages are at 0.65, where it reads one or two.
	pageFull = pageSlots * 7 / 8

	nameBits = 20
	homeBits = 6 // 64 homes of 8 slots
	keyBits  = 10
	locBits  = 34 // 128 GiB
	locMask  = 1<<locBits - 1

	maxDepth = nameBits - homeBits // bits of the hash that lead to a page

	// maxBytes is what locBits can name.
	maxBytes = unit << locBits
)

// pageState is what is known of a page outside of it.
type pageState struct {
	used  uint16 // slots
	depth uint8  // how many bits of the hash all its entries share; the directory may be deeper
	_     uint8
}

// ident names one entry: what a Key is, and its kind.
type ident struct {
	hash      uint64
	kind      Kind
	typ       dns.Type
	partition uint32
	name      []byte // wire, any case
}

func (s *shard) nameBitsOf(hash uint64) uint64 { return hash << s.c.shardBits >> (64 - nameBits) }

// tagOf returns the upper 30 bits of the slot of id.
func (s *shard) tagOf(id *ident) uint64 {
	key := uint64(id.typ)*0x2545 + uint64(id.kind)*0x155 + uint64(id.partition)*0x6b3 + id.hash
	return s.nameBitsOf(id.hash)<<keyBits | key&(1<<keyBits-1)
}

// homeOf returns the first slot to look at, from the name's bits.
func homeOf(name uint64) int { return int(name&(1<<homeBits-1)) * (pageSlots / (1 << homeBits)) }

// nameOfSlot returns the name's bits of a slot.
func nameOfSlot(v uint64) uint64 { return v >> (locBits + keyBits) }

func (s *shard) pageOf(hash uint64) uint32 {
	if s.dir == nil { // closed
		return 0
	}
	return s.dir[s.nameBitsOf(hash)>>(nameBits-s.depth.Load())]
}

// slots returns page number p; pages are counted from 1, through the whole arena.
func (a *arena) slots(p uint32) *[pageSlots]uint64 {
	at := uint64(p-1) * pageSlots
	return (*[pageSlots]uint64)(a.words[at : at+pageSlots])
}

// find returns the entry of id and where its slot is; a nil blob if there is none.
func (s *shard) find(id *ident) (page uint32, slot int, b blob) {
	page = s.pageOf(id.hash)
	if page == 0 {
		return 0, 0, nil
	}
	slots, want := s.a.slots(page), s.tagOf(id)
	i := homeOf(want >> keyBits)
	for range pageSlots {
		v := slots[i]
		if v == 0 {
			break
		}
		if v>>locBits == want {
			if b := s.a.blob(v & locMask); b != nil && b.is(id) {
				return page, i, b
			}
		}
		i = (i + 1) % pageSlots
	}
	return 0, 0, nil
}

// findLoc returns the slot that points to loc, for a name of that hash; page 0 if there is none.
func (s *shard) findLoc(hash, loc uint64) (page uint32, slot int) {
	page = s.pageOf(hash)
	if page == 0 {
		return 0, 0
	}
	slots := s.a.slots(page)
	i := homeOf(s.nameBitsOf(hash))
	for range pageSlots {
		v := slots[i]
		if v == 0 {
			break
		}
		if v&locMask == loc {
			return page, i
		}
		i = (i + 1) % pageSlots
	}
	return 0, 0
}

// ofName appends to locs where the entries of a name are.
func (s *shard) ofName(hash uint64, name []byte, locs []uint64) []uint64 {
	page := s.pageOf(hash)
	if page == 0 {
		return locs
	}
	slots, bits := s.a.slots(page), s.nameBitsOf(hash)
	i := homeOf(bits)
	for range pageSlots {
		v := slots[i]
		if v == 0 {
			break
		}
		if nameOfSlot(v) == bits {
			if b := s.a.blob(v & locMask); b != nil && sameName(b.name(), name) {
				locs = append(locs, v&locMask)
			}
		}
		i = (i + 1) % pageSlots
	}
	return locs
}

// insert adds a slot for id at loc. The page must have room (roomFor).
func (s *shard) insert(id *ident, loc uint64) {
	page := s.pageOf(id.hash)
	s.a.pages[page-1].used++
	put(s.a.slots(page), s.tagOf(id)<<locBits|loc)
}

// clearSlots empties a page. Slots are only ever written by atomic stores, because a [Reader] looks at them without the lock.
func clearSlots(slots *[pageSlots]uint64) {
	for i := range slots {
		atomic.StoreUint64(&slots[i], 0)
	}
}

func put(slots *[pageSlots]uint64, v uint64) {
	i := homeOf(nameOfSlot(v))
	for range pageSlots { // a page is never full
		if slots[i] == 0 {
			atomic.StoreUint64(&slots[i], v)
			return
		}
		i = (i + 1) % pageSlots
	}
}

// removeSlot empties a slot and moves those after it closer to their homes, so that no probing ends too early.
func (s *shard) removeSlot(page uint32, hole int) {
	slots := s.a.slots(page)
	i := hole
	for range pageSlots - 1 {
		if i = (i + 1) % pageSlots; slots[i] == 0 {
			break
		}
		home := homeOf(nameOfSlot(slots[i]))
		if (i-home+pageSlots)%pageSlots >= (i-hole+pageSlots)%pageSlots {
			atomic.StoreUint64(&slots[hole], slots[i])
			hole = i
		}
	}
	atomic.StoreUint64(&slots[hole], 0)
	s.a.pages[page-1].used--
}

// roomFor makes room for one more slot for a name of that hash: splits its page, or, where the index can't grow, evicts from
// the page. It must come before anything is looked up, for it may evict. It fails only if the shard is closed or has no memory
// at all.
func (s *shard) roomFor(hash uint64, t moment) bool {
	if s.dir == nil {
		return false
	}
	for {
		page := s.pageOf(hash)
		if page == 0 {
			if page = s.newPage(t); page == 0 {
				return false
			}
			atomic.StoreUint32(&s.dir[0], page)
			continue
		}
		if s.a.pages[page-1].used < pageFull {
			return true
		}
		if !s.split(hash, t) {
			s.evictFromPage(hash)
			return true
		}
	}
}

// split divides the page of hash in two; false if the directory is as deep as it gets or there is no memory for a page.
func (s *shard) split(hash uint64, t moment) bool {
	depth := uint8(s.depth.Load())
	if d := s.a.pages[s.pageOf(hash)-1].depth; d >= maxDepth || d == depth && 2<<depth > len(s.dir) {
		return false
	}
	fresh := s.newPage(t)
	if fresh == 0 {
		return false
	}
	page := s.pageOf(hash)
	state, freshState := &s.a.pages[page-1], &s.a.pages[fresh-1]
	if depth = uint8(s.depth.Load()); state.depth == depth { // finding room for the page may have grown it
		for i := 1<<depth - 1; i >= 0; i-- {
			p := s.dir[i]
			atomic.StoreUint32(&s.dir[2*i], p)
			atomic.StoreUint32(&s.dir[2*i+1], p)
		}
		depth++
		s.depth.Store(uint32(depth))
	}
	// The entries of the directory that lead to page lie next to each other; the second half of them now leads to fresh.
	span := 1 << (depth - state.depth)
	first := int(s.nameBitsOf(hash)>>(nameBits-depth)) &^ (span - 1)
	for i := first + span/2; i < first+span; i++ {
		atomic.StoreUint32(&s.dir[i], fresh)
	}
	state.depth++
	*freshState = pageState{depth: state.depth}

	slots, freshSlots := s.a.slots(page), s.a.slots(fresh)
	old := *slots
	clearSlots(slots)
	state.used = 0
	for _, v := range old {
		switch {
		case v == 0:
		case nameOfSlot(v)>>(nameBits-state.depth)&1 == 1:
			put(freshSlots, v)
			freshState.used++
		default:
			put(slots, v)
			state.used++
		}
	}
	return true
}

// evictFromPage drops the least used of the first entries that a name of that hash is probed through.
func (s *shard) evictFromPage(hash uint64) {
	const candidates = 8
	page := s.pageOf(hash)
	slots := s.a.slots(page)
	worst, least := -1, uint32(0)
	i := homeOf(s.nameBitsOf(hash))
	for seen := 0; seen < candidates; i = (i + 1) % pageSlots {
		v := slots[i]
		if v == 0 {
			continue
		}
		seen++
		b := s.a.blob(v & locMask)
		if b == nil {
			worst = i
			break
		}
		if n := b.loadUse() & useCount; worst < 0 || n < least {
			worst, least = i, n
		}
	}
	s.drop(page, worst, evictedIndex)
}

// eachPage calls visit with the page that holds the hashes from `from` on and returns where the next page begins; done after
// the last. A walk that goes on from there sees each entry that stays, however pages are split in between.
func (s *shard) eachPage(from uint64, visit func(*[pageSlots]uint64)) (next uint64) {
	const end = 1 << nameBits
	if s.dir == nil {
		return end
	}
	page := s.dir[from>>(nameBits-s.depth.Load())]
	if page == 0 {
		return end
	}
	span := uint64(nameBits - s.a.pages[page-1].depth)
	visit(s.a.slots(page))
	return (from>>span + 1) << span
}
