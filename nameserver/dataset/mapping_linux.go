package dataset

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapFile maps a file read-only: its pages are those of the system's cache, so that processes share them and memory that is short can be taken back.
// Look-ups are at random places, so nothing is read ahead of them; opening reads all of it once anyway.
func mapFile(path string, limit int64) (_ []byte, mapped bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // not blocking, should it be a pipe
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	n, err := sizeOf(f, limit)
	if err != nil {
		return nil, false, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, false, fmt.Errorf("mapping %q: %w", path, err)
	}
	return b, true, nil
}

func unmap(b []byte) error { return unix.Munmap(b) }
