package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// checkCommand compiles a file dry, with the lists and modules that it names: nothing is bound or changed, and nobody is asked.
type checkCommand struct {
	File string `arg:"" help:"The file to check."`
	JSON bool   `help:"Print errors and warnings as JSON."`
}

func (checkCommand) Help() string {
	return `Exit code 0: the file is good. 1: it is not, and the output says why. What is allowed and hardly ever meant is a warning, on standard error, and so is what of a list that modules ask was not taken. At most 20 errors are listed; the others are counted, as "more" in JSON.

The file is held to all that a node holds it to: the lists that modules may ask are compiled, and the modules are loaded and started with their settings, in a temporary folder. No node and no network is asked.

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
	tables, err := checkFile(c.File)
	out := found{File: c.File, Good: err == nil, Errors: []finding{}, Warnings: []finding{}}
	var wrong *strictyaml.Errors
	if errors.As(err, &wrong) {
		out.More = wrong.More
		for _, e := range wrong.List {
			out.Errors = append(out.Errors, finding{Line: e.Line, Column: e.Column, Path: e.Path, Text: e.Err.Error(), Hint: e.Hint})
		}
	} else if err != nil {
		out.Errors = append(out.Errors, finding{Text: err.Error()})
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

// checkFile compiles a file as a node does that starts with it.
func checkFile(name string) (*settings.Tables, error) {
	f, err := settings.Open(name)
	if err != nil {
		return nil, err
	}
	tables, err := f.Compile(f.Node.Listen.DNS)
	if err != nil {
		return nil, err
	}
	if t := tables.Plugins; t == nil || len(t.Modules) == 0 {
		return tables, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // from here on there is a folder that would be left
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return tables, checkModules(ctx, f, tables)
}

// checkModules loads what the tables of a file name, in a folder that is removed. One instance of each module says what all would.
func checkModules(ctx context.Context, f *settings.File, tables *settings.Tables) (err error) {
	folder, err := os.MkdirTemp("", "ananas-check-")
	if err != nil {
		return fmt.Errorf("making a folder for what is compiled: %w", err)
	}
	defer func() {
		if gone := os.RemoveAll(folder); gone != nil {
			err = errors.Join(err, fmt.Errorf("removing what was compiled: %w", gone))
		}
	}()
	shelf, err := dataset.NewShelf(folder, wholefile.OS{})
	if err != nil {
		return err
	}
	metrics := telemetry.NewMetrics()
	engine, err := wasm.Open(wasm.Config{Folder: filepath.Join(folder, "modules"), Command: compileProcess, Metrics: metrics})
	if err != nil {
		return err
	}
	began := time.Now()
	loader := plugin.NewLoader(plugin.Config{Engine: engine, Shelf: shelf, Cores: 1, Boot: func() time.Duration { return time.Since(began) }, Metrics: metrics})
	chain, err := loader.Load(ctx, tables.Plugins, nil)
	if err == nil {
		tables.Loaded(chain)
	}
	chain.Release()
	loader.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return f.Locate(err)
}
