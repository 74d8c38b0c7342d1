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
	buckets uint64
	depths  uint64 // bit d: names of d labels are listed; the last bit stands for 63 and more
	deepest int    // most labels of a listed name; -1 if there is none
	index   []byte // a word for each bucket, and one more: low half, where its names begin; high half, the bits of those that are in it
	names   []byte
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
	return s.find(h, wire, 0, self)
}

func (s *Set) suffix(wire string) (m Match, found bool) {
	var at [maxLabels]uint8
	n, ok := s.starts(wire, &at)
	if !ok {
		return Match{}, false
	}
	h := s.seed
	from := len(wire) - 1
	for d := 0; ; d++ {
		if s.has(d) {
			scope := byte(below)
			if d == n {
				scope = self
			}
			// From the shortest on, and not from the longest: the next hash needs this one, and few names are below two that are listed.
			if v, ok := s.find(h, wire, from, scope); ok {
				m, found = Match{v, d}, true
			}
		}
		if d >= n || d >= s.deepest {
			return m, found
		}
		end := from
		from = int(at[n-1-d])
		h = hashLabel(h, wire, from, end)
	}
}

func (s *Set) starts(wire string, at *[maxLabels]uint8) (n int, ok bool) {
	if wire == "" || wire[len(wire)-1] != 0 {
		return 0, false
	}
	return labelStarts(wire[:len(wire)-1], at)
}

// has tells whether names of d labels may be listed.
func (s *Set) has(d int) bool { return s.depths>>min(uint(d), 63)&1 != 0 }

// find looks for the name wire[from:], whose hash is h, with this scope. It has no expectations of index and names but their length, and goes
// over at most the names of one bucket.
func (s *Set) find(h uint64, wire string, from int, scope byte) (value uint8, ok bool) {
	bucket, mask := place(h, s.buckets)
	i := int(bucket) * 8
	w := le.Uint64(s.index[i:])
	if uint32(w>>32)&mask != mask {
		return 0, false
	}
	begin, end := uint32(w), uint32(le.Uint64(s.index[i+8:]))
	if begin > end || int(end) > len(s.names) {
		return 0, false
	}
	for b := s.names[begin:end]; len(b) > 0; {
		e, rest, ok := entry(b)
		if !ok {
			return 0, false
		}
		if e.scope&scope != 0 && s.table.equal(e.codes, wire, from, len(wire)-1) {
			return e.value, true
		}
		b = rest
	}
	return 0, false
}

// listed is a name in a bucket: an octet of scope (the two high bits) and number of codes, its value, the codes. Numbers of 63 and more come as 63
// there and in the two octets after it.
type listed struct {
	scope, value byte
	codes        []byte
}

const longCodes = 63

func entry(b []byte) (e listed, rest []byte, ok bool) {
	if len(b) < 2 {
		return e, nil, false
	}
	n, head := int(b[0]&63), 2
	if n == longCodes {
		if len(b) < 4 {
			return e, nil, false
		}
		n, head = int(le.Uint16(b[1:])), 4
	}
	if len(b) < head+n {
		return e, nil, false
	}
	return listed{b[0] >> 6, b[head-1], b[head : head+n]}, b[head+n:], true
}

func appendEntry(b []byte, e listed) []byte {
	if n := len(e.codes); n < longCodes {
		b = append(b, e.scope<<6|byte(n), e.value)
	} else {
		b = append(b, e.scope<<6|longCodes, byte(n), byte(n>>8), e.value)
	}
	return append(b, e.codes...)
}

// bucketsFor is how many buckets n names get: namesPerBucket in each.
func bucketsFor(n int) uint64 { return uint64(max(1, (n+namesPerBucket-1)/namesPerBucket)) }

const (
	// namesPerBucket: the index takes 8/4 octets a name, and its two bits out of 32 let 5 % of unlisted names through. With 3 it is 2.7 octets and
	// 3 %, with 8 one octet and 16 %.
	namesPerBucket = 4

	// bucketLimit bounds the work of a look-up. Of 10,000,000 names by chance the fullest of the buckets has 20; more than 64 are made on purpose.
	bucketLimit = 64
)
