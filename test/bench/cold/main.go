//go:build linux

// Command cold measures how a resolver with an empty cache does, beside Unbound: latency, questions to name servers, failures and
// processor time for the same questions at the same times on the same internet.
//
//	go run ./test/bench/cold                          the whole benchmark, about 10 minutes
//	go run ./test/bench/cold -seeds 1 -queries 2000   a first look
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/test/bench"
)

// options of the benchmark, beside those of the rig.
type options struct {
	rig     bench.Options
	seeds   int
	first   uint64
	queries int
	rate    float64
	zipf    float64
	timeout time.Duration
	world   string
	labSeed uint64
	log     bool
	warm    bool
	only    string
	algs    string
}

func main() {
	var o options
	flag.IntVar(&o.seeds, "seeds", 5, "rounds, each with questions and times of its own")
	flag.Uint64Var(&o.first, "first", 1, "the first seed")
	flag.IntVar(&o.queries, "queries", 20_000, "questions in a round")
	flag.Float64Var(&o.rate, "rate", 1000, "questions a second")
	flag.Float64Var(&o.zipf, "zipf", 1, "exponent of the popularity of names")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "a question unanswered for so long failed")
	flag.StringVar(&o.world, "world", "", "world file of the lab; empty: cold.world")
	flag.Uint64Var(&o.labSeed, "lab-seed", 1, "seed of the lab")
	flag.BoolVar(&o.log, "log", false, "log each question that the lab gets (with -keep); slows it down")
	flag.BoolVar(&o.warm, "rehearse", true, "run the first seed once more before, and drop what it measures: servers have then signed most of what they serve")
	flag.StringVar(&o.only, "only", "", "ananas or unbound: the other is left out")
	flag.BoolVar(&o.rig.Validate, "validate", false, "both validate, and what that takes is shown apart; each of -algs is a series of its own")
	flag.StringVar(&o.algs, "algs", "13,15,8", "by which algorithms all of the lab is signed, with -validate; 0 is a mixture")
	o.rig.Flags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "error: reading arguments: %q is not expected\n", flag.Arg(0))
		os.Exit(2)
	}
	o.rig.Signatures = o.rig.Validate
	bench.Run(o.rig, func(ctx context.Context, r *bench.Rig) error { return o.run(ctx, r) })
}

func (o *options) run(ctx context.Context, r *bench.Rig) error {
	world := bench.ColdWorld
	if o.world != "" {
		text, err := os.ReadFile(o.world)
		if err != nil {
			return err
		}
		world = string(text)
	}
	if !r.Validate {
		return o.series(ctx, r, world)
	}
	for _, alg := range strings.Split(o.algs, ",") {
		fmt.Printf("\nAll zones are signed by algorithm %s:\n\n", alg)
		signed := world
		if alg != "0" {
			signed = strings.Replace(world, "[generate]", "[generate alg="+alg+"]", 1)
		}
		if err := o.series(ctx, r, signed); err != nil {
			return err
		}
	}
	return nil
}

