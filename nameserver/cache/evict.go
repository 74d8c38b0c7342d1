package cache

import "encoding/binary"

// Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023), on logs of segments. What
// is new goes to the small queue, a tenth of the memory. What leaves it at its end and was asked for in the meantime goes to
// the main queue; what was not is gone, and leaves a fingerprint in the ghost, so that it goes to the main queue at once if it
// comes back soon. At the end of the main queue what was asked for since the last time goes round again. So a flood of names
// that are asked once passes through a tenth of the memory and never gets to what is in use. A hit moves nothing; it counts to
// 3 in the entry.

// cause is why an entry was evicted.
type cause uint8

const (
	evictedCold    cause = iota // came to the end of the small queue and was hardly asked for
	evictedAged                 // came to the end of the main queue and was not asked for since the last round
	evictedExpired              // past its stale window
	evictedIndex                // its page of the index was full and could not be split
	evictedCrowded              // there was no room to keep it, although it was in use
	notEvicted                  // replaced, purged, or contradicted by something newer
	causeEnd
)

var causeNames = [causeEnd]string{"cold", "aged", "expired", "index", "crowded", ""}

// smallShare is the part of the memory for the small queue: a tenth, as in the paper, whose results hardly change from 5 to 20
// %.
const smallShare = 10

// promoteAt is how many accesses in the small queue make an entry worth a place in the main queue: two, as in the paper. With
// one, a flood in which every name is asked for twice (a client that repeats itself is enough) lowers the hits of the names in
// use from 99 % to 59 %, which is no better than LRU; TestFlood has it.
const promoteAt = 2

// evict looks at about budget units at the end of the queue that is too long, and frees its segment when it is through. It
// returns false if there is nothing to evict.
func (s *shard) evict(budget int, t moment) bool {
	for budget > 0 {
		if s.victim == 0 && !s.nextVictim() {
			return false
		}
		m := &s.a.segments[s.victim-1]
		if s.cursor >= m.fill {
			s.giveBack(s.victim)
			s.victim = 0
			if s.spare() >= reserveSegments {
				return true
			}
			continue
		}
		loc := s.a.startOf(s.victim) + uint64(s.cursor)
		b := s.a.blob(loc)
		if b == nil || s.cursor+uint32(len(b)/unit) > m.fill {
			s.damaged(s.victim)
			s.cursor = m.fill
			continue
		}
		n := uint32(len(b) / unit)
		s.judge(b, loc, t)
		s.cursor += n
		budget -= int(n)
	}
	return true
}

// nextVictim takes the oldest segment off the queue that is too long.
func (s *shard) nextVictim() bool {
	q := &s.main
	if s.small.segments > max(1, (s.quota-s.indexSegments)/smallShare) || s.main.segments == 0 {
		q = &s.small
	}
	if q.oldest == 0 {
		return false
	}
	s.victim, s.cursor = q.oldest, 1
	q.oldest = s.a.segments[s.victim-1].next
	if q.oldest == 0 {
		q.youngest = 0
	}
	q.segments--
	s.a.segments[s.victim-1].next = 0
	return true
}

// judge keeps or drops one entry of the segment that is evicted.
func (s *shard) judge(b blob, loc uint64, t moment) {
	use := b.loadUse()
	if use&useDead != 0 {
		return
	}
	hash := s.c.key.name(b.name())
	page, slot := s.findLoc(hash, loc)
	if page == 0 {
		return
	}
	count, small := use&useCount, !s.a.stateOf(loc).main
	switch {
	case b.expires() <= t.dead || b.kind() == KindImage && b.expires() <= t.now: // nothing stale is given from an image
		s.drop(page, slot, evictedExpired)
		return
	case small && count < promoteAt:
		s.ghost.add(s.c.key.ghost(hash, b.kind(), b.typ(), b.partition()))
		s.drop(page, slot, evictedCold)
		return
	case small:
		use &^= useCount
	case count == 0:
		s.drop(page, slot, evictedAged)
		return
	default:
		use--
	}
	to := s.extend(&s.main, uint32(len(b)/unit))
	if to == 0 {
		s.drop(page, slot, evictedCrowded)
		return
	}
	s.a.write(to, len(b), func(room []byte) {
		copy(room, b)
		binary.LittleEndian.PutUint32(room[atUse:], use)
	})
	s.point(page, slot, to)
}

// drop takes the entry of a slot out of the index. Its octets stay where they are until their segment is evicted.
func (s *shard) drop(page uint32, slot int, why cause) {
	loc := s.a.slots(page)[slot] & locMask
	s.removeSlot(page, slot)
	b := s.a.blob(loc)
	if b == nil {
		s.n.damaged++
		return
	}
	s.forget(b)
	if why != notEvicted {
		s.c.m.evicted[why].Inc()
	}
}

// forget marks an entry that no slot points to any more.
func (s *shard) forget(b blob) {
	b.storeUse(b.loadUse() | useDead)
	k := b.kind()
	if k < kindEnd {
		s.n.entries[k]--
	}
	s.n.liveUnits -= int64(len(b) / unit)
	if k == KindProof {
		s.c.proofs.removeBlob(b)
	}
}

// damaged drops all that the index has in a segment whose log can't be read. It never happens unless memory is faulty or there
// is a mistake here; then the entries are lost, and the cache works on.
func (s *shard) damaged(seg uint32) {
	s.n.damaged++
	from := s.a.startOf(seg)
	to := from + uint64(s.a.segUnits)
	for at := uint64(0); at < 1<<nameBits; {
		var gone []uint64
		page := s.dir[at>>(nameBits-s.depth.Load())]
		at = s.eachPage(at, func(slots *[pageSlots]uint64) {
			for _, v := range slots {
				if loc := v & locMask; loc >= from && loc < to {
					gone = append(gone, v)
				}
			}
		})
		for _, v := range gone {
			for slot, w := range s.a.slots(page) {
				if w == v {
					s.removeSlot(page, slot)
					break
				}
			}
		}
	}
	s.recount()
}

// recount counts the live entries anew.
func (s *shard) recount() {
	s.n.entries, s.n.liveUnits = [kindEnd]int64{}, 0
	for at := uint64(0); at < 1<<nameBits; {
		at = s.eachPage(at, func(slots *[pageSlots]uint64) {
			for _, v := range slots {
				if b := s.a.blob(v & locMask); b != nil && b.kind() < kindEnd {
					s.n.entries[b.kind()]++
					s.n.liveUnits += int64(len(b) / unit)
				}
			}
		})
	}
}
