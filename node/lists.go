package node

import (
	"maps"
	"slices"
	"strings"

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

// noteLists looks at the data sets that a change is about, and notes what should be known of them.
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
	for i := range all {
		l := &all[i]
		if !d.about(l) {
			continue
		}
		for _, r := range l.Info.Remarks(l.Name) {
			d.warnings = append(d.warnings, r.Text+"; "+r.Hint)
		}
	}
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
