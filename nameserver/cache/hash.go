package cache

import (
	"encoding/binary"
	"math/bits"
)

// hashKey is the secret of a cache's hash. Without one, whoever may ask could fill a single page of the index.
type hashKey [4]uint64

// newHashKey stretches a seed (splitmix64).
func newHashKey(seed uint64) (k hashKey) {
	for i := range k {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		k[i] = z ^ z>>31
	}
	return k
}

// name hashes a wire name without regard to case, eight octets a step by one multiplication of 64 by 64 bits folded in half
// (the step of wyhash, and of Go's own maps). The type is no part of it: all that is known of a name lies together.
func (k *hashKey) name(wire []byte) uint64 {
	h := k[0] ^ uint64(len(wire))
	for len(wire) >= 8 {
		h = fold(h^lower8(binary.LittleEndian.Uint64(wire)), k[1])
		wire = wire[8:]
	}
	if len(wire) > 0 {
		var tail uint64
		for i, c := range wire {
			tail |= uint64(c) << (8 * i)
		}
		h = fold(h^lower8(tail), k[2])
	}
	return fold(h^k[3], k[1])
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

const (
	every    = 0x0101010101010101
	highBits = 0x80 * every
)

// lower8 lowers the ASCII letters among eight octets. Lengths of labels are at most 63, below 'A', and stay as they are.
func lower8(x uint64) uint64 {
	low := x &^ highBits
	fromA := low + (0x80-'A')*every
	aboveZ := low + (0x7f-'Z')*every
	upper := (fromA ^ aboveZ) & ^x & highBits
	return x | upper>>2
}

// sameName tells whether a name kept in lower case is wire, in any case.
func sameName(kept, wire []byte) bool {
	if len(kept) != len(wire) {
		return false
	}
	for len(wire) >= 8 {
		if binary.LittleEndian.Uint64(kept) != lower8(binary.LittleEndian.Uint64(wire)) {
			return false
		}
		kept, wire = kept[8:], wire[8:]
	}
	for i, c := range wire {
		if kept[i] != lowerOctet(c) {
			return false
		}
	}
	return true
}

func lowerOctet(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// putLower writes wire in lower case to dst, which is as long.
func putLower(dst, wire []byte) {
	for len(wire) >= 8 {
		binary.LittleEndian.PutUint64(dst, lower8(binary.LittleEndian.Uint64(wire)))
		dst, wire = dst[8:], wire[8:]
	}
	for i, c := range wire {
		dst[i] = lowerOctet(c)
	}
}
