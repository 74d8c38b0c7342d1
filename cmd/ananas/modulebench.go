package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/wasm"
)

type moduleBenchCommand struct {
	Dir  string        `arg:"" optional:"" default:"." help:"The module's folder; without it this one."`
	Time time.Duration `default:"500ms" help:"For how long each case is asked."`
	JSON bool          `help:"Print it as JSON."`
}

// Help is printed below the usage.
func (moduleBenchCommand) Help() string {
	return `Each case of the module's files is asked again and again on one core, as in the path of a query: an instance taken, the query copied in, the call, the instance put back. What Ananas allocates for it is counted, and should be nothing.

A call with more than 50,000 fuel can't run in the loop that answers from the cache.

Example:

  ananas module bench block`
}

// benched is what is measured of a case.
type benched struct {
	File  string  `json:"file"`
	Line  int     `json:"line"`
	Query string  `json:"query"`
	Calls int     `json:"calls"`
	Nanos float64 `json:"ns_per_call"`
	Fuel  int64   `json:"fuel_per_call"`
	Alloc float64 `json:"allocations_per_call"`
}

// Run measures.
func (c *moduleBenchCommand) Run(p *process) (err error) {
	f, err := openModule(c.Dir)
	if err != nil {
		return err
	}
	files, err := readCases(c.Dir)
	if err != nil {
		return err
	}
	module, err := f.built(p)
	if err != nil {
		return err
	}
	began := time.Now()
	r, err := f.runner(module, func() time.Duration { return time.Since(began) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var all []benched
	faults := 0
	for _, file := range files {
		for _, one := range file.Cases {
			if one.Want.Fault != "" {
				faults++ // it has no price
				continue
			}
			cost, err := r.Measure(p.ctx, one, c.Time)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", file.Name, one.Line, err)
			}
			b := row(file, one, cost)
			all = append(all, b)
			if !c.JSON {
				if err := p.print(func(w io.Writer) error { return b.write(w, len(all) == 1) }); err != nil {
					return err
				}
			}
		}
	}
	if c.JSON {
		return p.printJSON(all)
	}
	if faults > 0 {
		return p.say("%s left out: a fault has no price", count(faults, "case is", "cases are"))
	}
	return nil
}

func row(file *cases.File, one *cases.Case, cost plugin.Cost) benched {
	n := float64(max(cost.Calls, 1))
	return benched{
		File: file.Name, Line: one.Line, Query: one.String(), Calls: cost.Calls, Nanos: float64(cost.Took.Nanoseconds()) / n, Fuel: cost.Fuel / int64(max(cost.Calls, 1)), Alloc: float64(cost.Allocated) / n,
	}
}

func (b *benched) write(w io.Writer, first bool) error {
	var s strings.Builder
	if first {
		fmt.Fprintf(&s, "%-40s %12s %12s %12s\n", "case", "ns a call", "fuel", "allocations")
	}
	note := ""
	if b.Fuel > wasm.FastFuel {
		note = "  too much for the loop that answers from the cache"
	}
	fmt.Fprintf(&s, "%-40s %12.0f %12s %12.2f%s\n", b.Query, b.Nanos, thousands(uint64(max(b.Fuel, 0))), b.Alloc, note)
	_, err := io.WriteString(w, s.String())
	return err
}
