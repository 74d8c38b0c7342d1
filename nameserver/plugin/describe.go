package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/weave"
	"github.com/ananas-edge/ananas/wasm"
)

// Description is what can be seen of a module without running it.
type Description struct {
	Manifest wasm.Manifest
	Digest   string // SHA-256 of the file, in hexadecimal
	Octets   int
	Memory   int64    // octets that an instance begins with
	Imports  []Import // of the host, in the order of the module
	WASI     int      // imports of WASI
	Exports  []string // functions
}

// Import is an import.
type Import struct {
	Name       string `json:"name"`
	Capability string `json:"capability,omitempty"` // that has to be granted; "" is none
	Known      bool   `json:"known"`                // this release has it
}

// Describe reads a module.
func Describe(module []byte) (*Description, error) {
	m, err := wasm.ReadManifest(module)
	if err != nil {
		return nil, err
	}
	parsed, err := weave.Parse(module)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(module)
	d := &Description{Manifest: m, Digest: hex.EncodeToString(sum[:]), Octets: len(module)}
	if pages, ok := parsed.Memory(); ok {
		d.Memory = int64(pages) << 16
	}
	offered := new(host).functions()
	for _, i := range parsed.Imports {
		if i.Module == wasm.WASI {
			d.WASI++
			continue
		}
		one := Import{Name: i.Module + "." + i.Name}
		if at := slices.IndexFunc(offered, func(f wasm.Function) bool { return f.Module == i.Module && f.Name == i.Name }); at >= 0 {
			one.Known, one.Capability = true, offered[at].Capability
		}
		d.Imports = append(d.Imports, one)
	}
	for _, e := range parsed.Exports {
		if e.Kind == weave.Func {
			d.Exports = append(d.Exports, e.Name)
		}
	}
	return d, nil
}

// CheckBuilt holds a module to its manifest, as far as that can be seen without running it: what an author wants to know when it was built.
func (d *Description) CheckBuilt() error {
	for _, n := range d.Manifest.Needs {
		if _, known := capabilities[n]; !known && !strings.HasPrefix(n, dataGrant) {
			return hinted{fmt.Errorf("it needs %s, and there is no such capability", n), thereAre() + "; mend needs in module.yaml"}
		}
	}
	for _, i := range d.Imports {
		if !i.Known {
			return hinted{fmt.Errorf("it imports %s, which this release has not", i.Name), "docs/module-abi.md lists what there is"}
		}
		needs := func(n string) bool { return n == i.Capability || strings.HasPrefix(n, i.Capability+"/") }
		if i.Capability != "" && !slices.ContainsFunc(d.Manifest.Imports(d.Manifest.Needs), needs) {
			need := i.Capability
			if need+"/" == dataGrant {
				need += "/NAME"
			}
			return hinted{fmt.Errorf("it imports %s, and its manifest does not need %s", i.Name, need), fmt.Sprintf("add %s to needs in module.yaml", need)}
		}
	}
	for _, p := range d.Manifest.Phases {
		if name := "ananas_" + p; !slices.Contains(d.Exports, name) {
			return hinted{fmt.Errorf("it says that it runs at phase %s, and has no function %q", p, name), "export it, or remove the phase from module.yaml"}
		}
	}
	return nil
}