// series measures all rounds on one internet.
func (o *options) series(ctx context.Context, r *bench.Rig, world string) error {
	r.Progress("starting the lab")
	net, err := r.StartInternet(world, o.labSeed, o.log)
	if err != nil {
		return err
	}
	defer net.Stop(10 * time.Second)
	r.Say("lab: %d hosts; %d questions a round at %.0f a second, %d rounds", len(net.Names), o.queries, o.rate, o.seeds)
	contenders := bench.Contenders()
	results := make([][]*result, len(contenders))
	if o.warm {
		if _, err := o.once(ctx, r, net, contenders[1], o.first, "rehearsal"); err != nil {
			return err
		}
	}
	for i, order := range bench.Order(o.seeds) {
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
				r.Say("%s", v)
				return v, v.noise, nil
			})
			if err != nil {
				return err
			}
			results[c] = append(results[c], v)
		}
	}
	if r.Validate && o.only != "unbound" {
		if err := o.profile(ctx, r, net, contenders[0], results[0]); err != nil {
			return err
		}
	}
	fmt.Print(o.table(results[0], results[1]))
	fmt.Print(compare(r, results[0], results[1]))
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
	title := fmt.Sprintf("%d questions at %.0f/s, %d rounds", o.queries, o.rate, o.seeds)
	var validation []bench.Measure
	if o.rig.Validate {
		validation = []bench.Measure{
			measure("signatures checked per query", "%.3f", func(v *result) float64 { return v.perQuery(float64(v.signatures.Checks)) }),
			measure("CPU per query in signatures, us", "%.1f", func(v *result) float64 { return v.perQuery(float64(v.signatures.Time.Microseconds())) }),
			measure("CPU per query in all else, us", "%.0f", func(v *result) float64 { return v.perQuery(float64((v.cpu - v.signatures.Time).Microseconds())) }),
			measure("answers with AD, %", "%.2f", func(v *result) float64 { return 100 * v.perQuery(float64(v.secure)) }),
		}
	}
	return bench.Table(title, append([]bench.Measure{
		measure("cold p50, ms", "%.1f", func(v *result) float64 { return bench.Milliseconds(v.cold, 0.5) }),
		measure("cold p90, ms", "%.1f", func(v *result) float64 { return bench.Milliseconds(v.cold, 0.9) }),
		measure("cold p99, ms", "%.1f", func(v *result) float64 { return bench.Milliseconds(v.cold, 0.99) }),
		measure("cold p99.9, ms", "%.0f", func(v *result) float64 { return bench.Milliseconds(v.cold, 0.999) }),
		measure("cold mean, ms", "%.1f", func(v *result) float64 { return mean(v.cold) / 1e6 }),
		measure("asked before, p50, ms", "%.3f", func(v *result) float64 { return bench.Milliseconds(v.again, 0.5) }),
		measure("asked before, p90, ms", "%.3f", func(v *result) float64 { return bench.Milliseconds(v.again, 0.9) }),
		measure("all p50, ms", "%.2f", func(v *result) float64 { return bench.Milliseconds(v.all, 0.5) }),
		measure("all p99, ms", "%.1f", func(v *result) float64 { return bench.Milliseconds(v.all, 0.99) }),
		measure("upstream questions per query", "%.3f", func(v *result) float64 { return v.perQuery(float64(v.lab.Questions)) }),
		measure("of them over TCP", "%.4f", func(v *result) float64 { return v.perQuery(float64(v.lab.TCP)) }),
		measure("failures", "%.0f", func(v *result) float64 { return float64(v.failed()) }),
		measure("of them time-outs", "%.0f", func(v *result) float64 { return float64(v.timeouts) }),
		measure("CPU per query, us", "%.0f", func(v *result) float64 { return v.perQuery(float64(v.cpu.Microseconds())) }),
		measure("memory, MiB", "%.0f", func(v *result) float64 { return float64(v.memory) / (1 << 20) }),
		measure("start-up, ms", "%.0f", func(v *result) float64 { return float64(v.startUp.Milliseconds()) }),
	}, validation...))
}

// verifying are the functions of ours in which signatures are checked.
const verifying = `dnssec\.\(?\*?(ecdsaKey|rsaKey|ed25519Key|ed448Key)\)?\.verify$`

// profile runs the first round once more, to see what share of the processor time signatures take; that run is not measured otherwise.
func (o *options) profile(ctx context.Context, r *bench.Rig, net *bench.Internet, c bench.Contender, ours []*result) error {
	was := r.Profile
	r.Profile = true
	defer func() { r.Profile = was }()
	v, err := o.once(ctx, r, net, c, o.first, "profiled")
	if err != nil {
		return err
	}
	share, err := v.resolver.ProfiledShare(verifying)
	if err != nil {
		return err
	}
	for _, v := range ours {
		v.signatures.Time = time.Duration(share * float64(v.cpu))
	}
	return nil
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(1, len(values)))
}

// compare tells how often the two gave different answers to the same question.
func compare(r *bench.Rig, ours, theirs []*result) string {
	if len(ours) == 0 || len(theirs) == 0 {
		return ""
	}
	both, different, inCase := 0, 0, 0
	var lines []string
	for i := range min(len(ours), len(theirs)) {
		a, b := ours[i], theirs[i]
		for q := range a.digests {
			if a.digests[q] == "" || b.digests[q] == "" {
				continue
			}
			if both++; a.digests[q] != b.digests[q] {
				different++
				if strings.EqualFold(a.digests[q], b.digests[q]) {
					inCase++
				}
				lines = append(lines, fmt.Sprintf("seed %d: %s\n  ananas:  %s\n  unbound: %s", a.seed, a.asked(q), a.digests[q], b.digests[q]))
			}
		}
	}
	slices.Sort(lines)
	if len(lines) > 0 {
		if _, err := r.Write("different.txt", strings.Join(lines, "\n")+"\n"); err != nil {
			return err.Error()
		}
	}
	return fmt.Sprintf("\nAnswered by both: %d; with different answers: %d, %d of them different only in the case of letters\n", both, different, inCase)
}
