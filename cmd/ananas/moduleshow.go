package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/wasm"
)

type moduleShowCommand struct {
	File string `arg:"" name:"file-or-name" help:"The module: a .wasm file, or the name of one that the node has."`
	JSON bool   `help:"Print it as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (moduleShowCommand) Help() string {
	return `A file is read, and none of its code is run; no node is asked. Where there is no such file, the node tells of its module of that name: what it needs and wants, granted or not, and how it does.

Example:

  ananas module show block/block.wasm
  ananas module show block`
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
	Reads   []string        `json:"settings"` // null: the manifest does not say
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
	if (errors.Is(err, fs.ErrNotExist) || err != nil && isFolder(c.File)) && !strings.ContainsAny(c.File, `./\`) {
		return c.showOfNode(p)
	}
	if err != nil {
		return fileFault(err)
	}
	d, err := plugin.Describe(b)
	if err != nil {
		return fmt.Errorf("reading module %s: %w", c.File, err)
	}
	m := d.Manifest
	if c.JSON {
		return p.printJSON(moduleInfo{c.File, d.Octets, d.Digest, m.ABI, m.Name, m.Version, m.Phases, orEmpty(m.Needs), orEmpty(m.Wants), m.Settings, m.Fuel, m.Pure, d.Memory, orEmpty(d.Imports), d.WASI, orEmpty(d.Exports)})
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		var s strings.Builder
		row := rows(&s, screen, len("settings"))
		row("module", m.Name+" "+m.Version, terminal.Bold)
		row("file", fmt.Sprintf("%s, %s", c.File, size(int64(d.Octets))), terminal.Plain)
		row("sha256", d.Digest, terminal.Plain)
		row("abi", fmt.Sprint(m.ABI), terminal.Plain)
		row("phases", strings.Join(m.Phases, ", "), terminal.Plain)
		row("needs", orNothing(m.Needs), terminal.Plain)
		if len(m.Wants) > 0 {
			row("wants", strings.Join(m.Wants, ", "), terminal.Plain)
		}
		row("settings", readsText(m.Settings), terminal.Plain)
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

// isFolder tells that a name is that of a folder: the one that ananas module new makes has the module's.
func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// showOfNode tells what a node says of its module.
func (c *moduleShowCommand) showOfNode(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	list, err := node.Modules(p.ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list.Modules, func(m admin.Module) bool { return m.Name == c.File })
	if at < 0 {
		return hinted{fmt.Errorf("there is no file %s, and the node has no module of that name", c.File), "ananas module ls shows those that it has"}
	}
	m := list.Modules[at]
	if c.JSON {
		return p.printJSON(m)
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		var s strings.Builder
		row := rows(&s, screen, len("verdicts"))
		row("module", strings.TrimSpace(m.Name+" "+m.Version), terminal.Bold)
		row("sha256", m.SHA256, terminal.Plain)
		row("size", size(int64(m.Octets)), terminal.Plain)
		row("phases", strings.Join(m.Phases, ", "), terminal.Plain)
		for _, part := range []struct {
			name string
			all  []string
		}{{"needs", m.Needs}, {"wants", m.Wants}} {
			if text, ok := strings.CutPrefix(capabilityText(part.name, part.all, m.Uses), part.name+" "); ok {
				row(part.name, text, terminal.Plain)
			} else {
				row(part.name, "nothing", terminal.Plain)
			}
		}
		row("settings", readsText(m.Settings), terminal.Plain)
		if m.Alarm != "" {
			row("alarm", m.Alarm, terminal.Red)
		}
		if len(m.Uses) == 0 {
			row("runs", "nowhere: no plugin does that; "+howToRun, terminal.Plain)
		}
		for _, u := range m.Uses {
			fuel := "not called yet"
			if u.Fuel > 0 {
				fuel = thousands(uint64(u.Fuel)) + " fuel for half of the calls"
			}
			row("runs", fmt.Sprintf("at phase %s, place %d, mode %s: %s; %s, of %s", u.Phase, u.Place, u.Mode, useState(&m, &u), fuel, thousands(uint64(m.Fuel))), terminal.Plain)
			row("faults", thousands(u.Faults), terminal.Plain)
			row("verdicts", cmp.Or(verdictText(u.Verdicts), "none"), terminal.Plain)
		}
		for _, d := range list.Data {
			if slices.Contains(d.Modules, m.Name) {
				row("data", fmt.Sprintf("%s: %s, %s, version %.8s", d.Name, count(int(d.Entries), "entry", "entries"), size(d.Octets), d.SHA256), terminal.Plain)
			}
		}
		_, err := io.WriteString(w, s.String())
		return err
	})
}

// readsText tells which settings a module reads, by its manifest.
func readsText(settings []string) string {
	switch others := slices.Contains(settings, wasm.AnySetting); {
	case settings == nil:
		return "any: its manifest does not say which it reads"
	case len(settings) == 0:
		return "none"
	case others && len(settings) == 1:
		return "any"
	case others:
		named := slices.DeleteFunc(slices.Clone(settings), func(s string) bool { return s == wasm.AnySetting })
		return strings.Join(named, ", ") + ", and others"
	}
	return strings.Join(settings, ", ")
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
