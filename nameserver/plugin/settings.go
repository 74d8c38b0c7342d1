package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/wasm"
)

// Module is a WebAssembly program that the settings bring along. That it is there runs nothing: that is for a [Plugin].
type Module struct {
	Name   string `yaml:"name" required:"true" key:"true"`
	File   string `yaml:"file" required:"true" file:"64MiB"`
	Limits Limits `yaml:"limits"`
}

// Limits are what a module may use at most, where it is not what others may. The arithmetic of the defaults is with [wasm.Limits]; 0 is the default.
type Limits struct {
	// Fuel of a call; a unit is about a nanosecond. A module with more than 50,000 runs in slices, beside the loops that read sockets.
	Fuel int64 `yaml:"fuel" max:"10000000000"`

	// Memory of one instance.
	Memory strictyaml.Bytes `yaml:"memory" max:"4GiB"`

	// HostCalls is how often it may call the host in a call.
	HostCalls int `yaml:"host_calls" max:"1000000"`

	// LogOctets is how much it may log in a call.
	LogOctets int `yaml:"log_octets" max:"65536"`

	// LogLines is how many lines a second of it go into the log. MaxLogLines where it is not set.
	LogLines int `yaml:"log_lines" max:"100000"`

	// Instances is how many there are at once.
	Instances int `yaml:"instances" max:"4096"`

	// StartFuel of what an instance does before its first call.
	StartFuel int64 `yaml:"start_fuel" max:"10000000000"`

	// Table is the number of entries of each table.
	Table int `yaml:"table" max:"1000000"`

	// Size of the module itself. MaxModule where it is not set.
	Size strictyaml.Bytes `yaml:"size" max:"64MiB"`
}

// size returns how many octets the module may have.
func (l Limits) size() int { return cmp.Or(int(l.Size), MaxModule) }

// wasm returns the limits as the sandbox has them.
func (l Limits) wasm() wasm.Limits {
	const page = 64 << 10
	return wasm.Limits{
		Fuel: l.Fuel, StartFuel: l.StartFuel, MemoryPages: uint32((l.Memory + page - 1) / page), TableEntries: uint32(l.Table),
		HostCalls: l.HostCalls, LogOctets: l.LogOctets, Instances: l.Instances, ModuleOctets: l.size(),
	}
}

// MaxModule is the size of a module in octets, where its limits do not say another. One of Go has 1.8 MB and upwards.
const MaxModule = 8 << 20

// LargestModule is what limits may say: to compile 64 MiB, of which at most 20,000 functions are code, takes less than the child process may use.
const LargestModule = 64 << 20

// MostOctets is how large the module's file may be.
func (m *Module) MostOctets() int64 { return int64(m.Limits.size()) }

// Files returns a file that settings name, of at most so many octets. Of one that is larger nothing is read: the error is a [*namedfile.TooLargeError].
type Files func(name string, most int64) (*namedfile.File, error)

// Plugin has a module run at a phase.
type Plugin struct {
	Module   string            `yaml:"module" required:"true"`
	Phase    Phase             `yaml:"phase" required:"true"`
	Mode     Mode              `yaml:"mode"`
	Grant    []string          `yaml:"grant"`
	Settings map[string]string `yaml:"settings"`

	// Off has it not run, and keeps all that is said of it here.
	Off bool `yaml:"off"`
}

// Phase is a moment in the life of a query at which modules run.
type Phase string

// The phases.
const (
	PhaseQuery  Phase = "query"  // before anything is looked for
	PhaseAnswer Phase = "answer" // before the answer is written
	PhaseLog    Phase = "log"    // after it was sent, in batches, beside the path
)

// Values are the phases that there are.
func (Phase) Values() []string {
	return []string{string(PhaseQuery), string(PhaseAnswer), string(PhaseLog)}
}

// UnmarshalText reads one of them.
func (p *Phase) UnmarshalText(b []byte) error { *p = Phase(b); return nil }

// Mode is what becomes of a query for which a module faults, or was taken out.
type Mode string

// The modes.
const (
	Open   Mode = "open"   // it is passed over, as if it were not there; the default
	Closed Mode = "closed" // the query is answered SERVFAIL, with an extended error
	Stale  Mode = "stale"  // the version before it is called, if there was one that ran; else it is passed over
)

// Values are the modes that there are.
func (Mode) Values() []string { return []string{string(Open), string(Closed), string(Stale)} }

