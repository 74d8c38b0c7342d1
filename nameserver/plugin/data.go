package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/wasm"
)

// Data is a list of names or prefixes that the settings bring along, for modules that have the grant data/NAME to ask.
type Data struct {
	Name string `yaml:"name" required:"true" key:"true"`
	File string `yaml:"file" required:"true" file:"256MiB" stream:"true"`

	// Format is how it is written; auto takes that of the first line.
	Format Format `yaml:"format"`

	// Tolerate is how many lines that can't be read are left out. One more is an error.
	Tolerate int `yaml:"tolerate" max:"1000000"`
}

// Format is the format of a [Data].
type Format string

// Values are the formats that there are.
func (Format) Values() []string { return []string{"auto", "hosts", "domains", "rpz", "cidr"} }

// UnmarshalText reads one of them.
func (f *Format) UnmarshalText(b []byte) error { *f = Format(b); return nil }

// parsed returns the format as the package of lists has it.
func (f Format) parsed() dataset.Format {
	for _, known := range []dataset.Format{dataset.Hosts, dataset.Domains, dataset.RPZ, dataset.CIDR} {
		if strings.EqualFold(known.String(), string(f)) {
			return known
		}
	}
	return dataset.Auto
}

// maxData is how many data sets there may be: with 100 MB each for five million names 6.4 GB.
const maxData = 64

// dataGrant begins the grant of a data set.
const dataGrant = "data/"

// MaxData is the size of a list in octets: five million names in a hosts file are 150 MB.
const MaxData = 256 << 20

// Listed is a data set, named by its text. The text itself, of some 20 octets a name, is read when it has to be compiled, and not kept as long as the settings are.
type Listed struct {
	Data
	Path string // in the settings, for errors
	Key  dataset.Key
	file *namedfile.File
}

// Text is the file that the list is in, as it was when the settings were read.
func (l *Listed) Text() *namedfile.File { return l.file }

// compileData finds the texts of data sets.
func compileData(e *strictyaml.Errors, data []Data, files Files) map[string]*Listed {
	if len(data) > maxData {
		e.Addf("data", "", "%d data sets, at most %d", len(data), maxData)
	}
	all := make(map[string]*Listed, len(data))
	for i, d := range data {
		path := fmt.Sprintf("data[%d]", i)
		switch {
		case !isName(d.Name):
			e.Addf(path+".name", "use up to 63 small letters, digits and hyphens", "%q can not be the name of a data set", d.Name)
			continue
		case all[d.Name] != nil:
			e.Addf(path+".name", "remove one of the two", "there are two data sets %q", d.Name)
			continue
		}
		file, err := files(d.File, MaxData)
		var large *namedfile.TooLargeError
		if errors.As(err, &large) {
			e.Addf(path+".file", "split it into several", "data set %q has %d octets, at most %d", d.Name, large.Size, large.Most)
			continue
		}
		if err != nil {
			e.Addf(path+".file", "name a list that is there", "reading data set %q: %w", d.Name, err)
			continue
		}
		all[d.Name] = &Listed{Data: d, Path: path, Key: dataset.Key{Source: file.Sum(), Format: d.Format.parsed(), Tolerate: d.Tolerate}, file: file}
	}
	return all
}

// list returns a data set in its compiled form: as it lies on the shelf, or made now.
func (l *Loader) list(d *Listed) (*dataset.Set, error) {
	set, err := l.c.Shelf.Open(d.Key)
	var damaged *dataset.DamagedError
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) {
		return set, err
	}
	text, err := d.file.Open()
	if err != nil {
		return nil, fmt.Errorf("reading data set %q: %w", d.Name, err)
	}
	defer text.Close()
	compiled, info, err := dataset.Build(text, dataset.Options{Format: d.Key.Format, Tolerate: d.Tolerate})
	var changed *namedfile.ChangedError
	if errors.As(err, &changed) {
		return nil, hinted{fmt.Errorf("reading data set %q: its file %q has changed meanwhile", d.Name, d.File), changed.Hint()}
	}
	if err != nil {
		return nil, fmt.Errorf("reading data set %q: %w", d.Name, err)
	}
	if set, err = l.c.Shelf.Add(compiled); err != nil {
		return nil, fmt.Errorf("keeping data set %q: %w", d.Name, err)
	}
	defer debug.FreeOSMemory() // 80 octets a name were needed to compile it, and the next collection may be minutes away
	if l.c.Log != nil {
		l.c.Log.Info("a data set was made", "name", d.Name, "format", info.Format.String(), "names", info.Names, "prefixes", info.Prefixes, "taken", info.Taken, "skipped", info.Skipped,
			"other_triggers", info.OtherTriggers, "duplicates", info.Duplicates, "bad", info.Bad)
	}
	return set, nil
}

// opened is a data set that a module may ask, by its place.
type opened struct {
	name string
	set  *dataset.Set
}

// Prices of look-ups, in fuel: nanoseconds, as measured where the list is in no cache of the processor.
const (
	priceExact  = 300
	priceSuffix = 300
	pricePrefix = 600
)

// Ways to look, as a module names them.
const (
	howExact = iota
	howSuffix
	howPrefix
)

// dataOpen (name, name_len) -> a handle.
func (h *host) dataOpen(c *wasm.Call, stack []uint64) {
	name, ok := view(c, stack[0], stack[1])
	if !ok {
		result(stack, resultBounds)
		return
	}
	c.Charge(priceSetting)
	g, known := c.State.(*guest)
	if !known {
		result(stack, resultAbsent)
		return
	}
	i := slices.IndexFunc(g.l.data, func(o opened) bool { return o.name == string(name) })
	if i < 0 {
		i = resultDenied
	}
	result(stack, i)
}

// dataFind (handle, how, key, key_len) -> the value of what is listed.
func (h *host) dataFind(c *wasm.Call, stack []uint64) {
	key, ok := view(c, stack[2], stack[3])
	g, known := c.State.(*guest)
	handle := uint32(stack[0])
	switch {
	case !ok:
		result(stack, resultBounds)
		return
	case !known || int(handle) >= len(g.l.data):
		result(stack, resultMalformed)
		return
	}
	set := g.l.data[handle].set
	value, found := uint8(0), false
	switch uint32(stack[1]) {
	case howExact:
		c.Charge(priceExact)
		value, found = set.ExactWire(key)
	case howSuffix:
		c.Charge(priceSuffix)
		var m dataset.Match
		m, found = set.SuffixWire(key)
		value = m.Value
	case howPrefix:
		c.Charge(pricePrefix)
		addr, ok := netip.AddrFromSlice(key)
		if !ok {
			result(stack, resultMalformed)
			return
		}
		var m dataset.PrefixMatch
		m, found = set.Prefix(addr)
		value = m.Value
	default:
		result(stack, resultMalformed)
		return
	}
	if !found {
		result(stack, resultAbsent)
		return
	}
	result(stack, int(value))
}
