package lab

import "testing"

// Names and addresses are decoded by inverting the permutation: it must be one.
func TestPermutationInverts(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 5, 70, 343000, 1 << 26} {
		p := newPermutation(seed(n).with(9), n)
		seen := map[uint64]bool{}
		for i := uint64(0); i < min(n, 20000); i++ {
			v := p.apply(i)
			if v >= n || seen[v] {
				t.Fatalf("permutation of %d gives %d for %d: too large or given twice", n, v, i)
			}
			seen[v] = true
			if back := p.invert(v); back != i {
				t.Fatalf("permutation of %d: %d -> %d -> %d", n, i, v, back)
			}
		}
	}
}

func TestSharesAreEven(t *testing.T) {
	const n = 100000
	hits := 0
	for i := range uint64(n) {
		if seed(1).with(i).text("www.example.com").chance(0.05) {
			hits++
		}
	}
	if hits < n*45/1000 || hits > n*55/1000 {
		t.Errorf("a chance of 5 %% came true %d times in %d", hits, n)
	}
}

func TestGenerationsAreBounded(t *testing.T) {
	g := newGenerations[int, int](100)
	for i := range 10000 {
		g.put(i, i)
		if v, ok := g.get(i); !ok || v != i {
			t.Fatalf("entry %d is gone at once", i)
		}
		if have := len(g.young) + len(g.old); have > 100 {
			t.Fatalf("%d entries are kept, 100 allowed", have)
		}
	}
}
