package rollout

import (
	"math/bits"
	"time"
)

// Class is how a query ended, in words that fit DNS and HTTP alike.
type Class uint8

// The classes.
const (
	Answered Class = iota // NOERROR; 2xx, 3xx
	Absent                // NXDOMAIN; 404: there is no such thing, which may be true
	Broken                // SERVFAIL, or no answer at all; 5xx
	Refused               // REFUSED; 401, 403, 429
	Misput                // FORMERR, NOTIMP and all others: who asked did it wrongly, or that is what we believe
	Classes               // how many there are
)

var classNames = [Classes]string{"answered", "absent", "broken", "refused", "misput"}

// String returns the word for it.
func (c Class) String() string { return classNames[c] }

// Buckets is how many buckets a Latency has: half powers of two from 16 us to 16.8 s, one for what is shorter and one for what is longer.
const Buckets = 42

// firstBucket is the upper bound of the first bucket.
const firstBucket = 16 * time.Microsecond

// Latency counts durations in buckets that are the same everywhere, so that those of many nodes can be added. A quantile is off by at most a factor of 1.41.
type Latency [Buckets]uint64

// BucketOf returns the bucket of a duration.
func BucketOf(d time.Duration) int {
	if d <= firstBucket {
		return 0
	}
	// Upper bounds are inclusive. With q = d/16us rounded up, q is above 2^k and not above 2^(k+1).
	k := bits.Len64(uint64((d-1)/firstBucket)) - 1
	b := 2*k + 1
	if d > Bound(b) {
		b++
	}
	return min(b, Buckets-1)
}

// Bound returns the inclusive upper bound of a bucket; the last has none, and this is the longest duration.
func Bound(bucket int) time.Duration {
	if bucket >= Buckets-1 {
		return 1<<63 - 1
	}
	b := firstBucket << (bucket / 2)
	if bucket%2 == 1 { // times the square root of two
		b = time.Duration(float64(b) * 1.4142135623730951)
	}
	return b
}

// Observe counts n durations.
func (l *Latency) Observe(d time.Duration, n uint64) { l[BucketOf(d)] += n }

// Sum is what was counted, of one node or of many, over one time.
type Sum struct {
	Results [Classes]uint64 // queries by how they ended
	Latency Latency         // of those queries
	Panics  uint64          // that were caught
	Faults  uint64          // of modules: traps, deadlines, memory
	Decided uint64          // of Results, those that modules have answered, and not the world, or have had no answer: blocked, rewritten, dropped
}

// Queries returns how many there were.
func (s *Sum) Queries() uint64 {
	var n uint64
	for _, c := range s.Results {
		n += c
	}
	return n
}

// Timed returns of how many of them the latency is known: those that were answered.
func (s *Sum) Timed() uint64 {
	var n uint64
	for _, c := range s.Latency {
		n += c
	}
	return n
}

// Add counts another in. What would overflow stays at the highest number: only a broken node sends such.
func (s *Sum) Add(o *Sum) {
	for i := range s.Results {
		s.Results[i] = plus(s.Results[i], o.Results[i])
	}
	for i := range s.Latency {
		s.Latency[i] = plus(s.Latency[i], o.Latency[i])
	}
	s.Panics, s.Faults = plus(s.Panics, o.Panics), plus(s.Faults, o.Faults)
	s.Decided = plus(s.Decided, o.Decided)
}

// MaxCount is the largest number that a count has: sums of all counts of a Sum do not overflow, and are exact as floating-point numbers.
const MaxCount = 1 << 53 / 64

func plus(a, b uint64) uint64 { return min(min(a, MaxCount)+min(b, MaxCount), MaxCount) }
