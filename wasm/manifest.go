package wasm

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/internal/weave"
)

// ManifestSection is the name of the custom section that a module carries its manifest in.
const ManifestSection = "ananas.manifest"

// mostManifest is the size of a manifest in octets: 20 lines, and room for 50 data sets.
const mostManifest = 4096

// Manifest is what a module says of itself, as YAML in a custom section: it is known before any of its code runs.
type Manifest struct {
	ABI     int      `yaml:"abi" required:"true" min:"1"`
	Name    string   `yaml:"name" required:"true"`    // lower-case letters, digits and hyphens
	Version string   `yaml:"version" required:"true"` // for people; versions are told apart by what is in them
	Phases  []string `yaml:"phases" required:"true" items:"1"`
	Needs   []string `yaml:"needs"`                  // capabilities, such as "data/malware"
	Wants   []string `yaml:"wants"`                  // data sets that it asks if they are granted, and does without if not
	Fuel    int64    `yaml:"fuel" max:"10000000000"` // that a call may need, where that is more than FastFuel: Go's runtime does
	Pure    bool     `yaml:"pure"`                   // its verdict follows from the name, the type, its settings and its data sets

	// Settings are the names of those that it reads, AnySetting for names that follow from others. nil: it does not say, and is given any; none: it reads none.
	Settings []string `yaml:"settings"`
}

// AnySetting stands among the settings of a manifest for those whose names are not known before.
const AnySetting = "*"

var (
	nameForm       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	versionForm    = regexp.MustCompile(`^[0-9A-Za-z.+-]{1,64}$`)
	settingForm    = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
	capabilityForm = regexp.MustCompile(`^[a-z]+(/[a-z0-9][a-z0-9._-]{0,62})?$`)
)

// ReadManifest returns the manifest that a module carries.
func ReadManifest(module []byte) (Manifest, error) {
	m, err := weave.Parse(module)
	if err != nil {
		return Manifest{}, err
	}
	sections := m.Custom(ManifestSection)
	if len(sections) != 1 {
		return Manifest{}, hinted{fmt.Errorf("the module has %d custom sections %q, and must have one", len(sections), ManifestSection), "ananas module build adds it from the file module.yaml"}
	}
	return ParseManifest("manifest of the module", sections[0])
}

// ParseManifest reads a manifest from the text of a file.
func ParseManifest(file string, text []byte) (m Manifest, err error) {
	if len(text) > mostManifest {
		return m, fmt.Errorf("%s has %d octets, at most %d", file, len(text), mostManifest)
	}
	if _, err := strictyaml.Decode(file, text, &m); err != nil {
		return m, err
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

func (m *Manifest) check() error {
	if !nameForm.MatchString(m.Name) {
		return hinted{fmt.Errorf("name %q is not one", m.Name), "use lower-case letters, digits and hyphens, 63 at most"}
	}
	if !versionForm.MatchString(m.Version) {
		return hinted{fmt.Errorf("version %q is not one", m.Version), "use letters, digits, dots, plus and hyphen, 64 at most"}
	}
	for _, n := range m.Needs {
		if !capabilityForm.MatchString(n) {
			return hinted{fmt.Errorf("needs: %q is no capability", n), "docs/module-abi.md lists them"}
		}
		if m.Pure && !strings.HasPrefix(n, "data/") {
			return hinted{fmt.Errorf("it is pure, and needs %q", n), "a pure module may need data sets only: leave out either"}
		}
	}
	for _, w := range m.Wants {
		if !capabilityForm.MatchString(w) || !strings.HasPrefix(w, "data/") {
			return hinted{fmt.Errorf("wants: %q is no data set", w), "a module can do without data/NAME only: put what else it imports into needs"}
		}
	}
	for _, s := range m.Settings {
		if s != AnySetting && !settingForm.MatchString(s) {
			return hinted{fmt.Errorf("settings: %q is no name of one", s), "use up to 64 letters, digits, dots, hyphens and underscores; \"*\" stands for names that follow from other settings"}
		}
	}
	return nil
}

// Reads tells whether the module reads a setting of that name, as far as its manifest says.
func (m *Manifest) Reads(setting string) bool {
	return m.Settings == nil || slices.Contains(m.Settings, setting) || slices.Contains(m.Settings, AnySetting)
}

// Imports returns the capabilities that decide which functions the module may import, where it was granted those: they, and the data sets that it wants. That one of these was not granted is told to the module when it
// opens it.
func (m *Manifest) Imports(granted []string) []string { return slices.Concat(granted, m.Wants) }

// Grants returns what of an operator's grants the module gets: what it needs, and no more. One that it needs and was not granted is an error that names it.
func (m *Manifest) Grants(granted []string) ([]string, error) {
	var missing []error
	for _, n := range m.Needs {
		if !slices.Contains(granted, n) {
			missing = append(missing, hinted{fmt.Errorf("module %q needs %q, which was not granted", m.Name, n), fmt.Sprintf("add %q to the module's grant, if it may have it", n)})
		}
	}
	return m.Needs, errors.Join(missing...)
}

// Attach returns a module with a manifest, in the place of one that it had.
func Attach(module, manifest []byte) ([]byte, error) {
	if _, err := ParseManifest("the manifest", manifest); err != nil {
		return nil, err
	}
	return weave.SetCustom(module, ManifestSection, manifest)
}
