package replica

import (
	"hash/maphash"

	"github.com/ananas-edge/ananas/store"
)

// index is the map in memory: entries in an arena, found by their hash and by their order. It is immutable; an edit makes the next one of it, which shares
// all that did not change.
type index struct {
	arena
	seed  maphash.Seed
	bins  *bin
	order *page
	n     int
}

// newIndex returns an empty one. The seed of the hash is the runtime's: who chooses keys can't know where they fall, and nothing that is seen depends on it.
func newIndex() index { return index{arena: arena{cleaning: -1}, seed: maphash.MakeSeed()} }

// hash returns the hash of a key.
func (x *index) hash(key []byte) uint64 { return maphash.Bytes(x.seed, key) }

// find returns where the entry of a key is; 0 if there is none. It allocates nothing.
func (x *index) find(key string) ref {
	return x.bins.find(&x.arena, maphash.String(x.seed, key), key)
}

// edit is a next index in the making. It belongs to one goroutine.
type edit struct {
	index
	id    uint64 // of no other edit of the same line
	wrote int    // octets that were added
}

// edited begins an edit. What was written by an earlier one that came to nothing is written over.
func (x *index) edited(id uint64) *edit {
	e := &edit{index: *x, id: id}
	e.arena = x.arena.edited()
	return e
}

// put sets the entry at a key, and tells whether there was one.
func (e *edit) put(key string, entry store.Entry) bool {
	r := e.add(key, entry)
	e.wrote += entryHeader + len(key) + len(entry.Value) + saltLength
	return e.point(maphash.String(e.seed, key), r) != 0
}

// point makes both trees say that the entry of a key is at r.
func (e *edit) point(hash uint64, r ref) (was ref) {
	e.bins, was = e.set(e.bins, hash, 0, r)
	left, right := e.place(e.order, e.key(r), r)
	if right != nil {
		left = &page{refs: []ref{left.refs[0], right.refs[0]}, kids: []*page{left, right}, edit: e.id}
	}
	e.order = left
	if was != 0 {
		e.drop(was)
	} else {
		e.n++
	}
	return was
}

// del takes the entry of a key out, and tells whether there was one.
func (e *edit) del(key string) bool {
	bins, was := e.unset(e.bins, maphash.String(e.seed, key), 0, key)
	if was == 0 {
		return false
	}
	e.bins = bins
	e.order = e.remove(e.order, []byte(key))
	for e.order != nil && e.order.kids != nil && len(e.order.kids) == 1 {
		e.order = e.order.kids[0]
	}
	e.drop(was)
	e.n--
	return true
}

// Cleaning begins when garbage is more than half of what lives, and goes on with what is written: a step looks at four times that. The dirtiest segment is then a
// third garbage at least, so that four octets looked at free more than the one that was written.
const (
	cleanRatio = 2
	cleanStep  = 4
	cleanLeast = 4 * minSegment // garbage that is left alone, in octets; and what a step looks at, at least
)

// clean moves what lives out of dirty segments, as far as the turn of this edit goes, and returns the octets that were moved.
func (e *edit) clean() (moved int) {
	for budget := cleanStep*e.wrote + cleanLeast; budget > 0; {
		if e.cleaning < 0 {
			if e.used-e.live <= e.live/cleanRatio+cleanLeast {
				return moved
			}
			if e.cleaning = e.dirtiest(); e.cleaning < 0 {
				return moved
			}
			e.cleaningOffset = 1
		}
		segment := e.cleaning
		if e.use[segment].live == 0 || e.cleaningOffset >= int(e.use[segment].used) {
			e.forget(segment)
			e.cleaning = -1
			continue
		}
		r := ref(segment)<<segmentBits | ref(e.cleaningOffset)
		n := e.size(r)
		e.cleaningOffset += n
		budget -= n
		hash := e.hash(e.key(r))
		if e.bins.find(&e.arena, hash, string(e.key(r))) != r {
			continue
		}
		b, to := e.room(n)
		copy(b, e.segments[segment][r.offset():])
		e.point(hash, to)
		moved += n
	}
	return moved
}

// at returns the entry at a key.
func (x *index) at(key string) (store.Entry, bool) {
	r := x.find(key)
	if r == 0 {
		return store.Entry{}, false
	}
	return x.entry(r), true
}
