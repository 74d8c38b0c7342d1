package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/settings"
)

// checkCommand compiles a file dry: nothing is opened, bound or changed.
type checkCommand struct {
	File string `arg:"" help:"The file to check."`
	JSON bool   `help:"Print errors and warnings as JSON."`
}

func (checkCommand) Help() string {
	return `Exit code 0: the file is good. 1: it is not, and the output says why. What is allowed and hardly ever meant is a warning, on standard error. At most 20 errors are listed; the others are counted, as "more" in JSON.

Example:
  ananas check ananas.yaml`
}

// found is what --json prints.
type found struct {
	File     string    `json:"file"`
	Good     bool      `json:"good"`
	Errors   []finding `json:"errors"`
	More     int       `json:"more"` // errors that are not listed: beyond strictyaml.MaxErrors
	Warnings []finding `json:"warnings"`
}

// finding is one error or warning.
type finding struct {
	Line   int    `json:"line,omitempty"` // from 1
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"` // of the key
	Zone   string `json:"zone,omitempty"` // that a warning is about
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// Run checks the file.
func (c checkCommand) Run(p *process) error {
	p.let() // the file may be a pipe; nothing here can be left half done
	tables, err := settings.Check(c.File)
	out := found{File: c.File, Good: err == nil, Errors: []finding{}, Warnings: []finding{}}
	var wrong *strictyaml.Errors
	if errors.As(err, &wrong) {
		out.More = wrong.More
		for _, e := range wrong.List {
			out.Errors = append(out.Errors, finding{Line: e.Line, Column: e.Column, Path: e.Path, Text: e.Err.Error(), Hint: e.Hint})
		}
	}
	if err == nil {
		for _, w := range tables.Warnings(time.Now()) {
			f := finding{Text: w.Text, Hint: w.Hint}
			if w.Path != "" {
				f.Path = "settings." + w.Path
			}
			if !w.Zone.IsZero() {
				f.Zone = w.Zone.String()
			}
			out.Warnings = append(out.Warnings, f)
		}
	}
	if c.JSON {
		if err := p.printJSON(out); err != nil {
			return err
		}
	}
	if c.JSON || err != nil {
		return err
	}
	for _, w := range out.Warnings {
		if _, err := fmt.Fprintf(p.stderr, "warning: %s: %s\n   hint: %s\n", c.File, w.Text, w.Hint); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	if _, err := fmt.Fprintf(p.stdout, "%s: good\n", c.File); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
