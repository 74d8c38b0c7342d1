package dataset

import (
	"cmp"
	"slices"
)

// Names are kept as rows of codes of one octet, each standing for a piece of one to eight octets that is frequent in this list ("\x03com", "track").
// The table of pieces is found as Boncz, Neumann and Leis describe ("FSST: Fast Random Access String Compression", VLDB 2020): encode a sample by
// the table at hand, count the codes and the pairs of neighbours, and make the most useful of both the next table. Any one name can be compared
// without its neighbours, which is what front coding and the general compressors do not give.

const (
	symbolLimit  = 255     // codes 0 to 254
	escape       = 255     // the octet after it stands for itself
	sampleOctets = 1 << 18 // of names, evenly from the list: the table does not get better by more
	rounds       = 6       // the sixth gains less than 1 %
)

// symbol is a piece of a name: n octets, the first one lowest in word; the rest of word is zero. n is 0 for codes that stand for nothing.
type symbol struct{ word, n uint64 }

type symbols [256]symbol

// equal tells whether codes stand for s[pos:end]. It reads no further than s and codes go, whatever they hold.
func (t *symbols) equal(codes []byte, s string, pos, end int) bool {
	for i := 0; i < len(codes); i++ {
		y := &t[codes[i]]
		n := int(y.n)
		switch {
		case n == 0:
			if codes[i] != escape || i+1 >= len(codes) || pos >= end || s[pos] != codes[i+1] {
				return false
			}
			i++
			n = 1
		case pos+8 <= len(s):
			if (word(s[pos:])^y.word)<<(64-8*uint(n)) != 0 {
				return false
			}
		case pos+n > len(s):
			return false
		case pos+n >= 8: // near the end: the word that ends with the piece
			if word(s[pos+n-8:])>>(64-8*uint(n)) != y.word {
				return false
			}
		default:
			for j := range n {
				if s[pos+j] != byte(y.word>>(8*j)) {
					return false
				}
			}
		}
		pos += n
	}
	return pos == end
}

// expand appends what codes stand for; false if they are no row of codes.
func (t *symbols) expand(b, codes []byte) ([]byte, bool) {
	for i := 0; i < len(codes); i++ {
		if codes[i] == escape {
			if i++; i >= len(codes) {
				return b, false
			}
			b = append(b, codes[i])
			continue
		}
		y := t[codes[i]]
		if y.n == 0 {
			return b, false
		}
		for j := range y.n {
			b = append(b, byte(y.word>>(8*j)))
		}
	}
	return b, true
}

// encoder finds the longest piece that a text begins with.
type encoder struct {
	symbols
	one   [256]int16 // code of the piece of this one octet, -1: none
	begin []uint16   // by the first two octets, where their pieces begin in longer; one more at the end
	long  []uint8    // codes of pieces of two octets and more, the longest first
}

func newEncoder(t *symbols) *encoder {
	e := &encoder{symbols: *t, begin: make([]uint16, 1<<16+1)}
	for i := range e.one {
		e.one[i] = -1
	}
	for c, y := range t[:symbolLimit] {
		switch {
		case y.n == 1:
			e.one[byte(y.word)] = int16(c)
		case y.n > 1:
			e.long = append(e.long, uint8(c))
			e.begin[y.word&0xffff+1]++
		}
	}
	for i := range 1 << 16 {
		e.begin[i+1] += e.begin[i]
	}
	slices.SortFunc(e.long, func(a, b uint8) int {
		x, y := t[a], t[b]
		return cmp.Or(cmp.Compare(x.word&0xffff, y.word&0xffff), cmp.Compare(y.n, x.n), cmp.Compare(x.word, y.word))
	})
	return e
}

// next returns the code of the longest piece that s begins with, -1 if there is none, and the octets that it stands for.
func (e *encoder) next(s string) (code, n int) {
	if len(s) >= 2 {
		w := uint64(0)
		if len(s) >= 8 {
			w = word(s)
		} else {
			for i := len(s) - 1; i >= 0; i-- {
				w = w<<8 | uint64(s[i])
			}
		}
		for _, c := range e.long[e.begin[w&0xffff]:e.begin[w&0xffff+1]] {
			if y := e.symbols[c]; int(y.n) <= len(s) && (w^y.word)<<(64-8*y.n) == 0 {
				return int(c), int(y.n)
			}
		}
	}
	return int(e.one[s[0]]), 1
}

// append encodes s.
func (e *encoder) append(b []byte, s string) []byte {
	for s != "" {
		c, n := e.next(s)
		if c < 0 {
			b = append(b, escape, s[0])
		} else {
			b = append(b, byte(c))
		}
		s = s[n:]
	}
	return b
}

// train makes the table for names like those of the sample. The same sample gives the same table.
func train(sample []string) *symbols {
	t := new(symbols)
	type gain struct {
		symbol
		octets uint64 // that it would save
	}
	const ids = 256 + symbolLimit // an octet without a code of its own, or a code
	single := make([]uint32, ids)
	pairs := make([]uint32, ids*ids)
	for range rounds {
		clear(single)
		clear(pairs)
		e := newEncoder(t)
		for _, s := range sample {
			last := -1
			for s != "" {
				c, n := e.next(s)
				if c < 0 {
					c = int(s[0])
				} else {
					c += 256
				}
				single[c]++
				if last >= 0 {
					pairs[last*ids+c]++
				}
				last, s = c, s[n:]
			}
		}
		piece := func(id int) symbol {
			if id < 256 {
				return symbol{uint64(id), 1}
			}
			return t[id-256]
		}
		gains := make(map[symbol]uint64)
		for a := range ids {
			if single[a] == 0 {
				continue
			}
			y := piece(a)
			gains[y] += uint64(single[a]) * y.n
			for b := range ids {
				if n := pairs[a*ids+b]; n > 0 {
					z := piece(b)
					if y.n+z.n <= 8 {
						gains[symbol{y.word | z.word<<(8*y.n), y.n + z.n}] += uint64(n) * (y.n + z.n)
					}
				}
			}
		}
		list := make([]gain, 0, len(gains))
		for y, octets := range gains {
			if y.n == 1 {
				octets *= 4 // what has no code costs two octets wherever it stands, and breaks what is around it
			}
			list = append(list, gain{y, octets})
		}
		slices.SortFunc(list, func(a, b gain) int {
			return cmp.Or(cmp.Compare(b.octets, a.octets), cmp.Compare(a.n, b.n), cmp.Compare(a.word, b.word))
		})
		clear(t[:])
		for i, g := range list[:min(len(list), symbolLimit)] {
			t[i] = g.symbol
		}
	}
	return t
}
