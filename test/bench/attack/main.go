//go:build linux

// Command attack measures what is left for a normal client while 1,000 others ask for random names under a zone whose servers hardly
// answer: 1,000 questions a second, half of them for names in the cache (hits), half for fresh ones (misses). Beside Unbound, on the same
// internet, with the same questions at the same times.
//
//	go run ./test/bench/attack                                  the whole benchmark, about 6 minutes
//	go run ./test/bench/attack -rounds 1 -t 5s -rate 1000       a first look
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/ananas-edge/ananas/test/bench"
)

// options of the benchmark, beside those of the rig.
type options struct {
	rig     bench.Options
	rounds  int
	first   uint64
	time    time.Duration
	calm    time.Duration
	rate    float64
	sources int
	normal  float64
	warm    int
	timeout time.Duration
	world   string
	labSeed uint64
	only    string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, each with questions and times of its own")
	flag.Uint64Var(&o.first, "first", 1, "the first seed")
	flag.DurationVar(&o.time, "t", 30*time.Second, "length of the attack")
	flag.DurationVar(&o.calm, "calm", 10*time.Second, "time before the attack, measured too")
	flag.Float64Var(&o.rate, "rate", 10_000, "random names a second")
	flag.IntVar(&o.sources, "sources", 1000, "addresses that they come from")
	flag.Float64Var(&o.normal, "normal", 1000, "questions a second of the normal client")
	flag.IntVar(&o.warm, "warm", 1000, "names in the cache")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "a question unanswered for so long failed")
	flag.StringVar(&o.world, "world", "", "world file of the lab; empty: attack.world")
	flag.Uint64Var(&o.labSeed, "lab-seed", 1, "seed of the lab")
	flag.StringVar(&o.only, "only", "", "ananas or unbound: the other is left out")
	o.rig.Flags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "error: reading arguments: %q is not expected\n", flag.Arg(0))
		os.Exit(2)
	}
	bench.Run(o.rig, func(ctx context.Context, r *bench.Rig) error { return o.run(ctx, r) })
}

func (o *options) run(ctx context.Context, r *bench.Rig) error {
	world := bench.AttackWorld
	if o.world != "" {
		text, err := os.ReadFile(o.world)
		if err != nil {
			return err
		}
		world = string(text)
	}
	r.Progress("starting the lab")
	net, err := r.StartInternet(world, o.labSeed, false)
	if err != nil {
		return err
	}
	r.Say("lab: %d hosts; %v of %.0f random names a second from %d addresses, %.0f a second of a normal client, %d rounds",
		len(net.Names), o.time, o.rate, o.sources, o.normal, o.rounds)
	contenders := bench.Contenders()
	results := make([][]*result, len(contenders))
	for i, order := range bench.Order(o.rounds) {
		seed := o.first + uint64(i)
		for _, c := range order {
			if o.only != "" && contenders[c].Name != o.only {
				continue
			}
			v, err := bench.Quietest(r, net, func() (*result, bench.Noise, error) {
				v, err := o.once(ctx, r, net, contenders[c], seed, fmt.Sprintf("%s-%d", contenders[c].Name, seed))
				if err != nil {
					return nil, bench.Noise{}, err
				}
				return v, v.attack.noise, nil
			})
			if err != nil {
				return err
			}
			results[c] = append(results[c], v)
		}
	}
	fmt.Print(o.table(results[0], results[1]))
	return nil
}

// table prints what the runs found.
func (o *options) table(ours, theirs []*result) string {
	measure := func(name, format string, of func(*result) float64) bench.Measure {
		m := bench.Measure{Name: name, Format: format}
		for _, v := range ours {
			m.Ours = append(m.Ours, of(v))
		}
		for _, v := range theirs {
			m.Theirs = append(m.Theirs, of(v))
		}
		return m
	}
	var all []bench.Measure
	for _, part := range []struct {
		name string
		of   func(*result) *tally
	}{
		{"calm, hits", func(v *result) *tally { return &v.calm.hits }},
		{"calm, misses", func(v *result) *tally { return &v.calm.misses }},
		{"attack, hits", func(v *result) *tally { return &v.attack.hits }},
		{"attack, misses", func(v *result) *tally { return &v.attack.misses }},
	} {
		all = append(all,
			measure(part.name+": success, %", "%.3f", func(v *result) float64 { return 100 * part.of(v).success() }),
			measure(part.name+": p50, ms", "%.3f", func(v *result) float64 { return bench.Milliseconds(part.of(v).latencies, 0.5) }),
			measure(part.name+": p99, ms", "%.2f", func(v *result) float64 { return bench.Milliseconds(part.of(v).latencies, 0.99) }))
	}
	all = append(all,
		measure("attackers: answered, %", "%.1f", func(v *result) float64 {
			return 100 * float64(v.attackers.Answered) / float64(max(1, v.attackers.Sent))
		}),
		measure("CPU in calm, %", "%.1f", func(v *result) float64 { return 100 * v.calm.busy }),
		measure("CPU under attack, %", "%.1f", func(v *result) float64 { return 100 * v.attack.busy }),
		measure("upstream questions a second under attack", "%.0f", func(v *result) float64 { return v.attack.upstream }),
		measure("memory before, MiB", "%.0f", func(v *result) float64 { return float64(v.before) / (1 << 20) }),
		measure("memory at its peak, MiB", "%.0f", func(v *result) float64 { return float64(v.peak) / (1 << 20) }))
	title := fmt.Sprintf("%v of %.0f random names a second, %d rounds", o.time, o.rate, o.rounds)
	return bench.Table(title, all)
}
