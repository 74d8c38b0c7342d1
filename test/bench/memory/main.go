//go:build linux

// Command memory measures what a cached name costs: the resident set of a resolver before and after it has resolved 100,000 names of
// the lab, for ananas and unbound side by side, over the names. It needs Linux, root and Debian's unbound. See test/bench/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/test/bench"
	"github.com/ananas-edge/ananas/test/bench/load"
)

// world is the generated internet, near and healthy: what is measured is memory.
const world = `
[generate]
[defaults]
latency 2ms..5ms
`

func main() {
	var o bench.Options
	o.Flags(flag.CommandLine)
	names := flag.Int("names", 100_000, "names to resolve")
	rate := flag.Float64("rate", 2500, "questions a second")
	flag.Parse()
	bench.Run(o, func(ctx context.Context, r *bench.Rig) error {
		net, err := r.StartInternet(world, 1, false)
		if err != nil {
			return err
		}
		if *names > len(net.Names) {
			return errors.New("the lab has fewer names than that")
		}
		per := bench.Measure{Name: "octets of resident set per name", Format: "%.0f"}
		before := bench.Measure{Name: "resident set when empty, MiB", Format: "%.1f"}
		after := bench.Measure{Name: "resident set when full, MiB", Format: "%.1f"}
		for _, c := range bench.Contenders() {
			empty, full, err := measure(ctx, r, net, c, *names, *rate)
			if err != nil {
				return fmt.Errorf("measuring %s: %w", c.Name, err)
			}
			put := func(m *bench.Measure, v float64) {
				if c.Name == "ananas" {
					m.Ours = append(m.Ours, v)
				} else {
					m.Theirs = append(m.Theirs, v)
				}
			}
			put(&before, float64(empty)/(1<<20))
			put(&after, float64(full)/(1<<20))
			put(&per, float64(full-empty)/float64(*names))
		}
		r.Done()
		fmt.Print(bench.Table(fmt.Sprintf("%d names", *names), []bench.Measure{per, before, after}))
		return nil
	})
}

// measure resolves the names once, and tells the resident set before and after, in octets.
func measure(ctx context.Context, r *bench.Rig, net *bench.Internet, c bench.Contender, names int, rate float64) (empty, full int64, err error) {
	p, err := r.Start(c, c.Name+"-1")
	if err != nil {
		return 0, 0, err
	}
	defer p.Stop(10 * time.Second)
	empty, _ = p.Memory()
	report, err := load.Run(ctx, load.Plan{
		Server:  bench.Address,
		Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		At:      load.Poisson(1, names, rate),
		Timeout: 10 * time.Second,
		Question: func(i int, b []byte) []byte {
			q := dns.Question{Name: net.Names[i], Type: dns.TypeA, Class: dns.ClassINET}
			return dns.AppendQuestion(b, 0, dns.FlagRD, q, 1232, false, nil)
		},
	})
	if err != nil {
		return 0, 0, err
	}
	if good := report.RCodes[dns.RCodeSuccess]; good < names-names/100 {
		return 0, 0, fmt.Errorf("%d of %d names could not be resolved", names-good, names)
	}
	full, _ = p.Memory()
	return empty, full, nil
}
