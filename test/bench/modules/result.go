//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/test/bench"
)

// cpus are the processor times of a server's runs, by round.
func (b *bout) cpus(server, way string) (all []float64) {
	for _, r := range b.runs {
		if r.Server == server && r.Way == way {
			all = append(all, r.CPU)
		}
	}
	return all
}

// ratio is the median over rounds of what one takes by what another takes, and the difference in nanoseconds.
func (b *bout) ratio(server, by, way string) (ratio, more float64, spread string) {
	mine, theirs := b.cpus(server, way), b.cpus(by, way)
	var ratios, differences []float64
	for i := range min(len(mine), len(theirs)) {
		ratios = append(ratios, mine[i]/theirs[i])
		differences = append(differences, mine[i]-theirs[i])
	}
	if len(ratios) == 0 {
		return math.NaN(), math.NaN(), "-"
	}
	return bench.Median(ratios), bench.Median(differences), fmt.Sprintf("%.2f..%.2f", slices.Min(ratios), slices.Max(ratios))
}

// What is needed.
const (
	neededPure   = 1.03 // CPU of a cached query with a module whose verdict is kept, by that without a module
	neededImpure = 700  // nanoseconds that one costs which is called
)

// tell writes the table of servers, and notes what is needed.
func (b *bout) tell(n *bench.Needs) string {
	var t strings.Builder
	fmt.Fprintf(&t, "| %d names blocked, one query in ten for one of them | CPU a query, 4 sockets, us | by ananas-pure | min..max | 64 sockets, us | by ananas-pure | min..max | first answer, s | resident, MiB | with its cache, MiB | at its peak, MiB |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", b.entries)
	peers := map[string]memory{}
	for _, m := range b.memories {
		var what string
		for _, s := range servers("") {
			if s.name == m.Server {
				what = s.what
			}
		}
		if len(b.cpus(m.Server, ways[2].name)) == 0 {
			continue
		}
		peers[m.Server] = m
		fmt.Fprintf(&t, "| %s (%s)", m.Server, what)
		for _, w := range ways[2:] {
			ratio, _, spread := b.ratio(m.Server, "ananas-pure", w.name)
			fmt.Fprintf(&t, " | %.2f | %.2f | %s", bench.Median(b.cpus(m.Server, w.name))/1e3, ratio, spread)
		}
		fmt.Fprintf(&t, " | %.1f | %d | %d | %d |\n", m.Start, m.Loaded>>20, m.Full>>20, m.Peak>>20)
	}
	t.WriteString("\n")
	for _, w := range ways[:2] {
		ratio, more, spread := b.ratio("ananas-pure", "ananas", w.name)
		n.Need("CPU of a cached query with a pure module by that without one, "+w.name, fmt.Sprint(neededPure), fmt.Sprintf("%.3f (%s; %.0f ns)", ratio, spread, more), ratio <= neededPure)
		if ratio, more, spread := b.ratio("ananas-twin", "ananas", w.name); !math.IsNaN(ratio) {
			n.Note("the same of another process without one, "+w.name, fmt.Sprintf("%.3f (%s; %.0f ns)", ratio, spread, more))
		}
		ratio, more, spread = b.ratio("ananas-impure", "ananas", w.name)
		n.Need(fmt.Sprintf("CPU that a suffix look-up among %d names by an impure one costs more, %s", b.entries, w.name), fmt.Sprintf("%d ns", neededImpure), fmt.Sprintf("%.0f ns (ratio %.2f, %s)", more, ratio, spread), more < neededImpure)
	}
	lost, wrong := 0, 0
	for _, r := range b.runs {
		if strings.HasPrefix(r.Server, "ananas") {
			lost, wrong = lost+r.Lost, wrong+r.Wrong
		}
	}
	n.Need("queries lost by ours; answered wrongly", "0; 0", fmt.Sprintf("%d; %d", lost, wrong), lost+wrong == 0)
	for _, s := range servers("") {
		if !s.blocks || s.base == "ananas" || peers[s.name].Server == "" {
			continue
		}
		for _, w := range ways[2:] {
			ratio, _, spread := b.ratio(s.name, "ananas-pure", w.name)
			n.Need(fmt.Sprintf("%s: CPU a query by that of a pure module, %s", s.name, w.name), "above 1", fmt.Sprintf("%.2f (%s)", ratio, spread), ratio > 1)
		}
		mine, theirs := peers["ananas-pure"], peers[s.name]
		ratio := float64(theirs.Full) / float64(mine.Full)
		n.Need(s.name+": memory with list and cache by that of ours", "above 1", fmt.Sprintf("%.2f (%d and %d MiB)", ratio, theirs.Full>>20, mine.Full>>20), ratio > 1)
		of := func(m memory, base string) int64 { return m.Loaded - peers[base].Loaded }
		n.Note(s.name+": memory of the list; of ours", fmt.Sprintf("%d; %d MiB", of(theirs, s.base)>>20, of(mine, "ananas")>>20))
	}
	return t.String()
}
