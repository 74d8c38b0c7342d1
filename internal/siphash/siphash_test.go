package siphash

import "testing"

// The first and some later vectors of the reference implementation: key 00..0f, input 00, 01, 02 ... of each length.
func TestReferenceVectors(t *testing.T) {
	var key Key
	for i := range key {
		key[i] = byte(i)
	}
	want := map[int]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 2: 0x0d6c8009d9a94f5a, 7: 0xab0200f58b01d137,
		8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5,
	}
	for n, sum := range want {
		in := make([]byte, n)
		for i := range in {
			in[i] = byte(i)
		}
		if got := Sum64(&key, in); got != sum {
			t.Errorf("%d octets: %016x, want %016x", n, got, sum)
		}
	}
}
