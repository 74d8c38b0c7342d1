package cache

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// arena is the memory of all shards: one run, cut into segments. A segment is part of a shard's log (entries, one after the
// other, from unit 1 on), or holds pages of a shard's index. Segments are handed out in the order of their addresses and stay
// with their shard, so that a cache which is hardly used touches little memory.
type arena struct {
	bytes    []byte
	words    []uint64 // the same memory
	segments []segmentState
	pages    []pageState
	segUnits uint32        // units in a segment, a power of two
	fresh    atomic.Uint32 // segments handed out so far
}

// segmentState is what is known of a segment outside of it. Segments are counted from 1.
type segmentState struct {
	fill uint32 // units used
	next uint32 // the next younger segment of its queue, or the next free one; 0: none
	// freed counts how often it was given back. Entries are never changed where they lie, so a reader without the lock can tell
	// from it, before and after, whether what it copied was whole (reader.go).
	freed uint32
	main  bool // it belongs to the main queue
	_     [3]byte
}

// queue is a FIFO of segments: entries are appended to the youngest, evicted from the oldest.
type queue struct {
	oldest, youngest uint32 // segments; 0: none
	segments         int
}

// moment is the time at which something is done, and from when on an expired entry is of no use any more.
type moment struct {
	now  time.Duration
	dead time.Duration // what expired at or before this is past its stale window
}

func (a *arena) startOf(seg uint32) uint64 { return uint64(seg-1) * uint64(a.segUnits) }

// stateOf returns the state of the segment in which loc lies.
func (a *arena) stateOf(loc uint64) *segmentState { return &a.segments[loc/uint64(a.segUnits)] }

// blob returns the entry at loc; nil if what lies there can't be one.
func (a *arena) blob(loc uint64) blob {
	at := loc * unit
	if loc == 0 || at+headLen > uint64(len(a.bytes)) {
		return nil
	}
	n := uint64(binary.LittleEndian.Uint16(a.bytes[at:])) * unit
	left := (uint64(a.segUnits) - loc%uint64(a.segUnits)) * unit
	if n < headLen || n > left || at+n > uint64(len(a.bytes)) {
		return nil
	}
	return a.bytes[at : at+n : at+n]
}

// inOrder tells whether stores are seen by others in the order in which they are made, as on x86: then an entry may be written with plain ones after
// its segment's count went up.
const inOrder = runtime.GOARCH == "amd64"

// write has fill write an entry of so many octets to loc. Where the race detector looks on, or stores may be seen in another order, it is written word by word, as a
// [Reader] may be reading what lay there; otherwise in place: what a reader has copied meanwhile it throws away.
func (a *arena) write(loc uint64, octets int, fill func(room []byte)) blob {
	b := a.bytes[loc*unit:][:octets:octets]
	if !poisonFreed && inOrder {
		fill(b)
		return b
	}
	words := make([]uint64, octets/unit)
	fill(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), octets))
	for i, w := range words {
		atomic.StoreUint64(&a.words[loc+uint64(i)], w)
	}
	return b
}

// point makes a slot lead to another place.
func (s *shard) point(page uint32, slot int, loc uint64) {
	p := &s.a.slots(page)[slot]
	atomic.StoreUint64(p, *p&^locMask|loc)
}

// spare counts the segments that the shard can still take.
func (s *shard) spare() int { return s.freeSegments + s.quota - s.taken }

// takeSegment returns an empty segment, 0 if there is none.
func (s *shard) takeSegment() uint32 {
	if seg := s.free; seg != 0 {
		s.free = s.a.segments[seg-1].next
		s.freeSegments--
		s.a.segments[seg-1].next = 0
		return seg
	}
	if s.taken >= s.quota {
		return 0
	}
	s.taken++
	return s.a.fresh.Add(1) // the quotas add up to what there is
}

// giveBack makes a segment free.
func (s *shard) giveBack(seg uint32) {
	m := &s.a.segments[seg-1]
	atomic.AddUint32(&m.freed, 1) // before anything is written over what it held
	if poisonFreed {
		at := s.a.startOf(seg) * unit
		for i := at / unit; i < at/unit+uint64(s.a.segUnits); i++ {
			atomic.StoreUint64(&s.a.words[i], 0xdbdbdbdbdbdbdbdb)
		}
	}
	m.fill = 0
	m.next = s.free
	s.free = seg
	s.freeSegments++
}

// extend returns where n units at the end of q begin, 0 if there is no room.
func (s *shard) extend(q *queue, n uint32) (loc uint64) {
	if q.youngest == 0 || s.a.segments[q.youngest-1].fill+n > s.a.segUnits {
		seg := s.takeSegment()
		if seg == 0 {
			return 0
		}
		s.a.segments[seg-1].fill = 1 // location 0 is no location
		s.a.segments[seg-1].main = q == &s.main
		if q.youngest == 0 {
			q.oldest = seg
		} else {
			s.a.segments[q.youngest-1].next = seg
		}
		q.youngest = seg
		q.segments++
	}
	m := &s.a.segments[q.youngest-1]
	loc = s.a.startOf(q.youngest) + uint64(m.fill)
	m.fill += n
	return loc
}

// reserve makes room for an entry of n units at the end of q, evicting what must be. Most of the time it evicts a little more
// than it takes, so that no store ever has to empty a whole segment.
func (s *shard) reserve(q *queue, n uint32, t moment) (loc uint64) {
	if s.spare() < reserveSegments {
		s.evict(evictAhead*int(n), t)
	}
	for {
		if loc := s.extend(q, n); loc != 0 {
			return loc
		}
		if !s.evict(int(s.a.segUnits), t) {
			return 0
		}
	}
}

const (
	// reserveSegments are kept free: one for what arrives, one for what is kept of the segment that is being evicted.
	reserveSegments = 2
	// evictAhead is how many units are looked at for eviction for each unit that is stored while segments are short. With the
	// main queue full of what is used, three of four units survive a pass; four times gives a free unit for a stored one.
	evictAhead = 4
)

// newPage returns an empty page for the index, 0 if there is no memory for one.
func (s *shard) newPage(t moment) uint32 {
	if s.pagesLeft == 0 {
		// A third of the memory is more than any mix of entries needs (9 to 18 octets of index for entries of at least 40).
		if s.indexSegments >= max(1, s.quota/3) {
			return 0
		}
		for tries := 0; s.spare() < reserveSegments && (tries < reserveSegments || s.spare() == 0); tries++ {
			if !s.evict(int(s.a.segUnits), t) {
				break
			}
		}
		seg := s.takeSegment()
		if seg == 0 {
			return 0
		}
		s.indexSegments++
		s.pagesLeft = s.a.segUnits / pageSlots
		s.nextPage = uint32(s.a.startOf(seg)/pageSlots) + 1
	}
	page := s.nextPage
	s.nextPage++
	s.pagesLeft--
	clearSlots(s.a.slots(page))
	s.a.pages[page-1] = pageState{}
	return page
}