// UnmarshalText reads one of them.
func (m *Mode) UnmarshalText(b []byte) error { *m = Mode(b); return nil }

// Limits of what settings may name.
const (
	maxPlugins  = 64       // each costs a call for a query: 64 of 0.3 us are 20 us
	maxModules  = 256      // with 8 MiB each 2 GiB of blobs
	maxSettings = 64 << 10 // octets of the settings of one plugin, the largest document of a store
)

// capabilities are what may be granted, and what each is.
var capabilities = map[string]string{
	"client":  "the whole address of who asks",
	"metrics": "counters of its own",
	"log":     "lines in the node's log",
	"time":    "the time of the query",
	"random":  "random numbers",
	"resolve": "questions of its own, which the client waits for",
}

// CapabilityText says what a module has of a capability; "" of one that there is not.
func CapabilityText(capability string) string {
	if strings.HasPrefix(capability, dataGrant) {
		return "a list of yours, of that name"
	}
	return capabilities[capability]
}

// thereAre names all capabilities.
func thereAre() string {
	return "there are data/NAME, " + strings.Join(slices.Sorted(maps.Keys(capabilities)), ", ")
}

// Table is what the settings say of modules, checked, and not loaded yet. It is immutable.
type Table struct {
	Plugins []Use
	Modules []Described // by name, those that run nowhere too
}

// Described is a module that is there.
type Described struct {
	Name     string
	File     *namedfile.File
	Limits   Limits
	Manifest *wasm.Manifest
	source   []byte
}

// Use is a plugin with its module.
type Use struct {
	Plugin
	Path     string // in the settings, for errors
	File     *namedfile.File
	Limits   Limits
	Manifest *wasm.Manifest
	Data     []*Listed // that it may ask, in the order of its grants
	source   []byte
}

// program is what is made of a module's file. It is kept with the file, so that new settings of the same module do not read it again.
type program struct {
	source   []byte
	manifest *wasm.Manifest
}

func readProgram(source []byte) (*program, error) {
	m, err := wasm.ReadManifest(source)
	if err != nil {
		return nil, err
	}
	return &program{source, &m}, nil
}

// ReadManifest returns what a module's file says of itself. It is read once, and kept with the file.
func ReadManifest(file *namedfile.File) (*wasm.Manifest, error) {
	p, err := namedfile.Made(file, readProgram)
	if err != nil {
		return nil, err
	}
	return p.manifest, nil
}

// Compile checks what the settings say of modules. files returns what they name. The error is a [*strictyaml.Errors] with paths below `settings`. That modules compile, and get what
// they import, is for [Loader.Load] to find.
func Compile(modules []Module, data []Data, plugins []Plugin, files Files) (*Table, error) {
	var e strictyaml.Errors
	if len(modules) > maxModules {
		e.Addf("modules", "", "%d modules, at most %d", len(modules), maxModules)
	}
	if len(plugins) > maxPlugins {
		e.Addf("plugins", "", "%d plugins, at most %d", len(plugins), maxPlugins)
	}
	lists := compileData(&e, data, files)
	type loaded struct {
		*Module
		*program
		file *namedfile.File
	}
	byName := make(map[string]loaded)
	var names []string
	for i := range modules {
		m := &modules[i]
		path := fmt.Sprintf("modules[%d]", i)
		if !isName(m.Name) {
			e.Addf(path+".name", "use up to 63 small letters, digits and hyphens", "%q can not be the name of a module", m.Name)
			continue
		}
		if _, twice := byName[m.Name]; twice {
			addTwice(&e, i, m.Name)
			continue
		}
		file, err := files(m.File, m.MostOctets())
		var large *namedfile.TooLargeError
		if errors.As(err, &large) {
			e.Addf(path+".file", "build it for size (strip debug information), or raise limits.size of the module", "module %q has %d octets, at most %d", m.Name, large.Size, large.Most)
			continue
		}
		if err != nil {
			e.Addf(path+".file", "name a module that is there: a file in WebAssembly's binary format", "reading module %q: %w", m.Name, err)
			continue
		}
		read, err := namedfile.Made(file, readProgram)
		if err != nil {
			e.Add(&strictyaml.Error{Path: path + ".file", Err: fmt.Errorf("reading module %q: %w", m.Name, err), Hint: hintOf(err)})
			continue
		}
		manifest := read.manifest
		if manifest.ABI != ABI {
			e.Addf(path+".file", "build it for version 1", "module %q speaks version %d of the interface, and this release %d", m.Name, manifest.ABI, ABI)
			continue
		}
		if has := cmp.Or(m.Limits.Fuel, wasm.FastFuel); has < manifest.Fuel {
			e.Addf(path+".limits.fuel", fmt.Sprintf("set it to %d, if it may run beside the loops that read sockets", manifest.Fuel), "module %q may need %d units of fuel for a call, and has %d", m.Name, manifest.Fuel, has)
			continue
		}
		byName[m.Name] = loaded{m, read, file}
		names = append(names, m.Name)
	}
	t := new(Table)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		m := byName[name]
		t.Modules = append(t.Modules, Described{name, m.file, m.Limits, m.manifest, m.source})
	}
	for i, p := range plugins {
		path := fmt.Sprintf("plugins[%d]", i)
		m, ok := byName[p.Module]
		if !ok {
			if !slices.ContainsFunc(modules, func(m Module) bool { return m.Name == p.Module }) { // else told already
				addUnknown(&e, i, p.Module, names)
			}
			continue
		}
		checkPlugin(&e, path, &p, m.manifest, lists)
		if p.Mode == "" {
			p.Mode = Open
		}
		u := Use{Plugin: p, Path: path, File: m.file, Limits: m.Limits, Manifest: m.manifest, source: m.source}
		for _, g := range p.Grant {
			if d := lists[strings.TrimPrefix(g, dataGrant)]; d != nil && strings.HasPrefix(g, dataGrant) {
				u.Data = append(u.Data, d)
			}
		}
		t.Plugins = append(t.Plugins, u)
	}
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	return t, nil
}

