package telemetry

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// line is the distance in bytes that keeps two counters off one cache line: 128, the line of Apple's processors and the
// pair of 64-byte lines that Intel's fetch together.
const line = 128

// Counter is a number that only grows. It is one atomic on a cache line of its own: counting is one addition, never a lock
// or an allocation. The zero value is ready; a Counter must not be copied.
type Counter struct {
	n       atomic.Uint64
	stripes atomic.Pointer[[]*Counter]
	_       [line - 16]byte
}

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value returns the count so far.
func (c *Counter) Value() uint64 {
	n := c.n.Load()
	if all := c.stripes.Load(); all != nil {
		for _, s := range *all {
			n += s.n.Load()
		}
	}
	return n
}

// Stripe returns a counter whose count is part of c's: for one core, or one loop, so that counting there shares no cache line with the others. It is
// never given up, so take one for what lives as long as the process.
func (c *Counter) Stripe() *Counter {
	s := new(Counter)
	addTo(&c.stripes, s)
	return s
}

// addTo adds one to a list that is read without a lock.
func addTo[T any](list *atomic.Pointer[[]*T], one *T) {
	for {
		old := list.Load()
		var all []*T
		if old != nil {
			all = append(all, *old...)
		}
		all = append(all, one)
		if list.CompareAndSwap(old, &all) {
			return
		}
	}
}

// CounterVec is a family of counters told apart by the values of their labels.
type CounterVec struct {
	name     string
	labels   []string
	overflow *Counter // nil outside a registry

	mu     sync.RWMutex
	series map[string]*series // by the values, each ended by 0xff, which UTF-8 never contains
}

type series struct {
	values []string
	Counter
}

// With returns the counter of these label values, one for each label in the order of registration, and makes it if need be.
// It takes a lock and looks up a map: resolve once and keep the pointer, not for every query. Beyond [MaxSeries]
// combinations it returns one shared counter.
func (v *CounterVec) With(values ...string) *Counter {
	if len(values) != len(v.labels) {
		panic(fmt.Sprintf("telemetry: metric %q: %d values for the labels %q", v.name, len(values), v.labels))
	}
	values, key := seriesOf(values)
	v.mu.RLock()
	s := v.series[key]
	v.mu.RUnlock()
	if s != nil {
		return &s.Counter
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.series[key]; s != nil {
		return &s.Counter
	}
	if len(v.series) >= MaxSeries {
		if v.overflow != nil {
			v.overflow.Inc()
		}
		values, key = seriesOf(slices.Repeat([]string{"other"}, len(v.labels)))
		if s := v.series[key]; s != nil {
			return &s.Counter
		}
	}
	s = &series{values: values}
	v.series[key] = s
	return &s.Counter
}

// seriesOf returns the values as they are shown, and what they are found by.
func seriesOf(values []string) (clean []string, key string) {
	clean = make([]string, len(values))
	var b strings.Builder
	for i, s := range values {
		clean[i] = strings.ToValidUTF8(s, "\uFFFD")
		b.WriteString(clean[i])
		b.WriteByte(0xff)
	}
	return clean, b.String()
}

// all returns the series, in no order.
func (v *CounterVec) all() []*series {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Collect(maps.Values(v.series))
}

// The buckets of a Histogram are log-linear: nine steps in each of seven decades, 1 us, 2 us, ... 9 us, 10 us, 20 us, ...
// 10 s, and one for what is longer. Decimal steps let "how many took less than 20 ms" be answered exactly; a quantile is
// off by at most the width of its step.
const (
	decades      = 7
	bounds       = 9*decades + 1
	shortest     = uint64(time.Microsecond)
	bucketsTotal = bounds + 1
)

// Histogram counts durations in log-linear buckets from 1 us to 10 s. Observe costs two atomic additions. The zero value is
// ready; a Histogram must not be copied.
type Histogram struct {
	buckets [bucketsTotal]atomic.Uint64 // not cumulative; the last one is +Inf
	sum     atomic.Uint64               // nanoseconds: full after 584 years of waiting
	stripes atomic.Pointer[[]*Histogram]
}

// Stripe returns a histogram whose counts are part of h's; see [Counter.Stripe].
func (h *Histogram) Stripe() *Histogram {
	s := new(Histogram)
	addTo(&h.stripes, s)
	return s
}

// ObserveN counts n durations of one length.
func (h *Histogram) ObserveN(d time.Duration, n int) {
	if n <= 0 {
		return
	}
	ns := uint64(max(d, 0))
	h.buckets[bucketOf(ns)].Add(uint64(n))
	h.sum.Add(ns * uint64(n))
}

// Counts calls f for each bucket with the longest duration in it and how many there were since the start. The longest that a histogram tells apart is 10 s; what was
// longer is told with one nanosecond more.
func (h *Histogram) Counts(f func(upTo time.Duration, n uint64)) {
	parts := h.parts()
	for i := range h.buckets {
		var n uint64
		for _, p := range parts {
			n += p.buckets[i].Load()
		}
		upTo := time.Duration(bound(min(i, bounds-1)))
		if i == bounds {
			upTo++
		}
		f(upTo, n)
	}
}

// Observe counts one duration. A negative one, as from a clock that was set back, counts as zero.
func (h *Histogram) Observe(d time.Duration) {
	n := uint64(max(d, 0))
	h.buckets[bucketOf(n)].Add(1)
	h.sum.Add(n)
}

// bucketOf returns the index of the first bucket whose upper bound is at least n nanoseconds.
func bucketOf(n uint64) int {
	if n <= shortest {
		return 0
	}
	n-- // upper bounds are inclusive
	d := decadeOf[bits.Len64(n)]
	if d < decades && n >= widths[d+1] {
		d++
	}
	if d >= decades {
		return bucketsTotal - 1
	}
	return d*9 + int(n/widths[d])
}

// bound returns the inclusive upper bound of bucket i in nanoseconds.
func bound(i int) uint64 { return uint64(i%9+1) * widths[i/9] }

// widths[d] is the width of a step in decade d in nanoseconds, which is also where the decade begins.
var widths = [decades + 1]uint64{1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

// decadeOf maps the bit length of n to the lowest decade that a number of that length may lie in.
var decadeOf = func() (t [65]int) {
	for length := range t {
		var least uint64
		if length > 0 {
			least = 1 << (length - 1)
		}
		for t[length] < decades && least >= widths[t[length]+1] {
			t[length]++
		}
	}
	return t
}()
