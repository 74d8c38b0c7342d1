package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type moduleLsCommand struct {
	JSON bool `help:"Print the modules as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (moduleLsCommand) Help() string {
	return `The modules that the node has, in the tables that it answers by now, where they run, and how they have done here. Verdicts are those that were not to go on; of answers that are kept only the first counts.

Example:

  ananas module ls`
}

// Run prints the table.
func (c *moduleLsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	list, err := node.Modules(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(list)
	}
	return p.print(func(w io.Writer) error {
		if len(list.Modules) == 0 {
			_, err := io.WriteString(w, "there are no modules\n")
			return err
		}
		return moduleTable(list.Modules).Write(w)
	})
}

func moduleTable(modules []admin.Module) *terminal.Table {
	t := &terminal.Table{Head: []string{"MODULE", "VERSION", "DIGEST", "PHASE", "PLACE", "MODE", "STATE", " FAULTS", "VERDICTS"}, Notes: map[int][]string{}}
	for _, m := range modules {
		digest := m.SHA256[:min(8, len(m.SHA256))]
		if m.Alarm != "" {
			t.Notes[len(t.Rows)] = []string{m.Alarm}
		}
		if len(m.Uses) == 0 {
			t.Rows = append(t.Rows, []string{m.Name, dash(m.Version), digest, "-", "-", "-", "runs nowhere", "-", "-"})
		}
		for _, u := range m.Uses {
			state := "runs"
			switch {
			case u.Off:
				state = "disabled"
			case u.Out:
				state = "taken out"
			case m.Pure:
				state = "runs, kept"
			}
			var verdicts []string
			for _, action := range slices.Sorted(maps.Keys(u.Verdicts)) {
				verdicts = append(verdicts, fmt.Sprintf("%s %s", thousands(u.Verdicts[action]), action))
			}
			t.Rows = append(t.Rows, []string{m.Name, dash(m.Version), digest, u.Phase, fmt.Sprint(u.Place), u.Mode, state, thousands(u.Faults), dash(strings.Join(verdicts, ", "))})
		}
	}
	return t
}

type moduleLogsCommand struct {
	Name string `arg:"" optional:"" help:"A module; without it, all."`
	JSON bool   `help:"Print the lines as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (moduleLogsCommand) Help() string {
	return `The last thousand lines that modules have logged on the node; they are in its log as well. A module needs the grant log.

Example:

  ananas module logs family`
}

// Run prints the lines.
func (c *moduleLogsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	log, err := node.ModuleLog(p.ctx, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(log)
	}
	return p.print(func(w io.Writer) error {
		for _, l := range log.Lines {
			if _, err := fmt.Fprintf(w, "%s %-5s %s: %s\n", l.Time.UTC().Format("15:04:05.000"), l.Level, terminal.Clean(l.Module), terminal.Clean(l.Text)); err != nil {
				return err
			}
		}
		return nil
	})
}
