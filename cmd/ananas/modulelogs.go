package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type moduleLogsCommand struct {
	Name   string `arg:"" optional:"" help:"A module; without it, all."`
	Follow bool   `short:"f" help:"Go on with the lines that come, until you interrupt."`
	JSON   bool   `help:"Print the lines as JSON; with --follow one object on a line."`
	nodeFlags
}

// Help is printed below the usage.
func (moduleLogsCommand) Help() string {
	return `The last thousand lines of modules on the node: what they have logged, which is in its log as well, and which of their calls failed and why. A module logs with the grant log, ten lines a second, or as many as limits.log_lines says; how many were left out is a line, too.

Example:

  ananas module logs family
  ananas module logs --follow`
}

// linesEvery is how often new lines are asked for.
const linesEvery = time.Second

// Run prints the lines.
func (c *moduleLogsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	log, err := node.ModuleLog(p.ctx, c.Name, 0)
	if err != nil {
		return err
	}
	if c.Name != "" && len(log.Lines) == 0 { // of one that is gone there may be lines still
		if err := knownModule(p, node, c.Name); err != nil {
			return err
		}
	}
	if c.JSON && !c.Follow {
		return p.printJSON(log)
	}
	for last := uint64(0); ; {
		if err := p.print(func(w io.Writer) error { return c.write(w, log.Lines) }); err != nil || !c.Follow {
			return err
		}
		if n := len(log.Lines); n > 0 {
			last = log.Lines[n-1].Seq
		}
		if p.wait(p.ctx, linesEvery); p.ctx.Err() != nil {
			return nil
		}
		if log, err = node.ModuleLog(p.ctx, c.Name, last); p.ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// write writes lines.
func (c *moduleLogsCommand) write(w io.Writer, lines []admin.ModuleLine) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, l := range lines {
		var err error
		if c.JSON {
			err = e.Encode(l)
		} else {
			_, err = fmt.Fprintf(w, "%s %-5s %s: %s\n", l.Time.UTC().Format("15:04:05.000"), l.Level, terminal.Clean(l.Module), terminal.Clean(l.Text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
