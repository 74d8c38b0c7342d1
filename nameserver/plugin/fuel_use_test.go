package plugin

import "testing"

// Buckets of fuel grow, meet without a gap, and tell what is in them to an eighth.
func TestFuelBuckets(t *testing.T) {
	last := -1
	for n := int64(0); n < 1<<39; n += 1 + n/50 {
		b := fuelBucket(n)
		if b < last || b > last+1 {
			t.Fatalf("%d is in bucket %d, behind %d", n, b, last)
		}
		last = b
		if got := fuelOf(b); 8*max(got-n, n-got) > n {
			t.Fatalf("%d is told as %d", n, got)
		}
	}
	if fuelBucket(1<<62) != fuelBuckets-1 || fuelBucket(-1) != 0 {
		t.Error("what is beyond has no bucket")
	}
	var f fuelUse
	if f.median() != 0 {
		t.Error("of none there is a median")
	}
	for _, n := range []int64{1000, 1000, 1000, 40_000, 45_000} {
		f.observe(n)
	}
	if got := f.median(); got < 900 || got > 1100 {
		t.Errorf("the median is %d", got)
	}
}
