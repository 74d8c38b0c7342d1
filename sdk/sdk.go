// Package sdk has what the authors of modules get: an SDK and a template for each language, and how its toolchain is run.
//
// [New] writes a module's folder, which has all that it needs, the SDK included: it builds without a network, and stays as it is until its author takes a newer SDK. [Find] reads
// such a folder, and [Folder.Build] makes WebAssembly of it. The manifest is not put in here: that is the interface's (package plugin).
//
// The folders beside this file are the guest's side, a language each; docs/module-abi.md is what they speak. They are the one API of Ananas that is promised to stay.
package sdk

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed c rust assemblyscript go
var files embed.FS

// Language is one that modules are written in.
type Language string

// The languages.
const (
	C              Language = "c"
	Rust           Language = "rust"
	Go             Language = "go"
	AssemblyScript Language = "assemblyscript"
)

// Languages are all of them.
func Languages() []Language { return []Language{C, Rust, Go, AssemblyScript} }

// Names of files in a module's folder.
const (
	ManifestFile = "module.yaml"
	CasesFile    = "cases.txt"
)

// placeholder is what templates have in place of the module's name.
const placeholder = "MODULE_NAME"

// layout says where the files of an SDK go in a module's folder.
var layout = map[Language]map[string]string{
	C:              {"c/ananas.h": "ananas.h"},
	Rust:           {"rust/Cargo.toml": "ananas/Cargo.toml", "rust/src/*.rs": "ananas/src"},
	Go:             {"go/*.go": "ananas"},
	AssemblyScript: {"assemblyscript/*.ts": "ananas"},
}

// hidden ends the name of a template's file that tools would take for one of this repository.
const hidden = ".txt"

// New writes the folder dir, of a module that has that name. It must not be there.
func New(dir, name string, l Language) error {
	if _, err := os.Lstat(dir); err == nil {
		return hinted{fmt.Errorf("making the folder of module %q: %s is there already", name, dir), "give another name, or another folder with --dir"}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making the folder of module %q: %w", name, err)
	}
	all, err := contents(name, l)
	if err != nil {
		return err
	}
	for to, text := range all {
		to = filepath.Join(dir, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("making the folder of module %q: %w", name, err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return fmt.Errorf("writing the files of module %q: %w", name, err)
		}
	}
	return nil
}

// contents are the files of a new module.
func contents(name string, l Language) (map[string][]byte, error) {
	if layout[l] == nil {
		return nil, hinted{fmt.Errorf("there is no SDK for %q", l), fmt.Sprintf("there are %v; in others, docs/module-abi.md is all that a module has to speak", Languages())}
	}
	all := make(map[string][]byte)
	read := func(from, to string) error {
		text, err := files.ReadFile(from)
		if err != nil {
			return fmt.Errorf("reading the SDK: %w", err)
		}
		all[to] = text
		return nil
	}
	template := path.Join(string(l), "template")
	err := fs.WalkDir(files, template, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := strings.TrimPrefix(p, template+"/")
		if to != CasesFile {
			to = strings.TrimSuffix(to, hidden)
		}
		if err := read(p, to); err != nil {
			return err
		}
		all[to] = []byte(strings.ReplaceAll(string(all[to]), placeholder, name))
		return nil
	})
	for from, to := range layout[l] {
		matches, globErr := fs.Glob(files, from)
		err = errors.Join(err, globErr)
		for _, m := range matches {
			target := to
			if strings.Contains(from, "*") {
				target = path.Join(to, path.Base(m))
			}
			err = errors.Join(err, read(m, target))
		}
	}
	return all, err
}

// Folder is that of a module.
type Folder struct {
	Dir      string
	Language Language
}

// marks are the files by which a folder's language is known, as patterns.
var marks = map[Language]string{C: "*.c", Rust: "Cargo.toml", Go: "go.mod", AssemblyScript: "package.json"}

// Find reads the folder of a module.
func Find(dir string) (Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, ManifestFile)); err != nil {
		return Folder{}, hinted{fmt.Errorf("%s is no module's folder: it has no %s", dir, ManifestFile), "name the folder of a module; ananas module new makes one"}
	}
	var found []Language
	for _, l := range Languages() {
		if matches, err := filepath.Glob(filepath.Join(dir, marks[l])); err == nil && len(matches) > 0 {
			found = append(found, l)
		}
	}
	if len(found) == 1 {
		return Folder{dir, found[0]}, nil
	}
	var all []string
	for _, l := range Languages() {
		all = append(all, fmt.Sprintf("%s (%s)", marks[l], l))
	}
	why := "it has none of " + strings.Join(all, ", ")
	if len(found) > 1 {
		why = fmt.Sprintf("it has files of %v", found)
	}
	return Folder{}, hinted{fmt.Errorf("telling the language of %s: %s", dir, why), "build it with the language's own tools, and give what comes out to ananas module build --wasm FILE"}
}

// hinted is an error with a mend.
type hinted struct {
	error
	hint string
}

// Hint says what to do now.
func (h hinted) Hint() string { return h.hint }

func (h hinted) Unwrap() error { return h.error }
