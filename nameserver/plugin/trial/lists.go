package trial

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// List is the text of a list that is tried in place of a data set. Its format, and how many bad lines it may have, are those of the data set.
type List struct {
	SHA256 string `json:"sha256"`         // of the text, in hexadecimal
	File   string `json:"file,omitempty"` // what who tries it calls it, for errors and the report; maxListName octets at most
}

// maxListName is how long the name of a tried list may be, in octets: as a path may. The report tells it again each second.
const maxListName = 4096

// called is how errors name it.
func (l List) called() string { return cmp.Or(l.File, "SHA-256 "+l.SHA256) }

// TriedList is a list that the new version asks in place of one of the settings.
type TriedList struct {
	Name   string `json:"name"`           // of the data set
	File   string `json:"file,omitempty"` // as the request calls it
	SHA256 string `json:"sha256"`         // of its text, in hexadecimal
	Now    *int   `json:"now,omitempty"`  // entries of the one that the module asks now; none: it asks none of that name
	New    int    `json:"new"`            // entries: names and prefixes, each once
	Bad    int    `json:"bad"`            // lines of the new one that can't be read and are left out, as the settings tolerate
}

// triedList begins what a list that is tried is called where files are read. Settings can name no file so.
const triedList = "\x00list/"

// lists finds the texts of the lists that are tried, and has data name them.
func (s *Settings) lists(r *Request, data []plugin.Data) (map[string]*namedfile.File, error) {
	tried := make(map[string]*namedfile.File)
	for _, name := range slices.Sorted(maps.Keys(r.Lists)) {
		l := r.Lists[name]
		known := func(d plugin.Data) bool { return d.Name == name }
		if !slices.ContainsFunc(s.Data, known) {
			return nil, hinted{fmt.Errorf("the settings have no data set %q", name), s.near(name)}
		}
		i := slices.IndexFunc(data, known)
		if i < 0 {
			return nil, hinted{fmt.Errorf("module %q is not granted data/%s: it can't ask the list to try", r.Module, name), "try it with --grant data/" + name + " and what else it is granted, or name a list that the module asks"}
		}
		text, err := s.text(name, l)
		if err != nil {
			return nil, err
		}
		data[i].File = triedList + name
		tried[data[i].File] = text
	}
	return tried, nil
}

// near tells which data set may have been meant.
func (s *Settings) near(name string) string {
	var names []string
	for _, d := range s.Data {
		names = append(names, d.Name)
	}
	switch near := strictyaml.Nearest(name, names); {
	case near != "":
		return fmt.Sprintf("did you mean %s?", near)
	case len(names) == 0:
		return "name it in data, with its file, and grant it to the module"
	}
	return fmt.Sprintf("there are %v", names)
}

// text returns the text of a list that is tried.
func (s *Settings) text(name string, l List) (*namedfile.File, error) {
	var sum [32]byte
	switch b, err := hex.DecodeString(l.SHA256); {
	case len(l.File) > maxListName:
		return nil, fmt.Errorf("the file to try as data set %q has a name of %d octets, at most %d", name, len(l.File), maxListName)
	case err != nil || len(b) != len(sum):
		return nil, hinted{fmt.Errorf("%.80q is no SHA-256 of a list to try as data set %q", l.SHA256, name), "it has 64 digits of hexadecimal"}
	case s.Lists == nil:
		return nil, hinted{errors.New("this node keeps no uploaded files, since it has no store: a list can't be tried here"), "try it with --dnstap and --config, which asks no node"}
	default:
		copy(sum[:], b)
	}
	text, err := s.Lists(sum)
	if err != nil {
		return nil, fmt.Errorf("trying %q as data set %q: %w", l.called(), name, err)
	}
	return text, nil
}

// prepareLists puts the lists that are tried onto the shelf, where the loader finds them, so that what is wrong with one is told as that of the file that was given.
func (t *Trial) prepareLists(p *pair) error {
	for _, d := range p.newLists {
		if slices.ContainsFunc(t.lists, func(l TriedList) bool { return l.Name == d.Name }) {
			continue // for another phase
		}
		set, err := compiled(t.shelf, d)
		if err != nil {
			return fmt.Errorf("trying %q as data set %q: %w", d.File, d.Name, err)
		}
		info := set.Info()
		t.lists = append(t.lists, TriedList{Name: d.Name, File: t.c.Request.Lists[d.Name].File, SHA256: t.c.Request.Lists[d.Name].SHA256, New: info.Names + info.Prefixes, Bad: info.Bad})
	}
	return nil
}

// compiled returns a list in its compiled form: as it lies on the shelf, or made now.
func compiled(shelf *dataset.Shelf, d *plugin.Listed) (*dataset.Set, error) {
	set, err := shelf.Open(d.Key)
	var damaged *dataset.DamagedError
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) {
		return set, err
	}
	text, err := d.Text().Open()
	if err != nil {
		return nil, err
	}
	defer text.Close()
	made, _, err := dataset.Build(text, dataset.Options{Format: d.Key.Format, Tolerate: d.Tolerate})
	if err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory() // see plugin.Loader: the next collection may be minutes away
	return shelf.Add(made)
}

// countNow counts the entries of the lists that the version which runs asks, where others are tried. It has them loaded.
func (t *Trial) countNow(old *plugin.Use) error {
	for i := range t.lists {
		l := &t.lists[i]
		known := slices.IndexFunc(old.Data, func(d *plugin.Listed) bool { return d.Name == l.Name })
		if known < 0 || l.Now != nil {
			continue
		}
		set, err := t.shelf.Open(old.Data[known].Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept: other settings came meanwhile
		}
		if err != nil {
			return fmt.Errorf("reading data set %q as it is in use: %w", l.Name, err)
		}
		info := set.Info()
		n := info.Names + info.Prefixes
		l.Now = &n
	}
	return nil
}
