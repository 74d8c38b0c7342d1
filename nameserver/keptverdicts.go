package nameserver

import (
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/telemetry"
)

// keptVerdicts counts, for one loop, the verdicts of modules that answers were given by as they were kept: a batch at a time, so that a query costs an addition in memory of the loop's own. Before they were counted, a list that
// blocked a hundred thousand queries looked as if it had blocked the few that nobody had asked for before.
type keptVerdicts struct {
	chain    *plugin.Chain
	counts   []uint64             // by mark
	counters []*telemetry.Counter // by mark; nil: not needed yet
	touched  []plugin.Mark
}

// of has marks be those of a chain.
func (k *keptVerdicts) of(c *plugin.Chain) {
	if k.chain == c {
		return
	}
	n := c.Marks()
	*k = keptVerdicts{chain: c, counts: make([]uint64, n), counters: make([]*telemetry.Counter, n), touched: make([]plugin.Mark, 0, n)}
}

// add counts one; 0 is nobody's. What is no mark of the chain is of a damaged image, and counts for nothing.
func (k *keptVerdicts) add(m plugin.Mark) {
	if m == 0 || int(m) >= len(k.counts) {
		return
	}
	if k.counts[m]++; k.counts[m] == 1 {
		k.touched = append(k.touched, m)
	}
}

// count adds what there is to the metrics.
func (k *keptVerdicts) count(decided *telemetry.Counter) {
	for _, m := range k.touched {
		if k.counters[m] == nil {
			k.counters[m] = k.chain.Counter(m)
		}
		k.counters[m].Add(k.counts[m])
		if k.chain.Decided(m) {
			decided.Add(k.counts[m])
		}
		k.counts[m] = 0
	}
	k.touched = k.touched[:0]
}
