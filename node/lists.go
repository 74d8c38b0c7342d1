package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Keys of the settings that say which lists there are, and which modules ask them.
const (
	dataKey    = "data/"
	modulesKey = "modules/"
	pluginsKey = "plugins"
)

// lists are the data sets that modules may ask in settings, as this node would have them. No error tells what is wrong with the settings: that is for who compiles them whole.
func (s *shared) lists(entries map[string][]byte, blob func([32]byte) (*namedfile.File, error)) ([]plugin.ListStatus, error) {
	file, err := s.use.assemble(entries, blob)
	if err != nil {
		return nil, err
	}
	tables, err := file.Compile(listeners(s.n.began.Node.Listen.DNS))
	if err != nil {
		return nil, err
	}
	return s.n.modules.loader.Lists(tables.Plugins)
}

// noteLists looks at the data sets that a change is about: how many entries they have and would have, and what should be known of them.
func (d *drafted) noteLists(lists func(map[string][]byte) ([]plugin.ListStatus, error)) {
	if !slices.ContainsFunc(sortedKeys(d.changes), ofLists) {
		return
	}
	next := maps.Clone(d.live)
	lay(next, d.changes)
	all, err := lists(next)
	if err != nil {
		return // the check of the whole tells
	}
	var before []plugin.ListStatus
	for i := range all {
		l := &all[i]
		if !d.about(l) {
			continue
		}
		for _, r := range l.Info.Remarks(l.Name) {
			d.warnings = append(d.warnings, r.Text+"; "+r.Hint)
		}
		key := dataKey + l.Name
		if d.changes[key] == nil {
			continue
		}
		if d.live[key] != nil && before == nil {
			if before, err = lists(d.live); err != nil { // a text that was lost: there is nothing to compare with
				before = []plugin.ListStatus{}
			}
		}
		d.lists = append(d.lists, listChange(l, before))
	}
}

// listChange compares a data set with the one of its name that there was.
func listChange(l *plugin.ListStatus, before []plugin.ListStatus) admin.ListChange {
	c := admin.ListChange{Name: l.Name, New: l.Entries()}
	for i := range before {
		if b := &before[i]; b.Name == l.Name {
			entries := b.Entries()
			c.Old = &entries
		}
	}
	return c
}

// checkLists refuses a change by which a data set would lose more than half of its entries, but for those of which it is said that they may. One that is only tried is warned of it.
func (d *drafted) checkLists(meant []string, dry bool) error {
	if some := admin.Shrinking(d.lists, meant); len(some) > 0 && !dry {
		return &admin.Refusal{Why: admin.Shrinks, Err: &admin.ShrinkError{Lists: some}}
	}
	for i := range d.lists {
		l := &d.lists[i]
		if !l.Shrinks() {
			continue
		}
		text := fmt.Sprintf("data set %q would lose %s", l.Name, l.Loss())
		if !slices.Contains(meant, l.Name) {
			text += "; if its file is whole, and that is meant, it takes --shrink " + l.Name
		}
		d.warnings = append(d.warnings, text)
	}
	return nil
}

// warnShrunk tells of data sets that have lost more than half of their entries: where a file is the truth, nothing asks before.
func warnShrunk(before, now []plugin.ListStatus) (warnings []string) {
	for i := range now {
		if c := listChange(&now[i], before); c.Shrinks() {
			warnings = append(warnings, fmt.Sprintf("data set %q has lost %s: is its file whole?", c.Name, c.Loss()))
		}
	}
	return warnings
}

// ofLists tells whether what is at a key says which lists there are, or which modules ask them.
func ofLists(key string) bool {
	return strings.HasPrefix(key, dataKey) || strings.HasPrefix(key, modulesKey) || key == pluginsKey
}

// about tells whether a change is about a list: about itself, or about a module that may ask it.
func (d *drafted) about(l *plugin.ListStatus) bool {
	touches := func(key string) bool { _, ok := d.changes[key]; return ok }
	return touches(dataKey+l.Name) || touches(pluginsKey) || slices.ContainsFunc(l.Modules, func(m string) bool { return touches(modulesKey + m) })
}
