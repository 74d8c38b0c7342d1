package cache

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"time"
)

// ordered is a set of octet strings in order: a skip list whose nodes lie in one fixed run of memory and name each other by
// offset. It does not lock.
//
// A node, in units of 8 octets:
//
//	0  2  length of the key; 0: the node is free
//	2  1  levels
//	3  1  size of the node in units
//	4  4  a free node: the next free one of its size
//	8  8  until: nanoseconds of boot time
//	16    levels times 4 octets: the next node on that level; 0: none
//	      the key
type ordered struct {
	mem  []byte
	used uint32                   // units handed out, from 1 on
	head [maxLevels]uint32        // first node of each level
	free [maxNodeUnits + 1]uint32 // free nodes by size
	hand uint32                   // where the search for something to give up goes on
	len  int                      // nodes in the list
	rand uint64                   // state of the levels' generator
}

const (
	maxLevels    = 12 // at a quarter each, 4^12 = 16 million nodes before searches get longer
	nodeHead     = 16
	maxNodeUnits = 74 // 592 octets: 16 + 4*12 and the longest key, a name of 255 octets that are all escaped, and 2
	// giveUpScan is how many nodes of sufficient size are looked at for the one that expires first, when there is no room for
	// another, and giveUpSteps how many nodes at all.
	giveUpScan  = 32
	giveUpSteps = 512
)

func newOrdered(mem []byte, seed uint64) ordered {
	return ordered{mem: mem, used: 1, hand: 1, rand: seed | 1}
}

func (o *ordered) u32(at uint32) uint32       { return binary.LittleEndian.Uint32(o.mem[at:]) }
func (o *ordered) putU32(at uint32, v uint32) { binary.LittleEndian.PutUint32(o.mem[at:], v) }

func (o *ordered) keyLen(node uint32) int { return int(binary.LittleEndian.Uint16(o.mem[node*unit:])) }
func (o *ordered) levels(node uint32) int { return int(o.mem[node*unit+2]) }
func (o *ordered) units(node uint32) int  { return int(o.mem[node*unit+3]) }
func (o *ordered) until(node uint32) time.Duration {
	return time.Duration(binary.LittleEndian.Uint64(o.mem[node*unit+8:]))
}
func (o *ordered) setUntil(node uint32, t time.Duration) {
	binary.LittleEndian.PutUint64(o.mem[node*unit+8:], uint64(t))
}

// key returns the key of a node, in the list's own memory.
func (o *ordered) key(node uint32) []byte {
	at := node*unit + nodeHead + 4*uint32(o.levels(node))
	return o.mem[at : at+uint32(o.keyLen(node))]
}

// next returns the node after node on a level; node 0 is the head.
func (o *ordered) next(node uint32, level int) uint32 {
	if node == 0 {
		return o.head[level]
	}
	return o.u32(node*unit + nodeHead + 4*uint32(level))
}

func (o *ordered) setNext(node uint32, level int, to uint32) {
	if node == 0 {
		o.head[level] = to
		return
	}
	o.putU32(node*unit+nodeHead+4*uint32(level), to)
}

// before returns the last node whose key is less than key, 0 if there is none, and notes the way there in path.
func (o *ordered) before(key []byte, path *[maxLevels]uint32) uint32 {
	node := uint32(0)
	for level := maxLevels - 1; level >= 0; level-- {
		for {
			n := o.next(node, level)
			if n == 0 || bytes.Compare(o.key(n), key) >= 0 {
				break
			}
			node = n
		}
		path[level] = node
	}
	return node
}

// floor returns the last node whose key is at most key, 0 if there is none.
func (o *ordered) floor(key []byte) uint32 {
	var path [maxLevels]uint32
	node := o.before(key, &path)
	if n := o.next(node, 0); n != 0 && bytes.Equal(o.key(n), key) {
		return n
	}
	return node
}

