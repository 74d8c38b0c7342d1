package prefixset

import (
	"cmp"
	"net/netip"
	"slices"
)

// Map tells which of many prefixes an address lies in: the longest. The zero Map has none. It is immutable, and nearly as fast as a [Set]: the prefixes become sorted ranges that do not overlap, found by bisection.
type Map struct{ v4, v6 []span }

// span is a run of addresses, up to where the next one begins, whose longest prefix has this value; -1: they are in none. IPv4 addresses are numbers of 32 bits here.
type span struct {
	first uint128
	value int32
}

// Of is a prefix and what it stands for.
type Of struct {
	Prefix netip.Prefix
	Value  int32 // 0 or more
}

// NewMap makes a map. Of a prefix that is there twice the later one counts; one that is not valid, or is IPv4 in IPv6 form, holds no address.
func NewMap(all []Of) Map {
	var v4, v6 []bound
	for _, of := range all {
		p := of.Prefix
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
		case p.Addr().Is4():
			first := uint64(word4(p.Masked().Addr()))
			v4 = append(v4, bound{uint128{0, first}, uint128{0, first | ones(32-p.Bits())}, of.Value})
		default:
			first := word6(p.Masked().Addr())
			last := first
			if host := 128 - p.Bits(); host > 64 {
				last = uint128{first.hi | ones(host-64), ^uint64(0)}
			} else {
				last.lo |= ones(host)
			}
			v6 = append(v6, bound{first, last, of.Value})
		}
	}
	return Map{spans(v4), spans(v6)}
}

// bound is a prefix as its first and last address.
type bound struct {
	first, last uint128
	value       int32
}

// spans cuts prefixes, of which two either do not overlap or lie one in the other, into spans.
func spans(all []bound) (out []span) {
	slices.SortStableFunc(all, func(a, b bound) int { // the wider first
		return cmp.Or(cmp.Compare(a.first.hi, b.first.hi), cmp.Compare(a.first.lo, b.first.lo), cmp.Compare(b.last.hi, a.last.hi), cmp.Compare(b.last.lo, a.last.lo))
	})
	begin := func(at uint128, value int32) {
		if n := len(out); n > 0 && out[n-1].first == at { // the narrower, or the next one, begins where another has
			out = out[:n-1]
		}
		if n := len(out); n > 0 && out[n-1].value == value {
			return
		}
		out = append(out, span{at, value})
	}
	var open []bound // each in the one before it
	shut := func(until func(bound) bool) {
		for len(open) > 0 && until(open[len(open)-1]) {
			end := open[len(open)-1].last
			open = open[:len(open)-1]
			after := end.next()
			if after == end { // there is no address behind it
				continue
			}
			value := int32(-1)
			if n := len(open); n > 0 {
				value = open[n-1].value
			}
			begin(after, value)
		}
	}
	for _, b := range all {
		shut(func(o bound) bool { return o.last.less(b.first) })
		begin(b.first, b.value)
		open = append(open, b)
	}
	shut(func(bound) bool { return true })
	return slices.Clip(out)
}

// Lookup returns the value of the longest prefix that an address lies in, -1 if it is in none. IPv4 in IPv6 form counts as IPv4; a zone (fe80::1%eth0) does not matter.
func (m *Map) Lookup(a netip.Addr) int32 {
	list, at := m.v6, uint128{}
	switch {
	case a.Is4() || a.Is4In6():
		list, at = m.v4, uint128{0, uint64(word4(a.Unmap()))}
	case len(list) == 0 || !a.IsValid():
		return -1
	default:
		at = word6(a)
	}
	lo, hi := 0, len(list) // the first span that begins after it
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); !at.less(list[mid].first) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return -1
	}
	return list[lo-1].value
}
