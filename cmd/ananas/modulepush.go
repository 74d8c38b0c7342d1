package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/settings"
	"github.com/ananas-edge/ananas/wasm"
)

type modulePushCommand struct {
	File  string         `arg:"" help:"A module that ananas module build has made, or a module's folder, which is built if need be."`
	Name  string         `placeholder:"NAME" help:"What it is called in the settings; without it as its manifest has it."`
	Phase []string       `placeholder:"PHASE" help:"Where it runs from now on: query, answer, log. Without it a module that is new runs at the phases of its manifest, and one that is not where it does."`
	Mode  string         `placeholder:"MODE" help:"What becomes of a query for which it fails: open, closed or stale."`
	Grant []string       `placeholder:"CAPABILITY" help:"What it may use, in place of what it may now; all adds what its manifest needs. Without it that is shown and asked for, and with --yes it is an error if the module does not have it already."`
	Set   moduleSettings `placeholder:"KEY=VALUE" help:"Its own settings, in place of all that it has: what is not named is gone. May be repeated, for other keys."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (modulePushCommand) Help() string {
	return `The module is uploaded, compiled dry, and goes through the waves as any change does: one node of each site has it first, and one that fails, or has queries fail, is taken back by itself. A module that is new is put behind the others in the list of plugins. The fuel that it may need it is given, unless the settings say otherwise already, and what its manifest needs it is granted: the difference shows both before you say yes. With --yes nobody sees that, so that what it needs and does not have yet has to be named with --grant.

Example:

  ananas module push family.wasm --grant data/malware
  ananas module push family.wasm --yes --now --reason "a list was wrong"`
}

// Validate is called when all flags are read.
func (c *modulePushCommand) Validate() error {
	if err := checkPhases(c.Phase); err != nil {
		return err
	}
	if c.Mode != "" {
		if err := checkWord("mode", c.Mode, plugin.Open.Values()); err != nil {
			return err
		}
	}
	return c.check()
}

// checkPhases refuses what is no phase.
func checkPhases(phases []string) error {
	for _, phase := range phases {
		if err := checkWord("phase", phase, plugin.PhaseQuery.Values()); err != nil {
			return err
		}
	}
	return nil
}

// checkWord refuses a word that a flag may not have.
func checkWord(flag, word string, all []string) error {
	if slices.Contains(all, word) {
		return nil
	}
	hint := "there are " + strings.Join(all, ", ")
	if near := strictyaml.Nearest(word, all); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return hinted{fmt.Errorf("--%s is %s, which is no %[1]s", flag, word), hint}
}

// Run pushes the module.
func (c *modulePushCommand) Run(p *process) error {
	content, from, err := readModule(p, c.File)
	if err != nil {
		return err
	}
	manifest, err := wasm.ReadManifest(content)
	if err != nil {
		return fmt.Errorf("reading %q: %w", c.File, err)
	}
	name := c.Name
	if name == "" {
		name = manifest.Name
	}
	return c.changeModules(p, func(live *liveModules) (map[string][]byte, error) {
		file := live.fileName(name, filepath.Base(from))
		live.put(name, file, manifest.Fuel)
		if as := live.nameOf(name, content); as != "" { // it is there, by that name: another name alone is no change worth all waves
			file = as
			live.modules[len(live.modules)-1].File = as
		}
		if err := c.use(p, live, name, &manifest); err != nil {
			return nil, err
		}
		return map[string][]byte{file: content}, nil
	}, &c.nodeFlags, "Push?")
}

// readModule reads a module: from its file, or from its folder, where it is built if need be. from is the file.
func readModule(p *process, name string) (content []byte, from string, err error) {
	if !isFolder(name) {
		content, err = readFile(name, plugin.LargestModule)
		return content, name, err
	}
	f, err := openModule(name)
	if err != nil {
		return nil, "", err
	}
	content, err = f.built(p)
	return content, f.file(), err
}

// moduleSettings are those that flags give a module: KEY=VALUE each. A value may have any characters, those too at which kong would divide it.
type moduleSettings map[string]string

// Decode takes one more.
func (s moduleSettings) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("KEY=VALUE", &text); err != nil {
		return err
	}
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return hinted{fmt.Errorf("%q is no setting", text), "write KEY=VALUE"}
	}
	if _, twice := s[key]; twice {
		return hinted{fmt.Errorf("the setting %s is given twice", key), "give it once, with the whole value"}
	}
	s[key] = value
	return nil
}

// use has the module run where it is to run.
func (c *modulePushCommand) use(p *process, live *liveModules, name string, m *wasm.Manifest) error {
	for _, phase := range c.Phase {
		if !slices.Contains(m.Phases, phase) {
			return hinted{fmt.Errorf("module %q does not run at phase %s", name, phase), "it is made for " + strings.Join(m.Phases, ", ")}
		}
	}
	phases := c.Phase
	uses := live.uses(name)
	if len(phases) == 0 && len(uses) == 0 {
		phases = m.Phases
	}
	for _, phase := range phases {
		if !slices.ContainsFunc(uses, func(u *plugin.Plugin) bool { return string(u.Phase) == phase }) {
			live.plugins = append(live.plugins, plugin.Plugin{Module: name, Phase: plugin.Phase(phase)})
			live.used = true
		}
	}
	var had [][]string
	for _, u := range live.uses(name) {
		had = append(had, u.Grant)
		if c.Mode != "" {
			u.Mode, live.used = plugin.Mode(c.Mode), true
		}
		if grant := c.granted(u.Grant, m); !slices.Equal(grant, u.Grant) {
			u.Grant, live.used = grant, true
		}
		if len(c.Set) > 0 {
			u.Settings, live.used = c.Set, true
		}
	}
	if len(had) > 0 && !c.seen() {
		return c.ungranted(p, name, m, had)
	}
	return nil
}

// liveModules is what the live settings say of modules, to be changed.
type liveModules struct {
	modules []plugin.Module // that are changed
	all     []plugin.Module
	plugins []plugin.Plugin
	docs    map[string][]byte // what is live of both, by key
	used    bool              // plugins were changed
	removed []string          // keys that go
}

// fileName returns what a module's file is called in the settings: as it is, or, where that of another module is called so too, as the module.
func (l *liveModules) fileName(module, file string) string {
	if slices.ContainsFunc(l.all, func(m plugin.Module) bool { return m.Name != module && m.File == file }) {
		return module + ".wasm"
	}
	return file
}

// put has a module be of a file. Its limits stay; where they say nothing of fuel, it gets what its manifest says that a call may need.
func (l *liveModules) put(name, file string, fuel int64) {
	m := plugin.Module{Name: name}
	if i := slices.IndexFunc(l.all, func(m plugin.Module) bool { return m.Name == name }); i >= 0 {
		m = l.all[i]
	}
	m.File = file
	if m.Limits.Fuel == 0 && fuel > wasm.FastFuel {
		m.Limits.Fuel = fuel
	}
	l.modules = append(l.modules, m)
}

// nameOf is what the file of a module that is put is called already; "" if what is live is another file, or has other limits.
func (l *liveModules) nameOf(name string, content []byte) string {
	at := slices.IndexFunc(l.all, func(m plugin.Module) bool { return m.Name == name })
	if at < 0 {
		return ""
	}
	m := l.modules[len(l.modules)-1]
	m.File = l.all[at].File
	one := liveModules{modules: []plugin.Module{m}}
	f, err := settings.ParseApply("the module", []byte(one.text()), map[string]*namedfile.File{m.File: namedfile.Of(content)})
	if err != nil {
		return "" // the node says what is wrong with it
	}
	entries, err := f.Entries()
	if err != nil || len(entries.Over(l.docs)) > 0 {
		return ""
	}
	return m.File
}

// uses returns where a module runs.
func (l *liveModules) uses(name string) (all []*plugin.Plugin) {
	for i := range l.plugins {
		if l.plugins[i].Module == name {
			all = append(all, &l.plugins[i])
		}
	}
	return all
}

// text writes what is changed as a file of settings; "" if nothing is but that keys go.
func (l *liveModules) text() string {
	if len(l.modules) == 0 && (!l.used || len(l.plugins) == 0) {
		return ""
	}
	var b strings.Builder
	b.WriteString("settings:\n")
	part := func(key string, v any) {
		fmt.Fprintf(&b, "  %s:\n", key)
		for line := range strings.Lines(string(strictyaml.Encode(v, ""))) {
			b.WriteString("    " + line)
		}
	}
	if len(l.modules) > 0 {
		part("modules", l.modules)
	}
	if l.used && len(l.plugins) > 0 {
		part("plugins", l.plugins)
	}
	return b.String()
}

// readModules reads what the live settings say of modules.
func readModules(p *process, node *client.Client) (*liveModules, error) {
	list, err := node.AllSettings(p.ctx, admin.SettingsQuery{Limit: admin.MaxSettingsLimit})
	if err != nil {
		return nil, err
	}
	entries := make(map[string][]byte)
	for _, e := range list.Entries {
		if strings.HasPrefix(e.Key, "modules/") || e.Key == "plugins" {
			entries[e.Key] = []byte(e.Value)
		}
	}
	f, err := settings.ParseApply("the live settings", settings.Text(entries), nil)
	if err != nil {
		return nil, fmt.Errorf("reading what the store has of modules: %w", err)
	}
	return &liveModules{all: f.Settings.Modules, plugins: f.Settings.Plugins, docs: entries}, nil
}

// changeModules changes what the live settings say of modules, and follows it. alter returns the files that it names.
func (c *changeFlags) changeModules(p *process, alter func(*liveModules) (map[string][]byte, error), to *nodeFlags, question string) error {
	node, err := to.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	return c.change(p, node, question, func(ctx context.Context, dry bool, confirm string) (admin.Applied, error) {
		live, err := readModules(p, node)
		if err != nil {
			return admin.Applied{}, err
		}
		files, err := alter(live)
		if err != nil {
			return admin.Applied{}, err
		}
		with := []admin.SettingsFile{}
		if text := live.text(); text != "" {
			with = []admin.SettingsFile{{Name: "modules", Text: text, Named: maps.Clone(files), Made: true}}
			if err := uploadLarge(p, node, &with[0]); err != nil {
				return admin.Applied{}, err
			}
		}
		a := admin.Apply{Files: with, Remove: live.removed, Reason: c.Reason, Author: author(p), Now: c.Now, Dry: dry, Confirm: confirm, Merge: true, Shrink: c.Shrink}
		applied, err := node.Apply(ctx, a)
		if err == nil && dry {
			err = live.current(applied)
		}
		return applied, err
	})
}

// current refuses a list of plugins that was made of the live one, and would replace what another rollout is about to make of that.
func (l *liveModules) current(plan admin.Applied) error {
	if !l.used || plan.Waits == "" {
		return nil
	}
	return hinted{fmt.Errorf("rollout %s is changing where modules run, too, and this change would undo that", plan.Waits), "wait for it to end (ananas rollout show " + plan.Waits + "), or abort it, and try again; --now aborts it"}
}

type moduleEnableCommand struct {
	Name string `arg:"" help:"A module of the settings; ananas module ls has them."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (moduleEnableCommand) Help() string {
	return `A module that was disabled runs again, where it ran and with what it was granted.

Example:

  ananas module enable family --yes`
}

// Validate is called when all flags are read.
func (c *moduleEnableCommand) Validate() error { return c.check() }

// Run enables the module.
func (c *moduleEnableCommand) Run(p *process) error {
	return c.changeModules(p, turn(c.Name, false), &c.nodeFlags, "Enable?")
}

type moduleDisableCommand struct {
	Name string `arg:"" help:"A module of the settings; ananas module ls has them."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (moduleDisableCommand) Help() string {
	return `The module runs no more; what the settings say of it stays, for ananas module enable.

Example:

  ananas module disable family --yes --now --reason "it blocks too much"`
}

// Validate is called when all flags are read.
func (c *moduleDisableCommand) Validate() error { return c.check() }

// Run disables the module.
func (c *moduleDisableCommand) Run(p *process) error {
	return c.changeModules(p, turn(c.Name, true), &c.nodeFlags, "Disable?")
}

// turn turns a module off or on.
func turn(name string, off bool) func(*liveModules) (map[string][]byte, error) {
	return func(live *liveModules) (map[string][]byte, error) {
		uses := live.uses(name)
		if len(uses) == 0 {
			return nil, hinted{fmt.Errorf("module %q runs nowhere", name), "ananas module ls shows those that there are; " + howToRun}
		}
		for _, u := range uses {
			u.Off = off
		}
		live.used = true
		return nil, nil
	}
}

// howToRun is what has a module run that is there and runs nowhere.
const howToRun = "ananas module push FILE, with its file, has it run at the phases of its manifest; so does an entry in plugins, with module and phase, and ananas apply"
