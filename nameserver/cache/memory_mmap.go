//go:build (linux || darwin || freebsd || netbsd || openbsd || dragonfly) && !heaparena

package cache

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poisonFreed tells whether memory that is given back to an arena is overwritten, so that a read of it shows.
const poisonFreed = false

// hugePage is the size and alignment of the large pages of the processors that we meet (x86-64, arm64 with 4 KiB pages).
const hugePage = 2 << 20

// mapMemory returns n zeroed octets outside the Go heap, aligned to hugePage, and how to give them back. Octets that are never
// touched take no memory, in steps of a page; huge asks for large ones.
func mapMemory(n int64, huge bool) ([]byte, func() error, error) {
	raw, err := unix.Mmap(-1, 0, int(n)+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping %d octets of memory: %w", n, err)
	}
	pad := int(-uintptr(unsafe.Pointer(unsafe.SliceData(raw))) & (hugePage - 1))
	b := raw[pad : pad+int(n) : pad+int(n)]
	if huge {
		adviseHugePages(b)
	}
	return b, func() error { return unix.Munmap(raw) }, nil
}
