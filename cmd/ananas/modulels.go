package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

type moduleLsCommand struct {
	JSON bool `help:"Print the modules as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (moduleLsCommand) Help() string {
	return `The modules that the node has, in the tables that it answers by now, where they run, and how they have done here. Verdicts are those that were not to go on.

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
		first := len(t.Rows)
		if len(m.Uses) == 0 {
			t.Rows = append(t.Rows, []string{m.Name, dash(m.Version), digest, "-", "-", "-", "runs nowhere", "-", "-"})
		}
		if len(m.Uses) == 0 {
			t.Notes[first] = append(t.Notes[first], "no plugin runs it: ananas module show "+m.Name+" says how to have it run")
		}
		for _, u := range m.Uses {
			t.Rows = append(t.Rows, []string{m.Name, dash(m.Version), digest, u.Phase, fmt.Sprint(u.Place), u.Mode, useState(&m, &u), thousands(u.Faults), dash(verdictText(u.Verdicts))})
		}
		if m.Alarm != "" {
			t.Notes[first] = append(t.Notes[first], m.Alarm)
		}
		for _, line := range []string{capabilityText("needs", m.Needs, m.Uses), capabilityText("wants", m.Wants, m.Uses)} {
			if line != "" {
				t.Notes[len(t.Rows)-1] = append(t.Notes[len(t.Rows)-1], line)
			}
		}
	}
	return t
}

// useState is how a module is where it runs, in a word.
func useState(m *admin.Module, u *admin.Use) string {
	switch {
	case u.Off:
		return "disabled"
	case u.Out:
		return "taken out"
	case m.Pure:
		return "runs, kept"
	}
	return "runs"
}

// verdictText tells how many of each there were.
func verdictText(verdicts map[string]uint64) string {
	var parts []string
	for _, action := range slices.Sorted(maps.Keys(verdicts)) {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(verdicts[action]), action))
	}
	return strings.Join(parts, ", ")
}

// capabilityText tells what a module needs or wants, and where it is not granted; "" if that is nothing.
func capabilityText(what string, all []string, uses []admin.Use) string {
	if len(all) == 0 {
		return ""
	}
	var parts []string
	for _, c := range all {
		var without []string
		for _, u := range uses {
			if slices.Contains(u.Missing, c) {
				without = append(without, u.Phase)
			}
		}
		switch {
		case len(uses) == 0:
			parts = append(parts, c)
		case len(without) == 0:
			parts = append(parts, c+" (granted)")
		case len(without) == len(uses):
			parts = append(parts, c+" (not granted)")
		default:
			parts = append(parts, c+" (not granted at phase "+strings.Join(without, ", ")+")")
		}
	}
	return what + " " + strings.Join(parts, ", ")
}

// knownModule is an error if the node has no module of that name.
func knownModule(p *process, node *client.Client, name string) error {
	list, err := node.Modules(p.ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range list.Modules {
		if m.Name == name {
			return nil
		}
		names = append(names, m.Name)
	}
	hint := "ananas module ls shows those that it has"
	if near := strictyaml.Nearest(name, names); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return hinted{fmt.Errorf("the node has no module %q", name), hint}
}
