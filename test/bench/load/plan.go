//go:build linux

package load

import (
	"math"
	"slices"
	"time"
)

// Poisson draws the times of n questions at that many a second on average, as many independent users ask: gaps are exponential.
func Poisson(seed uint64, n int, rate float64) []time.Duration {
	at := make([]time.Duration, n)
	t := 0.0
	for i := range at {
		t += -math.Log(1-Share(Draw(seed, uint64(i)))) / rate
		at[i] = time.Duration(t * float64(time.Second))
	}
	return at
}

// Zipf draws indexes below n; index k is drawn in proportion to 1/(k+1)^s.
type Zipf struct {
	seed uint64
	sums []float64
}

// NewZipf makes a table of n entries.
func NewZipf(seed uint64, n int, s float64) *Zipf {
	z := &Zipf{seed: seed, sums: make([]float64, n)}
	sum := 0.0
	for k := range z.sums {
		sum += math.Pow(float64(k+1), -s)
		z.sums[k] = sum
	}
	return z
}

// Index draws number i.
func (z *Zipf) Index(i int) int {
	x := Share(Draw(z.seed, uint64(i))) * z.sums[len(z.sums)-1]
	k, _ := slices.BinarySearch(z.sums, x)
	return min(k, len(z.sums)-1)
}
