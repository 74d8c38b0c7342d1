package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

type moduleShowCommand struct {
	File string `arg:"" help:"The module: a .wasm file."`
	JSON bool   `help:"Print it as JSON."`
}

// Help is printed below the usage.
func (moduleShowCommand) Help() string {
	return `The file is read, and none of its code is run. No node is asked.

Example:

  ananas module show block/block.wasm`
}

// moduleInfo is what --json prints.
type moduleInfo struct {
	File    string          `json:"file"`
	Bytes   int             `json:"bytes"`
	Digest  string          `json:"sha256"`
	ABI     int             `json:"abi"`
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Phases  []string        `json:"phases"`
	Needs   []string        `json:"needs"`
	Wants   []string        `json:"wants"`
	Fuel    int64           `json:"fuel,omitempty"`
	Pure    bool            `json:"pure"`
	Memory  int64           `json:"memory"`
	Imports []plugin.Import `json:"imports"`
	WASI    int             `json:"wasi_imports"`
	Exports []string        `json:"exports"`
}

// Run reads the file.
func (c *moduleShowCommand) Run(p *process) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return fileFault(err)
	}
	d, err := plugin.Describe(b)
	if err != nil {
		return fmt.Errorf("reading module %s: %w", c.File, err)
	}
	m := d.Manifest
	if c.JSON {
		return p.printJSON(moduleInfo{c.File, d.Octets, d.Digest, m.ABI, m.Name, m.Version, m.Phases, orEmpty(m.Needs), orEmpty(m.Wants), m.Fuel, m.Pure, d.Memory, orEmpty(d.Imports), d.WASI, orEmpty(d.Exports)})
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		var s strings.Builder
		row := rows(&s, screen, len("exports"))
		row("module", m.Name+" "+m.Version, terminal.Bold)
		row("file", fmt.Sprintf("%s, %s", c.File, size(int64(d.Octets))), terminal.Plain)
		row("sha256", d.Digest, terminal.Plain)
		row("abi", fmt.Sprint(m.ABI), terminal.Plain)
		row("phases", strings.Join(m.Phases, ", "), terminal.Plain)
		row("needs", orNothing(m.Needs), terminal.Plain)
		if len(m.Wants) > 0 {
			row("wants", strings.Join(m.Wants, ", "), terminal.Plain)
		}
		if m.Pure {
			row("pure", "its verdict is kept with the answer", terminal.Plain)
		} else {
			row("pure", "no: it is asked for each query", terminal.Plain)
		}
		if m.Fuel > 0 {
			row("fuel", thousands(uint64(m.Fuel))+" for a call", terminal.Plain)
		}
		row("memory", size(d.Memory)+" at first", terminal.Plain)
		var imports []string
		for _, i := range d.Imports {
			switch {
			case !i.Known:
				imports = append(imports, i.Name+" (this release does not have it)")
			case i.Capability != "":
				imports = append(imports, fmt.Sprintf("%s (grant %s)", i.Name, i.Capability))
			default:
				imports = append(imports, i.Name)
			}
		}
		if d.WASI > 0 {
			imports = append(imports, count(d.WASI, "function", "functions")+" of WASI")
		}
		row("imports", orNothing(imports), terminal.Plain)
		row("exports", orNothing(d.Exports), terminal.Plain)
		_, err := io.WriteString(w, s.String())
		return err
	})
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
