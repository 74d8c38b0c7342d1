package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
)

type moduleTestCommand struct {
	Dir     string `arg:"" optional:"" default:"." help:"The module's folder; without it this one."`
	Update  bool   `help:"Write what came out into the files, in place of what was wanted."`
	Verbose bool   `short:"v" help:"Tell of each case, with its fuel, and of what the module logs."`
	JSON    bool   `help:"Print what came of each case as JSON."`
}

// Help is printed below the usage.
func (moduleTestCommand) Help() string {
	return `The module is built first if it is older than its files. Cases are in cases*.txt and cases/*.txt, with an empty line between them. Settings alone hold for those behind them; the clock stands, and random numbers are the same each time.

  settings zones=ads.example

  query www.ads.example A do cd client 192.0.2.7 tenant lobby tcp
  -> NXDOMAIN ttl=60 ede="15 blocked"

  query www.example.com A
  reply NOERROR secure
  answer www.example.com. 300 IN A 192.0.2.1
  -> records
      www.example.com. 10 IN A 192.0.2.1

  query mirror.example A
  resolved www.example.com. 300 IN A 192.0.2.1
  -> records
      mirror.example. 300 IN A 192.0.2.1

  logged www.ads.example A NXDOMAIN blocked took=120us tag=ads client 192.0.2.7
  logged www.example.com AAAA cached took=3us
  -> done
      count lines 2
      observe microseconds 120 3
      log warn "ads"

Verdicts are: go on, NXDOMAIN, NODATA, address ADDRESS..., REFUSED, drop, rewrite NAME, records, fault REASON; behind them ttl=, ede=, group=, tag= and bypass. A case with a reply or records to show is of phase answer; resolved is what a question of the module's own finds. One of logged lines is of phase log: they are what was answered, with NOERROR or another code, cached, stale, blocked, at=, took= and tag=, and done has what the module counts, observes and logs of them. A pure module is asked each case twice.

Example:

  ananas module test block`
}

// Run runs the cases.
func (c *moduleTestCommand) Run(p *process) (err error) {
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
	r, err := f.runner(module, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	out := tested{Cases: []testedCase{}}
	for _, file := range files {
		if err := c.file(p, r, file, &out); err != nil {
			return err
		}
	}
	if c.JSON {
		err = p.printJSON(out)
	} else {
		err = p.say("%d passed, %d failed", out.Passed, out.Failed)
	}
	if err == nil && out.Failed > 0 && !c.Update {
		err = hinted{fmt.Errorf("%s of module %q failed", count(out.Failed, "case", "cases"), f.manifest.Name), "- is what was wanted, + what came; ananas module test --update takes what came"}
	}
	return err
}

// tested is what --json prints.
type tested struct {
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Cases  []testedCase `json:"cases"`
}

type testedCase struct {
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Query  string   `json:"query"`
	Phase  string   `json:"phase"`
	Passed bool     `json:"passed"`
	Want   string   `json:"want"`
	Got    string   `json:"got"`
	Fuel   int64    `json:"fuel"`
	Start  int64    `json:"start_fuel"`
	Logged []string `json:"logged"`
}

// file runs the cases of one file.
func (c *moduleTestCommand) file(p *process, r *cases.Runner, file *cases.File, out *tested) error {
	screen := terminal.Of(p.stdout, p.env)
	got := make([]cases.Outcome, len(file.Cases))
	before := out.Failed
	for k, one := range file.Cases {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		result, err := r.Run(p.ctx, one)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file.Name, one.Line, err)
		}
		got[k] = result.Outcome
		difference := cases.Difference(one.Want, result.Outcome)
		if difference == "" {
			out.Passed++
		} else {
			out.Failed++
		}
		out.Cases = append(out.Cases, testedCase{
			File: file.Name, Line: one.Line, Query: one.String(), Phase: string(one.Phase()), Passed: difference == "", Want: one.Want.String(), Got: result.String(), Fuel: result.Fuel, Start: result.Start, Logged: orEmpty(result.Said),
		})
		if c.JSON {
			continue
		}
		if err := p.print(func(w io.Writer) error { return c.tell(w, screen, file.Name, one, result, difference) }); err != nil {
			return err
		}
	}
	wrong := out.Failed - before
	if !c.Update || wrong == 0 {
		return nil
	}
	if err := os.WriteFile(file.Name, []byte(file.Updated(got)), 0o644); err != nil {
		return fmt.Errorf("writing the cases: %w", err)
	}
	if c.JSON {
		return nil
	}
	return p.say("%s: %s written anew", file.Name, count(wrong, "verdict", "verdicts"))
}

func (c *moduleTestCommand) tell(w io.Writer, screen terminal.Screen, file string, one *cases.Case, result cases.Result, difference string) error {
	var b strings.Builder
	switch {
	case difference != "":
		fmt.Fprintf(&b, "%s:%d: %v: %s\n", file, one.Line, one, screen.Paint(terminal.Red, "failed"))
		for line := range strings.Lines(difference) {
			b.WriteString("    " + terminal.Clean(strings.TrimRight(line, "\n")) + "\n")
		}
	case c.Verbose:
		fmt.Fprintf(&b, "%s:%d: %v: passed, fuel %s, and %s to start\n", file, one.Line, one, thousands(uint64(max(result.Fuel, 0))), thousands(uint64(max(result.Start, 0))))
	}
	if difference != "" || c.Verbose {
		for _, line := range result.Said {
			b.WriteString("    it logs " + terminal.Clean(line) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
