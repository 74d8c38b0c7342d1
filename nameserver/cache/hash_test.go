package cache

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

func TestLower8(t *testing.T) {
	for c := range 256 {
		for at := range 8 {
			for _, rest := range []byte{0, 'A', 'z', 0x7f, 0x80, 0xff} {
				in := bytes.Repeat([]byte{rest}, 8)
				in[at] = byte(c)
				var got [8]byte
				binary.LittleEndian.PutUint64(got[:], lower8(binary.LittleEndian.Uint64(in)))
				for i := range in {
					if got[i] != lowerOctet(in[i]) {
						t.Fatalf("%x becomes %x", in, got)
					}
				}
			}
		}
	}
}

// Names that differ in case only have one hash and are one name; others are not.
func TestHashIgnoresCase(t *testing.T) {
	key := newHashKey(42)
	rapid.Check(t, func(t *rapid.T) {
		wire := rapid.SliceOfN(rapid.Byte(), 1, 255).Draw(t, "wire")
		kept := make([]byte, len(wire))
		putLower(kept, wire)
		if key.name(kept) != key.name(wire) || !sameName(kept, wire) {
			t.Fatalf("%x and its lower case are not the same", wire)
		}
		other := bytes.Clone(wire)
		i := rapid.IntRange(0, len(wire)-1).Draw(t, "at")
		other[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		if lowerOctet(other[i]) == lowerOctet(wire[i]) {
			t.Skip("the change was one of case")
		}
		if key.name(other) == key.name(wire) || sameName(kept, other) {
			t.Fatalf("%x and %x are taken for the same", wire, other)
		}
	})
}

// Another seed gives another order: who knows one cache's pages knows nothing of another's.
func TestHashIsKeyed(t *testing.T) {
	a, b := newHashKey(1), newHashKey(2)
	same := 0
	for i := range 1000 {
		n := octetsOf(hostName(i).Wire())
		if a.name(n)>>56 == b.name(n)>>56 {
			same++
		}
	}
	if same > 20 { // 4 expected
		t.Errorf("%d of 1000 names lie in the same 256th under both seeds", same)
	}
}

// Names that count up spread evenly over the pages, by the bits that lead to them.
func TestHashSpreads(t *testing.T) {
	key := newHashKey(3)
	var pages [256]int
	const n = 256 * 400
	for i := range n {
		pages[key.name(octetsOf(hostName(i).Wire()))>>56]++
	}
	for i, got := range pages {
		if got < 300 || got > 500 { // 400, five standard deviations of 20
			t.Errorf("page %d has %d names of about 400", i, got)
		}
	}
}
