package trial

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/wasm"
)

// Request says what is tried in place of what runs. What is not said stays as the settings have it.
type Request struct {
	Module   string            `json:"module"`             // its name in the settings; one that they do not have is compared with no module
	Source   []byte            `json:"source,omitempty"`   // the new version, with its manifest; none: the file of the settings, to try it with other settings or grants
	Phases   []string          `json:"phases,omitempty"`   // where it runs too; none, if it runs nowhere now: where its manifest says
	Grant    []string          `json:"grant,omitempty"`    // in place of what it is granted
	Settings map[string]string `json:"settings,omitempty"` // in place of its own
	Fuel     int64             `json:"fuel,omitempty"`     // of a call
	Lists    map[string]List   `json:"lists,omitempty"`    // in place of data sets of the settings, by their names; only the new version asks them
}

// Settings is what a trial begins with: what runs, as it was loaded. What lies at the names of files by now may be something else.
type Settings struct {
	Running *plugin.Table // nil: there are no modules
	Data    []plugin.Data // all that the settings name, those too that no module is granted
	Files   plugin.Files  // reads the data sets that no module is granted so far

	// Lists returns the text of a list that is tried, by its SHA-256. nil: lists can't be tried.
	Lists func(sum [32]byte) (*namedfile.File, error)
}

// pair is one place at which the module runs, or would: as it is now, and as it is tried.
type pair struct {
	place      int         // among all plugins, from 1; 0: it is new
	old        *plugin.Use // nil: it does not run there
	new        *plugin.Use
	oldModules []plugin.Described // that one alone
	newModules []plugin.Described // likewise
	newLists   []*plugin.Listed   // of those that it asks, the ones that are tried
}

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

// Hint says what to do now.
func (h hinted) Hint() string { return h.hint }

func (h hinted) Unwrap() error { return h.error }

// triedFile is what the new version is called where files are read. Settings can name no file so.
const triedFile = "\x00tried"

// pairs makes the uses of both versions. The old ones are those that run; the new ones are checked as the settings' own are.
func (s *Settings) pairs(r *Request) ([]pair, error) {
	var now plugin.Described // no File: it is new
	running := cmp.Or(s.Running, new(plugin.Table))
	if known := slices.IndexFunc(running.Modules, func(m plugin.Described) bool { return m.Name == r.Module }); known >= 0 {
		now = running.Modules[known]
	}
	source := now.File
	switch {
	case len(r.Source) > 0:
		source = namedfile.Of(r.Source)
	case source == nil:
		return nil, hinted{fmt.Errorf("the settings have no module %q", r.Module), "name the file of the version to try with --file, or a module of the settings; ananas module ls has them"}
	}
	manifest, err := plugin.ReadManifest(source)
	if err != nil {
		return nil, fmt.Errorf("reading the version to try: %w", err)
	}
	next := plugin.Module{Name: r.Module, File: triedFile, Limits: now.Limits}
	switch {
	case r.Fuel > 0:
		next.Limits.Fuel = r.Fuel
	case now.File == nil:
		next.Limits.Fuel = manifest.Fuel
	}
	places, olds, news := s.uses(r, running, manifest)
	lists := make(map[string]*namedfile.File) // that run, by the names of their files
	for i := range running.Plugins {
		for _, d := range running.Plugins[i].Data {
			lists[d.File] = d.Text()
		}
	}
	data := s.granted(news)
	tried, err := s.lists(r, data)
	if err != nil {
		return nil, err
	}
	after, err := plugin.Compile([]plugin.Module{next}, data, news, func(name string, most int64) (*namedfile.File, error) {
		if name == triedFile {
			return source.AtMost("the version to try", most)
		}
		if text := tried[name]; text != nil {
			return text.AtMost(name, most)
		}
		if text := lists[name]; text != nil {
			return text.AtMost(name, most)
		}
		return s.Files(name, most)
	})
	if err != nil {
		return nil, fmt.Errorf("trying module %q: %w", r.Module, err)
	}
	all := make([]pair, len(news))
	for i := range news {
		all[i] = pair{place: places[i], old: olds[i], oldModules: []plugin.Described{now}, new: &after.Plugins[i], newModules: after.Modules}
		for _, d := range all[i].new.Data {
			if l, ok := r.Lists[d.Name]; ok {
				d.File = l.called()
				all[i].newLists = append(all[i].newLists, d)
			}
		}
	}
	return all, nil
}

// uses returns where the module runs, and where it is tried, place by place. What is off does not run, and is tried as if it were on.
func (s *Settings) uses(r *Request, running *plugin.Table, m *wasm.Manifest) (places []int, olds []*plugin.Use, news []plugin.Plugin) {
	for i := range running.Plugins {
		p := &running.Plugins[i]
		if p.Module != r.Module {
			continue
		}
		old := p
		if p.Off {
			old = nil
		}
		places, olds, news = append(places, i+1), append(olds, old), append(news, p.Plugin)
	}
	phases := r.Phases
	if len(phases) == 0 && len(news) == 0 {
		phases = m.Phases
	}
	for _, phase := range phases {
		if !slices.ContainsFunc(news, func(p plugin.Plugin) bool { return string(p.Phase) == phase }) {
			places, olds, news = append(places, 0), append(olds, nil), append(news, plugin.Plugin{Module: r.Module, Phase: plugin.Phase(phase), Grant: m.Needs})
		}
	}
	for i := range news {
		p := &news[i]
		p.Off, p.Mode = false, plugin.Open
		if r.Grant != nil {
			p.Grant = r.Grant
		}
		if r.Settings != nil {
			p.Settings = r.Settings
		}
	}
	return places, olds, news
}

// granted returns the data sets that are granted: the others need not be read.
func (s *Settings) granted(uses []plugin.Plugin) (all []plugin.Data) {
	for _, d := range s.Data {
		if slices.ContainsFunc(uses, func(p plugin.Plugin) bool {
			return slices.ContainsFunc(p.Grant, func(g string) bool { name, ok := strings.CutPrefix(g, "data/"); return ok && name == d.Name })
		}) {
			all = append(all, d)
		}
	}
	return all
}
