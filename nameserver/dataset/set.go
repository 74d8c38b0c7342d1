package dataset

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"github.com/ananas-edge/ananas/dns"
)

// Set is a list in its compiled form. It is immutable. The memory that it lies in is given back when nothing holds the Set any more: there is no
// Close, so that no look-up can come after it.
type Set struct {
	info    Info
	seed    uint64
	count   uint64 // of buckets
	depths  uint64 // bit d: names of d labels are listed; the last bit stands for 63 and more
	deepest int    // most labels of a listed name; -1 if there is none
	buckets []byte
	more    []byte // names that did not fit into their buckets
	table   symbols
	v4, v6  ranges

	mapped bool // a look-up may meet a page that can't be read
	fault  atomic.Pointer[FaultError]
}

// Scopes of a listed name.
const (
	self  = 1 << iota // the name itself
	below             // all names below it
)

// Match is a listed name that stands for the one asked for.
type Match struct {
	Value  uint8
	Labels int // of the listed name: 2 for example.com.
}

// PrefixMatch is a listed prefix that holds the address asked for.
type PrefixMatch struct {
	Value uint8
	Bits  int // of the prefix
}

// Info tells of what the set was made.
func (s *Set) Info() Info { return s.info }

// Exact tells whether n, in lower case, is listed itself, and its value.
func (s *Set) Exact(n dns.Name) (value uint8, ok bool) {
	defer s.guard(debug.SetPanicOnFault(s.mapped))
	return s.exact(n.Wire())
}

// Suffix finds the longest listed name that stands for n, in lower case: n itself, or a name that it is below. What a response policy zone lists is
// taken as written: without its "*." it does not stand for the names below, and with it not for the name itself.
func (s *Set) Suffix(n dns.Name) (m Match, ok bool) {
	defer s.guard(debug.SetPanicOnFault(s.mapped))
	return s.suffix(n.Wire())
}

// ExactWire is [Set.Exact] for a name as octets on the wire, which are not kept. Octets that are no name are not listed.
func (s *Set) ExactWire(name []byte) (value uint8, ok bool) {
	defer s.guard(debug.SetPanicOnFault(s.mapped))
	return s.exact(unsafe.String(unsafe.SliceData(name), len(name)))
}

// SuffixWire is [Set.Suffix] for a name as octets on the wire, which are not kept. Octets that are no name are not listed.
func (s *Set) SuffixWire(name []byte) (m Match, ok bool) {
	defer s.guard(debug.SetPanicOnFault(s.mapped))
	return s.suffix(unsafe.String(unsafe.SliceData(name), len(name)))
}

// Prefix finds the longest listed prefix that holds a. IPv4 in IPv6 form counts as IPv4; a zone (fe80::1%eth0) does not matter.
func (s *Set) Prefix(a netip.Addr) (m PrefixMatch, ok bool) {
	defer s.guard(debug.SetPanicOnFault(s.mapped))
	return s.prefix(a)
}

// FaultError says that a page of the mapped file could not be read: the disk failed, or the file was cut short by somebody.
type FaultError struct{ Address uintptr }

func (e *FaultError) Error() string {
	return fmt.Sprintf("reading a mapped data set: the memory at %#x can't be read", e.Address)
}

// Hint tells what to do now.
func (*FaultError) Hint() string {
	return "look for errors of the disk in the system's log; remove the file of the data set, so that it is compiled again, and restart the node"
}

// Err is the [FaultError] of the first look-up that met memory that can't be read, and was a miss for it; nil as long as there was none.
func (s *Set) Err() error {
	if e := s.fault.Load(); e != nil {
		return e
	}
	return nil
}

// guard ends a look-up: it makes a miss of a page that can't be read, where the runtime would end the process. All else that panics is a mistake of
// ours and goes on. It costs 5 ns.
func (s *Set) guard(before bool) {
	debug.SetPanicOnFault(before)
	if !s.mapped {
		return
	}
	switch r := recover().(type) {
	case nil:
	case interface{ Addr() uintptr }:
		s.fault.CompareAndSwap(nil, &FaultError{r.Addr()})
	default:
		panic(r)
	}
}

func (s *Set) exact(wire string) (uint8, bool) {
	var at [maxLabels]uint8
	n, ok := s.starts(wire, &at)
	if !ok || n > s.deepest || !s.has(n) {
		return 0, false
	}
	h := s.seed
	end := len(wire) - 1
	for i := n - 1; i >= 0; i-- {
		h = hashLabel(h, wire, int(at[i]), end)
		end = int(at[i])
	}
	return s.find(s.touch(h), wire, 0, self)
}

func (s *Set) suffix(wire string) (m Match, found bool) {
	var at [maxLabels]uint8
	n, ok := s.starts(wire, &at)
	if !ok {
		return Match{}, false
	}
	var hashes [window]uint64
	var probes [window]probe
	h := s.seed
	end := len(wire) - 1
	deepest := min(n, s.deepest)
	for d := 0; d <= deepest; {
		first := d
		for ; d <= deepest && d < first+window; d++ {
			if d > 0 {
				from := int(at[n-d])
				h = hashLabel(h, wire, from, end)
				end = from
			}
			hashes[d-first] = h
		}
		// All buckets are touched before any is read, and with nothing in between: a processor goes on beyond what it waits for by some hundred steps
		// only, and what it meets there memory brings side by side.
		for i := first; i < d; i++ {
			if s.has(i) {
				probes[i-first] = s.touch(hashes[i-first])
			}
		}
		for i := d - 1; i >= first; i-- { // the longest is wanted
			if !s.has(i) {
				continue
			}
			from, scope := len(wire)-1, byte(below)
			if i > 0 {
				from = int(at[n-i])
			}
			if i == n {
				scope = self
			}
			if v, ok := s.find(probes[i-first], wire, from, scope); ok {
				m, found = Match{v, i}, true
				break
			}
		}
	}
	return m, found
}

// window is how many ancestors are looked for side by side. Lists seldom have names of more labels.
const window = 8

func (s *Set) starts(wire string, at *[maxLabels]uint8) (n int, ok bool) {
	if wire == "" || wire[len(wire)-1] != 0 {
		return 0, false
	}
	return labelStarts(wire[:len(wire)-1], at)
}

// has tells whether names of d labels may be listed.
func (s *Set) has(d int) bool { return s.depths>>min(uint(d), 63)&1 != 0 }
