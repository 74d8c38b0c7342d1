//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/test/bench"
)

// text is the tables, in Markdown: what is needed, then each way to ask, then memory, then hits beside misses.
func (r *result) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s names, %s; %v\n\n", thousands(r.Names), r.rounds(), r.Place)
	r.goalTable(&b)
	for _, m := range modes(!r.Plain) {
		r.modeTable(&b, m)
	}
	r.fillingTable(&b)
	r.missTable(&b)
	for _, name := range sortedKeys(r.Dead) {
		fmt.Fprintf(&b, "\n%s was left out: %s\n", name, r.Dead[name])
	}
	return b.String()
}

func (r *result) goalTable(b *strings.Builder) {
	fmt.Fprint(b, "| | ananas | better peer | ratio | min..max | needed | aimed at | |\n|---|---:|---:|---:|---:|---:|---:|---|\n")
	var unknown []string
	for i := range r.Goals {
		g := &r.Goals[i]
		if g.Unknown {
			unknown = append(unknown, g.What)
			continue
		}
		theirs, ratio, spread := "-", "-", "-"
		if g.Theirs != 0 {
			theirs = fmt.Sprintf("%s (%s)", g.quantity(g.Theirs), g.Peer)
		} else if g.Peer != "" {
			theirs = g.Peer
		}
		if g.Ratio {
			ratio = g.number(g.Value)
		}
		if g.Spread != [2]float64{} {
			spread = g.number(g.Spread[0]) + ".." + g.number(g.Spread[1])
		}
		met := "**missed**"
		switch {
		case g.Met && g.Aimed != 0 && (g.AtMost && g.Value <= g.Aimed || !g.AtMost && g.Value >= g.Aimed):
			met = "as aimed"
		case g.Met:
			met = "met"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", g.What, g.quantity(g.Ours), theirs, ratio, spread, g.bound(g.Needed), g.bound(g.Aimed), met)
	}
	if len(unknown) > 0 {
		fmt.Fprintf(b, "\nNot measured: %s.\n", strings.Join(unknown, "; "))
	}
}

func (g *goal) quantity(v float64) string {
	switch g.Unit {
	case "%", "k":
		return figure(v) + " " + g.Unit
	case "times", "answers":
		return g.number(v)
	}
	return figure(v) + " " + g.Unit
}

// bound is what is needed or aimed at; none if it is 0 and something is to be reached.
func (g *goal) bound(v float64) string {
	switch {
	case v == 0 && !(g.AtMost && g.Needed == 0):
		return "-"
	case g.AtMost:
		return "<= " + g.number(v)
	}
	return ">= " + g.number(v)
}

func (r *result) modeTable(b *strings.Builder, m *mode) {
	by := cpu
	if m.rate > 0 {
		by = p50
	}
	names := r.servers(m.name, by)
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s (%s):\n\n", strings.ToUpper(m.title[:1])+m.title[1:], m.name)
	fmt.Fprint(b, "| server | CPU per query, ns | min..max | queries a second | max | busy, % | p50, us | min..max | p99, us | lost | looked at | wrong | client, ns | NSD, % | others, % |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, name := range names {
		of := func(f func(*run) float64) []float64 { return r.values(name, m.name, f) }
		median := func(f func(*run) float64) float64 { return bench.Median(of(f)) }
		sum := func(f func(*run) int) (n int) {
			for i := range r.Runs {
				if v := &r.Runs[i]; v.Server == name && v.Mode == m.name {
					n += f(v)
				}
			}
			return n
		}
		fmt.Fprintf(b, "| %s | %.0f | %.0f..%.0f | %.0f | %.0f | %.0f | %.1f | %.1f..%.1f | %.0f | %d | %d | %d | %.0f | %.1f | %.0f |\n", name,
			median(cpu), slices.Min(of(cpu)), slices.Max(of(cpu)), median(rate), slices.Max(of(rate)), 100*median(func(v *run) float64 { return v.Busy }),
			median(p50), slices.Min(of(p50)), slices.Max(of(p50)), median(func(v *run) float64 { return v.P99 }),
			sum(func(v *run) int { return v.Lost }), sum(func(v *run) int { return v.Looked }), sum(func(v *run) int { return v.Wrong }),
			median(func(v *run) float64 { return v.Client }), 100*median(func(v *run) float64 { return v.Authority }), 100*median(func(v *run) float64 { return v.Others }))
	}
}

func (r *result) fillingTable(b *strings.Builder) {
	if len(r.Fillings) == 0 {
		return
	}
	fmt.Fprint(b, "\nMemory, and what is in the caches:\n\n| server | names | octets a name | resident before, MiB | with all names, MiB | NOERROR | NXDOMAIN | wrong | secure | busy when idle, % |\n"+
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	all := slices.Clone(r.Fillings)
	slices.SortStableFunc(all, func(x, y filling) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.PerName, y.PerName))
	})
	for _, f := range all {
		fmt.Fprintf(b, "| %s | %s | %.0f | %.1f | %.1f | %d | %d | %d | %d | %.1f |\n", f.Server, f.Kind, f.PerName, float64(f.Before)/(1<<20), float64(f.After)/(1<<20),
			f.RCodes[0], f.RCodes[3], f.Wrong, f.Secure, 100*f.Idle)
	}
}

func (r *result) missTable(b *strings.Builder) {
	if len(r.Misses) == 0 {
		return
	}
	fmt.Fprint(b, "\nHits while misses come; medians over the rounds:\n\n| server | misses a second | CPU per miss, us | hits p50 alone, us | beside half, us | busy, % | hits answered, % | beside twice, us | p99, us | "+
		"hits answered, % | misses answered, % |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, name := range missServers {
		median := func(f func(*missing) float64) float64 {
			var values []float64
			for i := range r.Misses {
				if r.Misses[i].Server == name {
					values = append(values, f(&r.Misses[i]))
				}
			}
			return bench.Median(values)
		}
		if !slices.ContainsFunc(r.Misses, func(v missing) bool { return v.Server == name }) {
			continue
		}
		fmt.Fprintf(b, "| %s | %.0f | %.0f | %.1f | %.1f | %.0f | %.3f | %.1f | %.0f | %.3f | %.1f |\n", name, median(func(v *missing) float64 { return v.Capacity }),
			median(func(v *missing) float64 { return v.CPU / 1e3 }), median(func(v *missing) float64 { return v.Quiet }), median(func(v *missing) float64 { return v.Half }),
			median(func(v *missing) float64 { return 100 * v.HalfBusy }), median(func(v *missing) float64 { return 100 * v.HalfHits }),
			median(func(v *missing) float64 { return v.Twice }), median(func(v *missing) float64 { return v.TwiceP99 }),
			median(func(v *missing) float64 { return 100 * v.TwiceHits }), median(func(v *missing) float64 { return 100 * v.TwiceMiss }))
	}
}

// rounds says how many there were, and how long.
func (r *result) rounds() string {
	if r.Rounds == 1 {
		return fmt.Sprintf("one round of %v", r.Long)
	}
	return fmt.Sprintf("%d rounds of %v", r.Rounds, r.Long)
}

func sortedKeys(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
