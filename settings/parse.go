package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Open reads and parses the file of that name.
func Open(name string) (*File, error) {
	data, err := readFile(name, strictyaml.MaxSize)
	if err != nil {
		return nil, &strictyaml.Errors{List: []*strictyaml.Error{{Err: fmt.Errorf("reading settings: %w", err), Hint: hintRead(err)}}}
	}
	return Parse(name, data)
}

// hintRead says what to do where a file can't be read.
func hintRead(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name a file that is there"
	case errors.Is(err, fs.ErrPermission):
		return "give this user the right to read it"
	case errors.Is(err, syscall.EISDIR):
		return "name the file in that folder, such as ananas.yaml"
	case errors.Is(err, errTooLarge):
		return "settings are text of some kilobytes: is it the right file?"
	}
	return ""
}

// Parse decodes data, the content of the file of that name, over the defaults. The files that it names are relative to its
// folder; those of the part
// `settings` are read by [File.Compile]. The error is a [*strictyaml.Errors].
func Parse(name string, data []byte) (*File, error) {
	f, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if err := f.doc.Locate("", f.checkOwner()); err != nil {
		return nil, err
	}
	return f, nil
}

// ParseApply is [Parse] for a file whose settings are to be put into a store. What it names is in files, by the names that it has there ([File.NamedFiles]);
// nothing is read from the disk. The part `node` is checked, and of no use but to make the file one that is whole: it may name a store although there is a
// part `settings`.
func ParseApply(name string, data []byte, files map[string]*namedfile.File) (*File, error) {
	f, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	f.carried = make(map[string]*namedfile.File, len(files))
	maps.Copy(f.carried, files)
	return f, nil
}

func parse(name string, data []byte) (*File, error) {
	f := Default()
	f.name = name
	doc, err := strictyaml.Decode(name, data, f)
	f.doc = doc
	if err != nil {
		return nil, f.withNames(err)
	}
	if err := doc.Locate("node", f.Node.check()); err != nil {
		return nil, err
	}
	f.Node.Data, f.Node.Testing.OffsetFile = f.Path(f.Node.Data), f.Path(f.Node.Testing.OffsetFile)
	return f, nil
}

// withNames adds to values that are wrong what is wrong with the names of modules: a phase that is misspelt would hide a module that is. Where modules themselves can't be read, their names are not known.
func (f *File) withNames(err error) error {
	var wrong *strictyaml.Errors
	unread := func(e *strictyaml.Error) bool {
		return !strings.HasPrefix(e.Path, "settings.") || strings.HasPrefix(e.Path, "settings.modules")
	}
	if !errors.As(err, &wrong) || f.Settings == nil || slices.ContainsFunc(wrong.List, unread) {
		return err
	}
	names := plugin.CheckNames(f.Settings.Modules, f.Settings.Plugins)
	if names == nil {
		return err
	}
	var all strictyaml.Errors
	all.Join("", wrong)
	all.Join("settings", names)
	return f.doc.Locate("", &all)
}

// check finds what is wrong with the values of the part `node` and can be seen without touching the machine.
func (n *Node) check() error {
	var e strictyaml.Errors
	if !isWord(n.Name) {
		e.Addf("name", hintWord, "%q can not be the name of a node", n.Name)
	}
	if n.Data == "" {
		e.Addf("data", "name a folder; it is made if it is not there", "is empty")
	}
	if n.Limits.TCPPerClient > n.Limits.TCPConnections {
		e.Addf("limits.tcp_per_client", "", "%d is more than tcp_connections, which is %d", n.Limits.TCPPerClient, n.Limits.TCPConnections)
	}
	seen := make(map[netip.AddrPort]string)
	if a := n.Listen.Admin; a.IsValid() && a.Port() != 0 {
		seen[a] = "listen.admin"
	}
	for i, a := range n.Listen.DNS {
		path := fmt.Sprintf("listen.dns[%d]", i)
		if other, ok := seen[a]; ok {
			e.Addf(path, "remove one of the two, or change a port", "%v is taken already, by node.%s", a, other)
		}
		if a.Port() != 0 {
			seen[a] = path
		}
		if a.Addr().IsMulticast() {
			e.Addf(path, "", "%v is a multicast address", a.Addr())
		}
	}
	e.Join("store", n.Store.check(n.Listen))
	return e.OrNil()
}

