//go:build linux && !heaparena

package cache

import "golang.org/x/sys/unix"

// adviseHugePages asks for 2 MiB pages: a look-up is two reads at random places, and with pages of 4 KiB each of them also
// misses the TLB. A kernel without them says no, which costs speed and nothing else.
func adviseHugePages(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
