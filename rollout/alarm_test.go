package rollout

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// binomial draws how many of n are the case.
func binomial(rng *rand.Rand, n int, p float64) (x uint64) {
	for range n {
		if rng.Float64() < p {
			x++
		}
	}
	return x
}

// traffic draws n queries of which a share fails, in runs of three: clients ask again.
func (s *Sum) traffic(rng *rand.Rand, n int, fail float64) {
	broken := min(3*binomial(rng, n/3, fail), uint64(n))
	var t Sum
	t.Results[Broken] = broken
	t.Results[Answered] = uint64(n) - broken
	for range n {
		// Half of the queries are answered from memory in some 50 us, the others in 20 ms and more, with a long tail.
		d := 50 * time.Microsecond
		if rng.IntN(2) == 0 {
			d = time.Duration(float64(20*time.Millisecond) * math.Exp(rng.NormFloat64()))
		}
		t.Latency.Observe(d, 1)
	}
	s.Add(&t)
}

var waves = flag.Int("waves", 300, "how many waves are drawn to look for false alarms")

// How often a change that does no harm is withdrawn, at the canaries of three sites, each wave judged 30 times; and one that costs as much as the margin allows.
func TestFalseAlarms(t *testing.T) {
	for name, fail := range map[string]float64{"no harm": 0.01, "as much as the margin allows": 0.02} {
		alarms := 0
		for seed := range uint64(*waves) {
			rng := rand.New(rand.NewPCG(seed, 1))
			plan := DefaultPlan()
			v := &View{ID: judged, Since: wall}
			see(v, &plan, 3, 30)
			for second := 1; second <= 30; second++ {
				for i := range 3 {
					s := v.Stratum(string(rune('a'+i)), "")
					s.Holders.traffic(rng, 10, fail)
					s.Others.traffic(rng, 30, 0.01)
				}
				if got := Judge(&plan, v, wall.Add(time.Duration(second)*time.Second)); got.Decision == Fail {
					alarms++
					t.Logf("seed %d, second %d: %s", seed, second, got.Why)
					break
				}
			}
		}
		t.Logf("%s: %d false alarms in %d waves", name, alarms, *waves)
		if alarms > 0 {
			t.Errorf("%s: %d of %d waves were withdrawn", name, alarms, *waves)
		}
	}
}

func see(v *View, plan *Plan, holders, others int) {
	for range holders {
		v.See(plan, &Row{NodeState: NodeState{Sets: []ID{judged}}}, true)
	}
	for range others {
		v.See(plan, new(Row), false)
	}
}

// What is found, of 200 waves: a failure rate that much higher, with so many queries at the canary in 30 s. It says what a gate is worth.
func TestPower(t *testing.T) {
	for _, c := range []struct {
		perSecond int
		fail      float64
		least     int // found of 200
	}{{9, 0.5, 200}, {9, 0.25, 120}, {99, 0.1, 200}, {99, 0.05, 10}, {999, 0.04, 200}} {
		found := 0
		for seed := range uint64(200) {
			rng := rand.New(rand.NewPCG(seed, 2))
			plan := DefaultPlan()
			v := &View{ID: judged, Since: wall}
			see(v, &plan, 1, 10)
			s := v.Stratum("", "")
			s.draw(rng, 30*c.perSecond, c.fail)
			if Judge(&plan, v, wall.Add(plan.Bake)).Decision == Fail {
				found++
			}
		}
		t.Logf("%d queries a second, %.0f%% fail against 1%%: found in %d of 200 waves", c.perSecond, 100*c.fail, found)
		if found < c.least {
			t.Errorf("%d queries a second, %.0f%% fail: found in %d of 200 waves, not %d", c.perSecond, 100*c.fail, found, c.least)
		}
	}
}

// draw draws how queries end, and has them all take a millisecond.
func (s *Stratum) draw(rng *rand.Rand, n int, fail float64) {
	for _, one := range []struct {
		to   *Sum
		n    int
		fail float64
	}{{&s.Holders, n, fail}, {&s.Others, 10 * n, 0.01}} {
		broken := 3 * binomial(rng, one.n/3, one.fail)
		one.to.Results[Broken], one.to.Results[Answered] = broken, uint64(one.n)-broken
		one.to.Latency.Observe(time.Millisecond, uint64(one.n))
	}
}

// The bounds are bounds: what they leave out is at most as likely as they say, for small numbers and large, against the exact binomial distribution.
func TestBounds(t *testing.T) {
	const level = 0.01
	for _, n := range []int{1, 3, 10, 100, 1000} {
		for _, p := range []float64{0.001, 0.01, 0.1, 0.5, 0.9, 0.999} {
			var above, below float64 // the chance that the true share is outside
			for x := 0; x <= n; x++ {
				px := math.Exp(choose(n, x) + float64(x)*math.Log(p) + float64(n-x)*math.Log(1-p))
				// clump says that n queries count as n/3.
				if lower(clump*float64(x), clump*float64(n), -math.Log(level)) > p+1e-9 {
					below += px
				}
				if upper(clump*float64(x), clump*float64(n), -math.Log(level)) < p-1e-9 {
					above += px
				}
			}
			if above > level || below > level {
				t.Errorf("%v of %d: outside with a chance of %.4f and %.4f", p, n, above, below)
			}
		}
	}
	if lower(0, 0, 1) != 0 || upper(0, 0, 1) != 1 {
		t.Error("of nothing nothing is known")
	}
}

func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

func BenchmarkJudge(b *testing.B) {
	for name, sites := range map[string]int{"1 site": 1, "300 sites": 300} {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 3))
			plan := DefaultPlan()
			v := &View{ID: judged, Since: wall}
			see(v, &plan, sites, 9*sites)
			for i := range sites {
				v.Stratum(string(rune('a'+i)), "").draw(rng, 3000, 0.012)
			}
			b.ReportAllocs()
			for b.Loop() {
				if got := Judge(&plan, v, wall.Add(plan.Bake)); got.Decision != Pass {
					b.Fatal(got)
				}
			}
		})
	}
}
