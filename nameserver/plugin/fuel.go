package plugin

import (
	"cmp"
	"math/bits"
	"sync/atomic"

	"github.com/ananas-edge/ananas/wasm"
)

// What calls of a module take is observed so that people see how far it is from its limit: of the first fuelAlways calls of each instance each, then one in fuelOneIn, so that cores which call it share nothing that matters.
const (
	fuelAlways = 64
	fuelOneIn  = 64

	// fuelSteps is how many buckets there are for a doubling: what is told is off by an eighth at most.
	fuelSteps   = 4
	fuelBuckets = 40 * fuelSteps // up to 2^40, more than any limit
)

// fuelUse counts calls by their fuel. The zero value is ready.
type fuelUse [fuelBuckets]atomic.Uint32

// fuelBucket returns the bucket of an amount.
func fuelBucket(n int64) int {
	if n < fuelSteps {
		return int(max(n, 0))
	}
	octave := bits.Len64(uint64(n)) - 3 // 4 to 7 is the first with steps of its own
	return min(octave*fuelSteps+int(n>>octave), fuelBuckets-1)
}

// fuelOf returns the middle of a bucket.
func fuelOf(bucket int) int64 {
	if bucket < 2*fuelSteps {
		return int64(bucket)
	}
	octave := bucket/fuelSteps - 1
	return int64(fuelSteps+bucket%fuelSteps)<<octave + int64(1)<<octave/2
}

func (f *fuelUse) observe(n int64) { f[fuelBucket(n)].Add(1) }

// median returns the fuel that half of the calls take at most; 0 if there were none.
func (f *fuelUse) median() int64 {
	all := uint64(0)
	for i := range f {
		all += uint64(f[i].Load())
	}
	seen := uint64(0)
	for i := range f {
		if seen += uint64(f[i].Load()); all > 0 && 2*seen >= all {
			return fuelOf(i)
		}
	}
	return 0
}

// observeFuel notes what the last call of an instance has taken.
func (g *guest) observeFuel(export int, i *wasm.Instance) {
	if export < exportQuery {
		return
	}
	if g.calls < fuelAlways || g.calls%fuelOneIn == 0 {
		g.l.fuel[export-exportQuery].observe(i.Spent())
	}
	g.calls++
}

// CallFuel is how much fuel a call may take by these limits.
func (l Limits) CallFuel() int64 { return cmp.Or(l.Fuel, wasm.FastFuel) }
