//go:build heaparena || !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package cache

import "unsafe"

// poisonFreed tells whether memory that is given back to an arena is overwritten, so that a read of it shows.
const poisonFreed = true

// mapMemory returns n octets of the Go heap. The race detector sees accesses to those, but not to memory that was mapped; so
// the tests with -race are built with -tags heaparena. Systems without mmap use it always.
func mapMemory(n int64, _ bool) ([]byte, func() error, error) {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n), func() error { return nil }, nil
}
