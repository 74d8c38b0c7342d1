//go:build linux

package flood

import "math/bits"

// histogram counts durations in nanoseconds: exactly below 64, above in 64 steps for each power of two (1.6 % wide at most), up to 2^40
// (18 minutes).
type histogram struct {
	counts [histogramSize]uint32
	total  int
	sum    float64
}

const (
	subBits       = 6
	histogramSize = (40 - subBits + 1) << subBits
)

func bucket(ns int64) int {
	if ns < 1<<subBits {
		return int(max(0, ns))
	}
	e := bits.Len64(uint64(ns)) - 1 - subBits // how far ns is shifted so that its top 7 bits are left
	return min(histogramSize-1, (e+1)<<subBits+int(ns>>e)&(1<<subBits-1))
}

// middle is the duration in the middle of a bucket.
func middle(i int) float64 {
	if i < 1<<subBits {
		return float64(i)
	}
	e := i>>subBits - 1
	low := int64(1<<subBits+i&(1<<subBits-1)) << e
	return float64(low) + float64(int64(1)<<e-1)/2
}

func (h *histogram) add(ns int64) {
	h.counts[bucket(ns)]++
	h.total++
	h.sum += float64(max(0, ns))
}

func (h *histogram) mean() float64 { return h.sum / float64(max(1, h.total)) }

// quantile is the duration below which a share q of all lies; 0 of none.
func (h *histogram) quantile(q float64) float64 {
	left := int(q * float64(h.total))
	for i, n := range h.counts {
		if left -= int(n); left < 0 {
			return middle(i)
		}
	}
	for i := len(h.counts) - 1; i >= 0; i-- { // q is 1
		if h.counts[i] > 0 {
			return middle(i)
		}
	}
	return 0
}