// checkPlugin holds a plugin to what its module says of itself.
func checkPlugin(e *strictyaml.Errors, path string, p *Plugin, m *wasm.Manifest, lists map[string]*Listed) {
	if !slices.Contains(m.Phases, string(p.Phase)) {
		e.Addf(path+".phase", fmt.Sprintf("it is made for %v", m.Phases), "module %q does not run at phase %s", p.Module, p.Phase)
	}
	size := 0
	for key, value := range p.Settings {
		size += len(key) + len(value)
	}
	if size > maxSettings {
		e.Addf(path+".settings", "", "%d octets, at most %d", size, maxSettings)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
		if !m.Reads(key) { // it would be as if it were not there, and nobody would see that
			e.Addf(path+".settings."+key, readsHint(key, m.Settings), "module %q reads no setting %q", p.Module, key)
		}
	}
	for i, g := range p.Grant {
		if name, ok := strings.CutPrefix(g, dataGrant); ok {
			if lists[name] == nil {
				e.Addf(fmt.Sprintf("%s.grant[%d]", path, i), "name it in data, with its file", "there is no data set %q", name)
			}
			continue
		}
		if _, ok := capabilities[g]; !ok {
			e.Addf(fmt.Sprintf("%s.grant[%d]", path, i), thereAre(), "there is no capability %q", g)
			continue
		}
		if m.Pure { // its verdict is kept for all who ask: it would be given nothing, and nobody would see that
			e.Addf(fmt.Sprintf("%s.grant[%d]", path, i), "remove it; a pure module may have data/NAME only", "module %q is pure, and is granted %s", p.Module, g)
		}
	}
	for _, need := range m.Needs {
		if !slices.Contains(p.Grant, need) {
			what := CapabilityText(need)
			if what == "" {
				e.Addf(path+".module", thereAre(), "module %q needs %s, and there is no such capability", p.Module, need)
				continue
			}
			e.Addf(path+".grant", fmt.Sprintf("add %s to it, if the module may have it: %s", need, what), "module %q needs %s, which is not granted", p.Module, need)
		}
	}
}

// readsHint says which setting was meant instead of one that the module does not read, or which it reads.
func readsHint(key string, reads []string) string {
	if len(reads) == 0 {
		return "remove it; by its manifest the module reads none"
	}
	if near := strictyaml.Nearest(key, reads); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "it reads " + strings.Join(reads, ", ")
}

// isName tells whether s may name a module: a part of keys, of metrics and of file names.
func isName(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-')
	})
}

// ABI is the version of the interface to modules that this release speaks (docs/module-abi.md).
const ABI = 1

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

// Hint says what to do now.
func (h hinted) Hint() string { return h.hint }

func (h hinted) Unwrap() error { return h.error }

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
