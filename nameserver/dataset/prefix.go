package dataset

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Prefixes nest or are apart, so they cut the addresses into ranges each of which has one longest prefix, or none: at most two more ranges than
// prefixes begin and end. The ranges lie in rows of 16, their first addresses and then what they stand for; the first address of each row is in a
// level above, every 16th of that in the next, and so on until 16 are left. So a look-up reads one row of each level: of 5,000,000 IPv4 prefixes six,
// the upper four of which are mostly in a processor's cache.

const fan = 16

// noPrefix stands for the bits of a range that no prefix holds.
const noPrefix = 255

// prefix is one line of a list. An IPv4 address is in the low 32 bits, its bits counted from there.
type prefix struct {
	hi, lo uint64
	line   uint32 // the first of equal ones stays
	bits   uint8  // as written: of 32 for IPv4
	value  uint8
}

// boundary is where a range begins.
type boundary struct {
	hi, lo      uint64
	bits, value uint8
}

// flatten makes ranges of prefixes, which it sorts, and tells how many were listed before. width is 32 or 128.
func flatten(list []prefix, width int) (out []boundary, duplicates int) {
	if len(list) == 0 {
		return nil, 0
	}
	slices.SortFunc(list, func(a, b prefix) int {
		return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo), cmp.Compare(a.bits, b.bits), cmp.Compare(a.line, b.line))
	})
	emit := func(b boundary) {
		if n := len(out); n > 0 && out[n-1].hi == b.hi && out[n-1].lo == b.lo {
			out = out[:n-1]
		}
		if n := len(out); n > 0 && out[n-1].bits == b.bits && out[n-1].value == b.value {
			return
		}
		out = append(out, b)
	}
	emit(boundary{bits: noPrefix})
	type open struct {
		lastHi, lastLo uint64
		bits, value    uint8
	}
	var stack []open // prefixes that hold the next one: 129 at most
	end := func() {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		lo, hi := top.lastLo+1, top.lastHi
		if lo == 0 {
			hi++
		}
		if lo == 0 && hi == 0 || width == 32 && lo > 1<<32-1 {
			return // it was the last address of all
		}
		b := boundary{hi: hi, lo: lo, bits: noPrefix}
		if n := len(stack); n > 0 {
			b.bits, b.value = stack[n-1].bits, stack[n-1].value
		}
		emit(b)
	}
	for i, p := range list {
		if i > 0 && list[i-1].hi == p.hi && list[i-1].lo == p.lo && list[i-1].bits == p.bits {
			duplicates++
			continue
		}
		for len(stack) > 0 {
			if top := stack[len(stack)-1]; top.lastHi > p.hi || top.lastHi == p.hi && top.lastLo >= p.lo {
				break
			}
			end()
		}
		o := open{p.hi, p.lo, p.bits, p.value}
		if host := uint(width) - uint(p.bits); host >= 64 {
			o.lastHi |= 1<<(host-64) - 1
			o.lastLo = ^uint64(0)
		} else {
			o.lastLo |= 1<<host - 1
		}
		stack = append(stack, o)
		emit(boundary{p.hi, p.lo, p.bits, p.value})
	}
	for len(stack) > 0 {
		end()
	}
	return out, duplicates
}

// ranges is the compiled form.
type ranges struct {
	n     int
	rows  []byte   // of 16 keys, then bits and value for each
	above [][]byte // keys, the lowest level first
}

// rangesLen returns the octets of n ranges with keys of this many octets.
func rangesLen(n, key int) int {
	size := n * (key + 2)
	for l := above(n); l > 0; l = above(l) {
		size += l * key
	}
	return size
}

// above is the number of keys of the level above one of n; 0 if there is none.
func above(n int) int {
	if n <= fan {
		return 0
	}
	return (n + fan - 1) / fan
}

func appendRanges(b []byte, list []boundary, key int) []byte {
	for row := range slices.Chunk(list, fan) {
		for _, r := range row {
			b = appendKey(b, r, key)
		}
		for _, r := range row {
			b = append(b, r.bits, r.value)
		}
	}
	for l, step := above(len(list)), fan; l > 0; l, step = above(l), step*fan {
		for i := 0; i < len(list); i += step {
			b = appendKey(b, list[i], key)
		}
	}
	return b
}

func appendKey(b []byte, r boundary, key int) []byte {
	if key == 16 {
		b = binary.BigEndian.AppendUint64(b, r.hi)
		return binary.BigEndian.AppendUint64(b, r.lo)
	}
	return binary.BigEndian.AppendUint32(b, uint32(r.lo))
}

// readRanges takes b, which has rangesLen(n, key) octets, apart.
func readRanges(b []byte, n, key int) ranges {
	r := ranges{n: n, rows: b[:n*(key+2)]}
	b = b[n*(key+2):]
	for l := above(n); l > 0; l = above(l) {
		r.above = append(r.above, b[:l*key])
		b = b[l*key:]
	}
	return r
}

func (s *Set) prefix(a netip.Addr) (PrefixMatch, bool) {
	switch {
	case a.Is4() || a.Is4In6():
		b := a.As4()
		return s.v4.find(0, uint64(binary.BigEndian.Uint32(b[:])), 4)
	case a.Is6():
		b := a.As16()
		return s.v6.find(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), 16)
	}
	return PrefixMatch{}, false
}

// find finds the last range that begins at or before an address. However damaged the keys are, it stays within each level: a key of the level above
// stands for at least one of the level below.
func (r *ranges) find(hi, lo uint64, key int) (PrefixMatch, bool) {
	if r.n == 0 {
		return PrefixMatch{}, false
	}
	i := 0
	for l := len(r.above) - 1; l >= 0; l-- {
		keys := r.above[l][i*fan*key:]
		i = i*fan + lastUpTo(keys[:min(fan*key, len(keys))], hi, lo, key)
	}
	row := r.rows[i*fan*(key+2):]
	row = row[:min(fan*(key+2), len(row))]
	keys := len(row) / (key + 2) * key
	data := row[keys+2*lastUpTo(row[:keys], hi, lo, key):]
	if bits := int(data[0]); bits <= 8*key {
		return PrefixMatch{Value: data[1], Bits: bits}, true
	}
	return PrefixMatch{}, false
}

// lastUpTo returns which of keys, which are sorted, is the last up to the address; the first one is, or is taken for it.
func lastUpTo(keys []byte, hi, lo uint64, key int) int {
	j := 1
	if key == 4 {
		for ; 4*j < len(keys) && uint64(binary.BigEndian.Uint32(keys[4*j:])) <= lo; j++ {
		}
		return j - 1
	}
	for ; 16*j < len(keys); j++ {
		k := binary.BigEndian.Uint64(keys[16*j:])
		if k > hi || k == hi && binary.BigEndian.Uint64(keys[16*j+8:]) > lo {
			break
		}
	}
	return j - 1
}
