//go:build unix

package wasm

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// allocate makes the memory of a guest: address space for all that it may become, outside Go's heap, so that the collector does not count on it and to grow copies nothing. The system gives
// pages when they are first used.
func allocate(_, most uint64) experimental.LinearMemory {
	if most == 0 {
		return linear(nil)
	}
	b, err := unix.Mmap(-1, 0, int(most), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(noSpace{fmt.Errorf("reserving %d octets of address space for its memory: %w", most, err)})
	}
	return linear(b)
}

// linear is a guest's memory.
type linear []byte

func (l linear) Reallocate(size uint64) []byte {
	if size > uint64(len(l)) {
		return nil
	}
	return l[:size:size]
}

func (l linear) Free() {
	if l != nil {
		_ = unix.Munmap(l)
	}
}
