//go:build unix

package wasm

import (
	"golang.org/x/sys/unix"
)

// niceness of a process that compiles: who answers queries goes first.
const niceness = 10

// limitProcess has the system end this process when it has more memory of its own than so many octets, or has used so many seconds of a processor. Memory that is only reserved,
// which Go does in plenty, does not count (Linux, since 4.7).
func limitProcess(memory, cpu int64) error {
	for what, most := range map[int]uint64{unix.RLIMIT_DATA: uint64(memory), unix.RLIMIT_CPU: uint64(cpu), unix.RLIMIT_CORE: 0} {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) // only manners
	return nil
}
