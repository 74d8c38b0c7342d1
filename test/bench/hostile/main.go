//go:build linux

// Command hostile measures what zones that are made to cost take a validating resolver: processor time per question, one at a time, and what is
// left for honest questions while such come in numbers. Beside Unbound, on the same internet, with the same questions. It fails if a question
// costs more than the bound for its algorithm.
//
//	go run ./test/bench/hostile                                                 the whole benchmark, about an hour
//	go run ./test/bench/hostile -only ananas -algs 13 -rounds 1 -flood 0        a first look
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/test/bench"
)

// options of the benchmark, beside those of the rig.
type options struct {
	rig       bench.Options
	rounds    int
	questions int
	algorithm string
	names     string
	only      string
	flood     time.Duration
	rate      float64
	honest    float64
	timeout   time.Duration
	labSeed   uint64

	algs  []int
	traps []trap
}

func main() {
	o := options{rig: bench.Options{Validate: true}}
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; what a question costs is the least of them")
	flag.IntVar(&o.questions, "n", 20, "questions for each trap and algorithm, each for zones that were not asked for before")
	flag.StringVar(&o.algorithm, "algs", "8,13,15,14,16", "algorithms")
	flag.StringVar(&o.names, "traps", "", "names of traps; empty: all")
	flag.StringVar(&o.only, "only", "", "ananas or unbound: the other is left out")
	flag.DurationVar(&o.flood, "flood", 3*time.Second, "length of the flood of each trap and algorithm, in the first round; 0: none")
	flag.Float64Var(&o.rate, "rate", 100, "questions a second of the flood")
	flag.Float64Var(&o.honest, "honest", 200, "honest questions a second meanwhile, half of them for names in the cache")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Second, "a question unanswered for so long failed")
	flag.Uint64Var(&o.labSeed, "lab-seed", 1, "seed of the lab")
	o.rig.Flags(flag.CommandLine)
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error: reading arguments:", err)
		os.Exit(2)
	}
	bench.Run(o.rig, func(ctx context.Context, r *bench.Rig) error { return o.run(ctx, r) })
}

func (o *options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is not expected", rest[0])
	}
	if o.rounds < 1 || o.questions < 1 {
		return fmt.Errorf("-rounds %d -n %d: must be at least 1", o.rounds, o.questions)
	}
	for word := range strings.SplitSeq(o.algorithm, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || !slices.Contains([]int{8, 13, 14, 15, 16}, n) {
			return fmt.Errorf("-algs %s: %q is none of 8, 13, 14, 15 and 16", o.algorithm, word)
		}
		o.algs = append(o.algs, n)
	}
	o.traps = traps
	if o.names == "" {
		return nil
	}
	o.traps = nil
	for word := range strings.SplitSeq(o.names, ",") {
		i := slices.IndexFunc(traps, func(t trap) bool { return t.name == word })
		if i < 0 {
			return fmt.Errorf("-traps %s: there is no trap %q", o.names, word)
		}
		o.traps = append(o.traps, traps[i])
	}
	return nil
}

func (o *options) run(ctx context.Context, r *bench.Rig) error {
	r.Progress("starting the lab")
	net, err := r.StartInternet(world(o.traps, o.algs, o.questions), o.labSeed, false)
	if err != nil {
		return err
	}
	r.Say("lab: %d hosts; %d traps by %d algorithms, %d questions each, %d rounds", len(net.Names), len(o.traps), len(o.algs), o.questions, o.rounds)
	if err := r.KeepAwake(); err != nil {
		return err
	}
	contenders := bench.Contenders()
	results := [2]map[cell]*result{{}, {}}
	for round, order := range bench.Order(o.rounds) {
		for _, alg := range o.algs {
			for _, c := range order {
				if o.only != "" && contenders[c].Name != o.only {
					continue
				}
				m := &run{options: o, rig: r, net: net, ctx: ctx, number: round, alg: alg, results: results[c]}
				if err := m.all(ctx, contenders[c]); err != nil {
					return err
				}
			}
		}
	}
	fmt.Print(o.table(results[0], results[1]))
	if o.only == "unbound" {
		return nil
	}
	return o.judge(results[0])
}

// cell is one line of the table.
type cell struct {
	trap string
	alg  int
}

// minServed is the share of honest questions that must be answered during a flood.
const minServed = 0.99

// judge names what does not keep to its bound.
func (o *options) judge(ours map[cell]*result) error {
	var over []string
	for _, alg := range o.algs {
		for i := range o.traps {
			v := ours[cell{o.traps[i].name, alg}]
			if worst := v.worst(); o.traps[i].zones == 0 && worst > bound(alg) {
				over = append(over, fmt.Sprintf("%s by algorithm %d: a question cost %.2f ms, the bound is %.0f ms", o.traps[i].name, alg, worst, bound(alg)))
			}
			if v.honest.sent > 0 && v.honest.share() < minServed {
				over = append(over, fmt.Sprintf("%s by algorithm %d: of the honest questions meanwhile %.1f %% were answered, and not %.0f %%",
					o.traps[i].name, alg, 100*v.honest.share(), 100*minServed))
			}
		}
	}
	if len(over) > 0 {
		return fmt.Errorf("%d bounds are not met:\n  %s", len(over), strings.Join(over, "\n  "))
	}
	return nil
}

// table prints both contenders side by side: a line for each trap and algorithm.
func (o *options) table(ours, theirs map[cell]*result) string {
	var b strings.Builder
	b.WriteString("\n| zone | algorithm | ananas: ms, mean | worst | unbound: ms, mean | worst | ratio of the worst | bound | ananas: honest, % | p50, ms | p99 | unbound: honest, % | p50, ms | p99 | ananas said |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for i := range o.traps {
		for _, alg := range o.algs {
			k := cell{o.traps[i].name, alg}
			a, u := ours[k], theirs[k]
			ratio := "-"
			if a != nil && u != nil {
				ratio = fmt.Sprintf("%.2f", a.worst()/u.worst())
			}
			limit := "-"
			if o.traps[i].zones == 0 {
				limit = fmt.Sprintf("%.0f", bound(alg))
			}
			fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %s | %s | %s |\n", k.trap, alg, a.costs(), u.costs(), ratio, limit, a.served(), u.served(), a.said())
		}
	}
	b.WriteString("\n")
	for i := range o.traps {
		fmt.Fprintf(&b, "%s: %s\n", o.traps[i].name, o.traps[i].doc)
	}
	return b.String()
}
