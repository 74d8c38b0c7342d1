package replica

import (
	"encoding/binary"
	"slices"

	"github.com/ananas-edge/ananas/store"
)

// Entries lie one behind another in segments, and are never changed where they lie. An entry is:
//
//	length of the key    2 octets
//	length of the value  4 octets
//	key, value, salt
//
// A segment has no pointers, so that the garbage collector has nothing to do in it. What was replaced stays as garbage until the segment is cleaned: what lives in it is
// moved to the end, and the segment is forgotten. Views that still know it keep it.
const (
	segmentBits = 20
	maxSegment  = 1 << segmentBits // octets: 16 of the largest entries, and little enough to be moved in a few milliseconds
	minSegment  = 16 << 10         // of the first ones, so that a small store takes little
	entryHeader = 2 + 4
	saltLength  = len(store.Salt{})
)

// ref says where an entry lies: the segment and the offset in it. 0 is none. It has 40 bits at most (refBits), which is 1 TiB of entries; Options.MaxBytes is far below.
type ref uint64

func (r ref) segment() int { return int(r >> segmentBits) }
func (r ref) offset() int  { return int(r & (maxSegment - 1)) }

// arena is all segments of an index. A view's is immutable; an edit has one of its own, that shares the segments and writes behind what is used of the last.
type arena struct {
	segments [][]byte // nil: forgotten, and its number can be used again
	use      []use
	shared   bool // segments belongs to the version before as well
	tail     int  // the segment that is written to
	used     int64
	live     int64

	// What is being cleaned: a segment, and how far.
	cleaning       int // -1: none
	cleaningOffset int
}

// use is how full a segment is, in octets.
type use struct{ used, live uint32 }

// key returns the key of an entry.
func (a *arena) key(r ref) []byte {
	b := a.segments[r.segment()][r.offset():]
	return b[entryHeader : entryHeader+int(binary.LittleEndian.Uint16(b))]
}

// value returns the document of an entry.
func (a *arena) value(r ref) []byte {
	b := a.segments[r.segment()][r.offset():]
	from := entryHeader + int(binary.LittleEndian.Uint16(b))
	to := from + int(binary.LittleEndian.Uint32(b[2:]))
	return b[from:to:to]
}

// entry returns an entry with its salt.
func (a *arena) entry(r ref) store.Entry {
	b := a.segments[r.segment()][r.offset():]
	from := entryHeader + int(binary.LittleEndian.Uint16(b))
	to := from + int(binary.LittleEndian.Uint32(b[2:]))
	e := store.Entry{Value: b[from:to:to]}
	copy(e.Salt[:], b[to:])
	return e
}

// size returns what an entry takes.
func (a *arena) size(r ref) int {
	b := a.segments[r.segment()][r.offset():]
	return entryHeader + int(binary.LittleEndian.Uint16(b)) + int(binary.LittleEndian.Uint32(b[2:])) + saltLength
}

// edited returns a copy that can be written to.
func (a arena) edited() arena {
	a.use, a.shared = slices.Clone(a.use), true
	return a
}

// unshare comes before a change of which segments there are, which few versions make.
func (a *arena) unshare() {
	if a.shared {
		a.segments, a.shared = slices.Clone(a.segments), false
	}
}

// add writes an entry to the end.
func (a *arena) add(key string, e store.Entry) ref {
	n := entryHeader + len(key) + len(e.Value) + saltLength
	b, r := a.room(n)
	binary.LittleEndian.PutUint16(b, uint16(len(key)))
	binary.LittleEndian.PutUint32(b[2:], uint32(len(e.Value)))
	at := entryHeader + copy(b[entryHeader:], key)
	at += copy(b[at:], e.Value)
	copy(b[at:], e.Salt[:])
	return r
}

// room takes n octets at the end.
func (a *arena) room(n int) ([]byte, ref) {
	if len(a.segments) == 0 || int(a.use[a.tail].used)+n > len(a.segments[a.tail]) {
		a.grow(n)
	}
	u := &a.use[a.tail]
	from := int(u.used)
	u.used += uint32(n)
	u.live += uint32(n)
	a.used += int64(n)
	a.live += int64(n)
	return a.segments[a.tail][from : from+n], ref(a.tail)<<segmentBits | ref(from)
}

// grow begins a segment. It is a quarter of what is there: garbage and room stay in proportion.
func (a *arena) grow(n int) {
	a.unshare()
	size := max(min(int(a.used/4), maxSegment), minSegment, n+1)
	a.tail = slices.IndexFunc(a.segments, func(b []byte) bool { return b == nil })
	if a.tail < 0 {
		a.tail = len(a.segments)
		a.segments, a.use = append(a.segments, nil), append(a.use, use{})
	}
	a.segments[a.tail] = make([]byte, size)
	a.use[a.tail] = use{used: 1} // no entry is at 0, so that no ref is 0
	a.used++
}

// drop makes garbage of an entry.
func (a *arena) drop(r ref) {
	n := a.size(r)
	a.use[r.segment()].live -= uint32(n)
	a.live -= int64(n)
}

// forget gives up a segment in which nothing lives.
func (a *arena) forget(segment int) {
	a.unshare()
	a.used -= int64(a.use[segment].used)
	a.segments[segment], a.use[segment] = nil, use{}
}

// dirtiest returns the segment with the largest share of garbage; -1 if there is none but the tail.
func (a *arena) dirtiest() int {
	best, share := -1, 0.0
	for i, u := range a.use {
		if i == a.tail || a.segments[i] == nil {
			continue
		}
		if g := float64(u.used-u.live) / float64(u.used); g > share {
			best, share = i, g
		}
	}
	return best
}
