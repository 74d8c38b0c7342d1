package main

import (
	"fmt"

	"github.com/ananas-edge/ananas/settings"
)

// checkCommand compiles a file dry: nothing is opened, bound or changed.
type checkCommand struct {
	File string `arg:"" help:"The file to check."`
}

func (checkCommand) Help() string {
	return `Exit code 0: the file is good. 1: it is not, and the output says why. What is allowed and hardly ever meant is a warning.

Example:
  ananas check ananas.yaml`
}

// Run checks the file.
func (c checkCommand) Run(p *process) error {
	tables, err := settings.Check(c.File)
	if err != nil {
		return err
	}
	for _, w := range tables.Warnings() {
		if _, err := fmt.Fprintf(p.stderr, "warning: %s: %s\n   hint: %s\n", c.File, w.Text, w.Hint); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	if _, err := fmt.Fprintf(p.stdout, "%s: good\n", c.File); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