// ceiling returns the first node whose key is at least key, 0 if there is none.
func (o *ordered) ceiling(key []byte) uint32 {
	var path [maxLevels]uint32
	return o.next(o.before(key, &path), 0)
}

// add puts a key into the set, or gives it a new time. If there is no room, it gives up another node for it; ok is false if
// none is found that is large enough.
func (o *ordered) add(key []byte, until time.Duration) (gaveUp, ok bool) {
	var path [maxLevels]uint32
	if n := o.next(o.before(key, &path), 0); n != 0 && bytes.Equal(o.key(n), key) {
		o.setUntil(n, until)
		return false, true
	}
	levels := 1 + bits.TrailingZeros64(o.random()|1<<(2*maxLevels-2))/2
	if len(key) == 0 || nodeUnits(maxLevels, len(key)) > maxNodeUnits {
		return false, false
	}
	node := o.allocate(nodeUnits(levels, len(key)))
	if node == 0 {
		if gaveUp = o.giveUp(nodeUnits(levels, len(key))); !gaveUp {
			levels = 1 // a low node fits where a tall one does not
			gaveUp = o.giveUp(nodeUnits(levels, len(key)))
		}
		if !gaveUp {
			return false, false
		}
		node = o.allocate(nodeUnits(levels, len(key)))
		o.before(key, &path) // it may have led over the node that is gone
	}
	at := node * unit
	binary.LittleEndian.PutUint16(o.mem[at:], uint16(len(key)))
	o.mem[at+2] = byte(levels)
	o.setUntil(node, until)
	for level := range levels {
		o.setNext(node, level, o.next(path[level], level))
		o.setNext(path[level], level, node)
	}
	copy(o.key(node), key)
	o.len++
	return gaveUp, true
}

// nodeUnits returns the size of a node, always even: half as many sizes.
func nodeUnits(levels, key int) int { return (nodeHead + 4*levels + key + 2*unit - 1) / (2 * unit) * 2 }

// remove takes a key out of the set.
func (o *ordered) remove(key []byte) bool {
	var path [maxLevels]uint32
	node := o.next(o.before(key, &path), 0)
	if node == 0 || !bytes.Equal(o.key(node), key) {
		return false
	}
	for level := range o.levels(node) {
		o.setNext(path[level], level, o.next(node, level))
	}
	units := o.units(node)
	binary.LittleEndian.PutUint16(o.mem[node*unit:], 0)
	o.putU32(node*unit+4, o.free[units])
	o.free[units] = node
	o.len--
	return true
}

// allocate returns a node of at least that size, 0 if there is none. A node keeps its size for ever.
func (o *ordered) allocate(units int) uint32 {
	for size := units; size <= maxNodeUnits; size += 2 {
		if node := o.free[size]; node != 0 {
			o.free[size] = o.u32(node*unit + 4)
			return node
		}
		if size == units && (int(o.used)+units)*unit <= len(o.mem) {
			node := o.used
			o.used += uint32(units)
			o.mem[node*unit+3] = byte(units)
			return node
		}
	}
	return 0
}

// giveUp removes, of the next nodes in memory that have at least that size, the one that expires first.
func (o *ordered) giveUp(units int) bool {
	best := uint32(0)
	for seen, steps := 0, 0; seen < giveUpScan && steps < giveUpSteps && o.used > 1; steps++ {
		if o.hand >= o.used {
			o.hand = 1
		}
		node := o.hand
		o.hand += uint32(o.units(node))
		if o.keyLen(node) == 0 || o.units(node) < units {
			continue
		}
		seen++
		if best == 0 || o.until(node) < o.until(best) {
			best = node
		}
	}
	return best != 0 && o.remove(bytes.Clone(o.key(best)))
}

// random is xorshift64*: it only decides how tall a node is.
func (o *ordered) random() uint64 {
	o.rand ^= o.rand >> 12
	o.rand ^= o.rand << 25
	o.rand ^= o.rand >> 27
	return o.rand * 0x2545f4914f6cdd1d
}
