package main

import (
	"fmt"
	"io"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type reloadCommand struct {
	JSON bool `help:"Print what changed as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (reloadCommand) Help() string {
	return `The node reads its file again and swaps the settings in, all at once. A file that is wrong changes nothing: what is wrong with it is printed, and the exit code is 1.

Example:

  ananas check ananas.yaml
  ananas reload`
}

// Run has the node reload, and prints what is different.
func (c *reloadCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	done, err := node.Reload(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(done)
	}
	return p.print(func(w io.Writer) error {
		if len(done.Changed) == 0 {
			fmt.Fprintln(w, "nothing changed")
		}
		for _, list := range []struct {
			what  string
			texts []string
		}{{"changed", done.Changed}, {"needs a restart", done.Restart}, {"warning", done.Warnings}} {
			for _, text := range list.texts {
				fmt.Fprintf(w, "%s: %s\n", list.what, terminal.Clean(text))
			}
		}
		return nil
	})
}
