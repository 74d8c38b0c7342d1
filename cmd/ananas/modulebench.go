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

Of phase log a call is all lines of a case. A case that is to be a fault has no price and is left out, which is told; --json has it under left_out.

A call with more than 50,000 fuel can't run in the loop that answers from the cache.

Example:

  ananas module bench block`
}

// bench is what --json prints.
type bench struct {
	Cases   []benched `json:"cases"`
	LeftOut []leftOut `json:"left_out"`
}

// leftOut is a case that was not measured.
type leftOut struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Query string `json:"query"`
	Phase string `json:"phase"`
	Why   string `json:"why"`
}

// noPrice is why a case that is to be a fault is not measured.
const noPrice = "a fault has no price"

// benched is what is measured of a case.
type benched struct {
	File  string  `json:"file"`
	Line  int     `json:"line"`
	Query string  `json:"query"`
	Phase string  `json:"phase"`
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
	all := bench{Cases: []benched{}, LeftOut: []leftOut{}}
	for _, file := range files {
		for _, one := range file.Cases {
			if one.Want.Fault != "" {
				all.LeftOut = append(all.LeftOut, leftOut{file.Name, one.Line, one.String(), string(one.Phase()), noPrice})
				continue
			}
			cost, err := r.Measure(p.ctx, one, c.Time)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", file.Name, one.Line, err)
			}
			b := row(file, one, cost)
			all.Cases = append(all.Cases, b)
			if !c.JSON {
				if err := p.print(func(w io.Writer) error { return b.write(w, len(all.Cases) == 1) }); err != nil {
					return err
				}
			}
		}
	}
	if c.JSON {
		return p.printJSON(all)
	}
	if n := len(all.LeftOut); n > 0 {
		return p.say("%s left out: %s", count(n, "case is", "cases are"), noPrice)
	}
	return nil
}

func row(file *cases.File, one *cases.Case, cost plugin.Cost) benched {
	n := float64(max(cost.Calls, 1))
	return benched{
		File: file.Name, Line: one.Line, Query: one.String(), Phase: string(one.Phase()), Calls: cost.Calls, Nanos: float64(cost.Took.Nanoseconds()) / n, Fuel: cost.Fuel / int64(max(cost.Calls, 1)), Alloc: float64(cost.Allocated) / n,
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
