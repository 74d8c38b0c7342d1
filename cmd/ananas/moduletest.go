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
}

// Help is printed below the usage.
func (moduleTestCommand) Help() string {
	return `The module is built first if it is older than its files. Cases are in cases*.txt and cases/*.txt, with an empty line between them. Settings alone hold for those behind them; the clock stands, and random numbers are the same each time.

  settings zones=ads.example

  query www.ads.example A do cd client 192.0.2.7 tcp
  -> NXDOMAIN ttl=60 ede="15 blocked"

  query www.example.com A
  reply NOERROR secure
  answer www.example.com. 300 IN A 192.0.2.1
  -> records
      www.example.com. 10 IN A 192.0.2.1

Verdicts are: go on, NXDOMAIN, NODATA, address ADDRESS..., REFUSED, drop, rewrite NAME, records, fault REASON; behind them ttl=, ede=, tag= and bypass. A case with a reply or records to show is of phase answer. A pure module is asked each case twice.

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
	passed, failed := 0, 0
	for _, file := range files {
		n, err := c.file(p, r, file)
		if err != nil {
			return err
		}
		failed += n
		passed += len(file.Cases) - n
	}
	if err := p.say("%d passed, %d failed", passed, failed); err != nil {
		return err
	}
	if failed > 0 && !c.Update {
		return hinted{fmt.Errorf("%s of module %q failed", count(failed, "case", "cases"), f.manifest.Name), "- is what was wanted, + what came; ananas module test --update takes what came"}
	}
	return nil
}

// file runs the cases of one file, and returns how many failed.
func (c *moduleTestCommand) file(p *process, r *cases.Runner, file *cases.File) (failed int, err error) {
	screen := terminal.Of(p.stdout, p.env)
	got := make([]cases.Outcome, len(file.Cases))
	for k, one := range file.Cases {
		if err := p.ctx.Err(); err != nil {
			return failed, err
		}
		result, err := r.Run(p.ctx, one)
		if err != nil {
			return failed, fmt.Errorf("%s:%d: %w", file.Name, one.Line, err)
		}
		got[k] = result.Outcome
		difference := cases.Difference(one.Want, result.Outcome)
		if difference != "" {
			failed++
		}
		if err := p.print(func(w io.Writer) error { return c.tell(w, screen, file.Name, one, result, difference) }); err != nil {
			return failed, err
		}
	}
	if !c.Update || failed == 0 {
		return failed, nil
	}
	if err := os.WriteFile(file.Name, []byte(file.Updated(got)), 0o644); err != nil {
		return failed, fmt.Errorf("writing the cases: %w", err)
	}
	return failed, p.say("%s: %s written anew", file.Name, count(failed, "verdict", "verdicts"))
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
		fmt.Fprintf(&b, "%s:%d: %v: passed, fuel %s\n", file, one.Line, one, thousands(uint64(max(result.Fuel, 0))))
	}
	if difference != "" || c.Verbose {
		for _, line := range result.Said {
			b.WriteString("    it logs " + terminal.Clean(line) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
