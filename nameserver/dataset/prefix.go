package dataset

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Prefixes nest or are apart, so they cut the addresses into ranges each of which has one longest prefix, or none: at most two more ranges than
// prefixes begin and end. The first addresses of the ranges are kept sorted, with every 16th in a level above, and so on until 16 are left: a look-up
// reads one row of 16 in each, which of 5,000,000 IPv4 prefixes is six rows of 64 octets, the upper four in a processor's cache.

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

// ranges is the compiled form: the levels, lowest first, then bits and value of each range.
type ranges struct {
	levels [][]byte
	data   []byte
}

// rangesLen returns the octets of n ranges with keys of this many octets.
func rangesLen(n, key int) int {
	size := 2 * n
	for l := n; l > 0; l = above(l) {
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
	for l, step := len(list), 1; l > 0; l, step = above(l), step*fan {
		for i := 0; i < len(list); i += step {
			if key == 16 {
				b = binary.BigEndian.AppendUint64(b, list[i].hi)
				b = binary.BigEndian.AppendUint64(b, list[i].lo)
			} else {
				b = binary.BigEndian.AppendUint32(b, uint32(list[i].lo))
			}
		}
	}
	for _, r := range list {
		b = append(b, r.bits, r.value)
	}
	return b
}

// readRanges takes b, which has rangesLen(n, key) octets, apart.
func readRanges(b []byte, n, key int) (r ranges) {
	for l := n; l > 0; l = above(l) {
		r.levels = append(r.levels, b[:l*key])
		b = b[l*key:]
	}
	r.data = b
	return r
}

func (s *Set) prefix(a netip.Addr) (PrefixMatch, bool) {
	switch {
	case a.Is4() || a.Is4In6():
		if len(s.v4.levels) == 0 {
			return PrefixMatch{}, false
		}
		b := a.As4()
		x := binary.BigEndian.Uint32(b[:])
		i := 0
		for l := len(s.v4.levels) - 1; l >= 0; l-- {
			keys := s.v4.levels[l]
			j := i * fan
			end := min(j+fan, len(keys)/4)
			for j++; j < end && binary.BigEndian.Uint32(keys[j*4:]) <= x; j++ {
			}
			i = j - 1
		}
		return s.v4.at(i, 32)
	case a.Is6():
		if len(s.v6.levels) == 0 {
			return PrefixMatch{}, false
		}
		b := a.As16()
		hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
		i := 0
		for l := len(s.v6.levels) - 1; l >= 0; l-- {
			keys := s.v6.levels[l]
			j := i * fan
			end := min(j+fan, len(keys)/16)
			for j++; j < end; j++ {
				k := binary.BigEndian.Uint64(keys[j*16:])
				if k > hi || k == hi && binary.BigEndian.Uint64(keys[j*16+8:]) > lo {
					break
				}
			}
			i = j - 1
		}
		return s.v6.at(i, 128)
	}
	return PrefixMatch{}, false
}

// at tells of range i, which is one of them however damaged the keys are: each step of a look-up stays within the level it is in, and i of the level
// above stands for at least one key of the level below.
func (r *ranges) at(i, width int) (PrefixMatch, bool) {
	bits := int(r.data[2*i])
	if bits > width {
		return PrefixMatch{}, false
	}
	return PrefixMatch{Value: r.data[2*i+1], Bits: bits}, true
}
