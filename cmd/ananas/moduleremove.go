package main

import (
	"fmt"
	"slices"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

type moduleRemoveCommand struct {
	Name string `arg:"" help:"A module of the settings; ananas module ls has them."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (moduleRemoveCommand) Help() string {
	return `The module goes out of the settings, and every plugin that runs it, in one change: it is shown, asked for, and goes through the waves as any other. Lists that it was granted stay. Module disable has it not run, and keeps it; module rollback brings back the version that was removed.

Example:

  ananas module remove family`
}

// Validate is called when all flags are read.
func (c *moduleRemoveCommand) Validate() error { return c.check() }

// Run removes the module.
func (c *moduleRemoveCommand) Run(p *process) error {
	return c.changeModules(p, func(live *liveModules) (map[string][]byte, error) { return nil, live.remove(c.Name) }, &c.nodeFlags, "Remove?")
}

// remove takes a module, and where it runs, out of what is live.
func (l *liveModules) remove(name string) error {
	var names []string
	for _, m := range l.all {
		names = append(names, m.Name)
	}
	if !slices.Contains(names, name) {
		hint := "ananas module ls shows those that there are"
		if near := strictyaml.Nearest(name, names); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		return hinted{fmt.Errorf("the settings have no module %q", name), hint}
	}
	l.removed = append(l.removed, "modules/"+name)
	if len(l.uses(name)) == 0 {
		return nil
	}
	l.plugins = slices.DeleteFunc(l.plugins, func(u plugin.Plugin) bool { return u.Module == name })
	l.used = true
	if len(l.plugins) == 0 {
		l.removed = append(l.removed, "plugins") // an empty list would be a setting, too
	}
	return nil
}
