package rollout

import "math"

// The arithmetic of judgement. A share (failed of all queries) is known only within bounds: from above and below, those shares p for which what was seen is not too unlikely. By Chernoff,
// the chance that x or more of n independent queries fail is at most exp(-n KL(x/n, p)), where KL(q, p) = q ln(q/p) + (1-q) ln((1-q)/(1-p)), for every n, the small ones
// too; there is no normal distribution in it that three queries would not have. So p is within the bounds while n KL(x/n, p) is at most ln(1/chance).
//
// Queries are not independent. A client asks again, three times as a rule, when a name fails, so n queries say as much as n/3 that are (clump).
//
// chance is 1 in 1,000,000 for each bound and is shared among the comparisons of a verdict (sites, classes, quantiles). A verdict is looked for once a second, some hundred times in a rollout
// of default settings, with figures that only grow, so that looks are not independent; a hundred times two bounds are 1 in 5,000 rollouts at the very most that are withdrawn by chance although the
// change costs as much as the margin allows. Where the change costs nothing the margin has to be overcome as well. TestFalseAlarms draws such waves: with -waves 2000, none of 2,000 that do no harm is withdrawn, and none of 2,000
// that cost as much as the margin allows. What is found in exchange is in TestPower, where 1 % fails without the change: half of 270 queries always, a quarter of 270 in two of three waves, a tenth of 2,970
// always, 4 % of 30,000 always.
const (
	chance = 1e-6
	clump  = 3
)

// nats returns ln(1/chance) for one of a number of comparisons.
func nats(comparisons int) float64 { return math.Log(float64(max(comparisons, 1)) / chance) }

// kl returns the divergence of a coin that shows p from one that shows q.
func kl(q, p float64) float64 {
	var d float64
	if q > 0 {
		d += q * math.Log(q/p)
	}
	if q < 1 {
		d += (1 - q) * math.Log((1-q)/(1-p))
	}
	return d
}

// steps of bisection: 2^-30 is finer than any share that is of interest.
const steps = 30

// upper returns the upper bound of a share of which x of n were seen. Of nothing it is 1.
func upper(x, n, nats float64) float64 {
	if n <= 0 {
		return 1
	}
	q := min(x/n, 1)
	low, high := q, 1.0
	for range steps {
		if mid := (low + high) / 2; n/clump*kl(q, mid) > nats {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// lower returns the lower bound. Of nothing it is 0.
func lower(x, n, nats float64) float64 {
	if n <= 0 {
		return 0
	}
	q := min(x/n, 1)
	low, high := 0.0, q
	for range steps {
		if mid := (low + high) / 2; n/clump*kl(q, mid) > nats {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// part is a share as it was seen: x of n.
type part struct{ x, n float64 }

func (p part) share() float64 {
	if p.n <= 0 {
		return 0
	}
	return p.x / p.n
}

// worse tells whether the share with the change is certainly more than margin above the one without, and above least.
func worse(with, without part, margin, least, nats float64) bool {
	if with.share() <= max(without.share()+margin, least) {
		return false // bounds only lie further apart
	}
	return lower(with.x, with.n, nats) > max(upper(without.x, without.n, nats)+margin, least)
}
