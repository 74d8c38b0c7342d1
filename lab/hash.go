package lab

import (
	"encoding/binary"
	"math/bits"
)

// seed turns facts into numbers: the same seed and facts give the same number on every machine and in every run. It is what
// "drawn" means in this package; nothing here draws from a random source.
type seed uint64

// mix is the finaliser of splitmix64: a bijection in which each bit of x reaches every bit of the result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// with derives the seed of one use, so that two uses of the same fact draw independently.
func (s seed) with(fact uint64) seed {
	return seed(mix(uint64(s)+0x9e3779b97f4a7c15*(fact+1)) ^ uint64(s)>>32)
}

// text derives the seed for a run of octets.
func (s seed) text(t string) seed {
	h := uint64(s) ^ uint64(len(t))*0x9e3779b97f4a7c15
	for len(t) >= 8 {
		v := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
		h = mix(h^v) + 0x9e3779b97f4a7c15
		t = t[8:]
	}
	var tail uint64
	for i := range len(t) {
		tail |= uint64(t[i]) << (8 * i)
	}
	return seed(mix(h ^ tail))
}

// below draws a number in [0, n).
func (s seed) below(n int) int {
	hi, _ := bits.Mul64(mix(uint64(s)), uint64(n))
	return int(hi)
}

// share draws a number in [0, 1).
func (s seed) share() float64 { return float64(mix(uint64(s))>>11) / (1 << 53) }

// chance tells whether an event of this probability happens.
func (s seed) chance(p float64) bool { return p > 0 && s.share() < p }

// fill writes octets drawn from the seed.
func (s seed) fill(b []byte) {
	var word [8]byte
	for i := uint64(0); len(b) > 0; i++ {
		binary.LittleEndian.PutUint64(word[:], mix(uint64(s.with(i))))
		b = b[copy(b, word[:]):]
	}
}

// permutation is a keyed bijection on [0, n): four rounds of a Feistel network on the next even number of bits, walked until the
// result falls below n. It makes names and addresses out of indexes, and indexes out of names and addresses, without a table.
type permutation struct {
	key  seed
	n    uint64
	half uint // bits of one half
}

func newPermutation(key seed, n uint64) permutation {
	half := uint(1)
	for uint64(1)<<(2*half) < n {
		half++
	}
	return permutation{key, n, half}
}

const feistelRounds = 4

func (p permutation) apply(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		l, r := i>>p.half, i&mask
		for round := range uint64(feistelRounds) {
			l, r = r, l^mix(uint64(p.key)+r<<3+round)&mask
		}
		if i = l<<p.half | r; i < p.n {
			return i
		}
	}
}

func (p permutation) invert(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		l, r := i>>p.half, i&mask
		for round := feistelRounds - 1; round >= 0; round-- {
			l, r = r^mix(uint64(p.key)+l<<3+uint64(round))&mask, l
		}
		if i = l<<p.half | r; i < p.n {
			return i
		}
	}
}

// generations is a bounded map that forgets the oldest half when it is full: two maps, of which the elder is dropped. Reading
// is one or two look-ups and there is no list to keep. Not safe for concurrent use.
type generations[K comparable, V any] struct {
	limit      int // entries in one generation
	young, old map[K]V
}

func newGenerations[K comparable, V any](limit int) *generations[K, V] {
	return &generations[K, V]{limit: max(1, limit/2), young: map[K]V{}}
}

func (g *generations[K, V]) get(k K) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	if ok {
		g.put(k, v)
	}
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	if _, known := g.young[k]; !known && len(g.young) >= g.limit {
		g.old, g.young = g.young, make(map[K]V, g.limit/4)
	}
	g.young[k] = v
}