// maxWord is the length of a DNS label, in octets, which is what a host's own name is. Names and values of labels have it too.
const maxWord = 63

const hintWord = "use up to 63 letters, digits, dots, hyphens and underscores"

// isWord tells whether s may be the name of a node.
func isWord(s string) bool {
	return len(s) <= maxWord && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

// Name returns the name of the file as it was given; "" for [Default].
func (f *File) Name() string { return f.name }

// Path returns what the file means when it names a file: relative names are relative to its folder. Those of the part `node` are
// kept so already. It is "" for a file that was assembled, whose names mean nothing on this machine: see [File.Carried].
func (f *File) Path(name string) string {
	if f.assembly != nil {
		return ""
	}
	if dir := filepath.Dir(f.name); name != "" && !filepath.IsAbs(name) && dir != "." {
		return filepath.Join(dir, name)
	}
	return name
}

// MaxNamedFile bounds the files that settings name, in octets: a list of five million names in a hosts file is 150 MB. Those that are no lists may have less, as their fields say.
const MaxNamedFile = 256 << 20

// ReadBy has a disk read the files that f names, which remembers those that were read for another file of settings. It is called before f is used.
func (f *File) ReadBy(d *namedfile.Disk) {
	if f.disk != d {
		f.disk = d
	}
}

// ReadNamed returns a file that the part `settings` names, as it names it, of at most so many octets.
func (f *File) ReadNamed(name string, most int64) (*namedfile.File, error) {
	return f.readNamed(name, most)
}

// readNamed returns a file that f names, of at most so many octets.
func (f *File) readNamed(name string, most int64) (*namedfile.File, error) {
	if f.carried == nil {
		return f.disk.Read(f.Path(name), most)
	}
	b, ok := f.carried[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return b.AtMost(name, most)
}

// Carried returns a file that the settings name, if it came with them ([Assemble], [ParseApply]).
func (f *File) Carried(name string) (content *namedfile.File, ok bool) {
	content, ok = f.carried[name]
	return content, ok
}

// eachNamed calls do with each file that the part `settings` names, and how many octets it may have there.
func (f *File) eachNamed(do func(name string, most int64)) {
	for _, l := range leaves(f.Settings) {
		switch {
		case l.list:
			if c := carrierOf(l.value.Type().Elem()); c != nil {
				for i := range l.value.Len() {
					if entry := l.value.Index(i); entry.Field(c.field).String() != "" {
						do(entry.Field(c.field).String(), mostOfEntry(entry, c))
					}
				}
			}
		case l.names():
			do(l.value.String(), mostOf(l.tag))
		}
	}
}

// MostOf is how many octets a file may have that the part `settings` names: where several settings name it, the least.
func (f *File) MostOf(name string) int64 {
	least := int64(MaxNamedFile)
	f.eachNamed(func(n string, most int64) {
		if n == name {
			least = min(least, most)
		}
	})
	return least
}

// NamedFiles lists the files that the part `settings` names, as it names them ([File.Path] says where they are), sorted.
func (f *File) NamedFiles() []string {
	var out []string
	f.eachNamed(func(name string, _ int64) { out = append(out, name) })
	slices.Sort(out)
	return slices.Compact(out)
}

// HasSettings tells whether the file has a part `settings`, even one without keys.
func (f *File) HasSettings() bool { return f.doc.Holds("settings") }

// locate gives errors about the part `settings` their place: that in the file, or the key and the place in its document.
func (f *File) locate(err error) error {
	switch {
	case err == nil:
		return nil
	case f.assembly != nil:
		return f.assembly.locate(err)
	}
	return f.doc.Locate("settings", err)
}

var errTooLarge = errors.New("is too large")

// readFile reads a file of at most limit octets.
func readFile(name string, limit int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	// A file's own size first, so that a large one is not copied each time that the buffer has to grow; a pipe has none.
	data := bytes.NewBuffer(make([]byte, 0, min(info.Size(), limit)+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(file, limit+1)); err != nil {
		return nil, err
	}
	if int64(data.Len()) > limit {
		return nil, fmt.Errorf("%s %w: more than %d octets", name, errTooLarge, limit)
	}
	return data.Bytes(), nil
}
