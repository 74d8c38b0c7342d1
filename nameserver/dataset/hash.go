package dataset

import (
	"encoding/binary"
	"math/bits"
)

// A name is hashed from the right, label by label, so that one pass over a query gives the hashes of all its ancestors. Each label goes in with its
// length octet: so no two names, whatever octets their labels hold, are the same input. The seed comes from the text of the list. Strangers who
// make queries can look for names that meet in one bucket, but a bucket has bucketLimit names at most, checked when it was built.

const hashFactor = 0x9fb21c651e98df25 // odd, its bits half ones

// hashLabel adds the label at s[from:end], its length octet included, to the hash of what is to its right.
func hashLabel(h uint64, s string, from, end int) uint64 {
	for ; end-from > 8; end -= 8 {
		h = fold(h ^ word(s[end-8:]))
	}
	var w uint64
	if end >= 8 {
		w = word(s[end-8:]) >> uint(64-8*(end-from)) // the octets of the label before it, if any, are shifted out
	} else {
		for i := end - 1; i >= from; i-- {
			w = w<<8 | uint64(s[i])
		}
	}
	return fold(h ^ w)
}

func fold(x uint64) uint64 {
	hi, lo := bits.Mul64(x, hashFactor)
	return bits.RotateLeft64(hi^lo, 23) + hashFactor
}

// word is the first eight octets of s as a number, the first one lowest.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// hashName is the hash of a whole name, given without its root label, and its number of labels.
func hashName(seed uint64, s string) (h uint64, labels int) {
	var at [maxLabels]uint8
	n, _ := labelStarts(s, &at)
	h = seed
	end := len(s)
	for i := n - 1; i >= 0; i-- {
		h = hashLabel(h, s, int(at[i]), end)
		end = int(at[i])
	}
	return h, n
}

// maxLabels is what fits into a name of 255 octets (RFC 1035 section 2.3.4).
const maxLabels = 127

// labelStarts finds where the labels of s begin, s being a name in wire form without its root label. It reports whether s is one.
func labelStarts(s string, at *[maxLabels]uint8) (n int, ok bool) {
	if len(s) > maxName {
		return 0, false
	}
	for i := 0; i < len(s); i += 1 + int(s[i]) {
		if c := s[i]; c == 0 || c > 63 || n == maxLabels || i+1+int(c) > len(s) {
			return 0, false
		}
		at[n] = uint8(i)
		n++
	}
	return n, true
}

// maxName is the longest name without its root label, in octets.
const maxName = 254

var le = binary.LittleEndian
