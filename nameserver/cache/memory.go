package cache

import "unsafe"

// carver cuts arrays without pointers from one run of mapped memory.
type carver struct {
	rest []byte
	used int64
}

// carve takes n elements of T from c; T must hold no pointers. Each array begins on a cache line. With no memory behind it, c
// only adds up what would be needed, so that size and layout can't come to differ.
func carve[T any](c *carver, n int64) []T {
	var zero T
	octets := (n*int64(unsafe.Sizeof(zero)) + cacheLine - 1) &^ (cacheLine - 1)
	c.used += octets
	if c.rest == nil || n == 0 {
		return nil
	}
	a := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(c.rest))), n)
	c.rest = c.rest[octets:]
	return a
}

// cacheLine is what the processor reads at a time.
const cacheLine = 64

// wordsOf views b, whose length is a multiple of 8 and which is aligned to 8, as numbers.
func wordsOf(b []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}

// octetsOf views a string without copying it. Nobody may write to the result.
func octetsOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// bytesOf views words as octets.
func bytesOf(w []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), len(w)*8)
}
