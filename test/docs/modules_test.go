package docs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/sdk"
)

// modules are those that come with the program.
const modules = "../../sdk/modules"

// bringModule puts the source of a module, and what it includes, where the reader of its page has it: below sdk, in a copy of this repository.
func (s *session) bringModule(name string) error {
	for from, to := range map[string]string{filepath.Join(modules, name): filepath.Join("sdk", "modules", name), "../../sdk/c": filepath.Join("sdk", "c")} {
		if err := os.CopyFS(filepath.Join(s.dir, to), os.DirFS(from)); err != nil {
			return err
		}
	}
	built := filepath.Join(s.dir, "sdk", "modules", name, name+".wasm") // by somebody, perhaps of another source
	if err := os.Remove(built); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	headers, err := filepath.Glob(filepath.Join(modules, "*.h"))
	for _, h := range headers {
		text, readErr := os.ReadFile(h)
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(s.dir, "sdk", "modules", filepath.Base(h)), text, 0o600))
	}
	return err
}

// moduleSource tells whether a block is source of a module. Go is that where it uses the SDK.
func moduleSource(b block) bool {
	return slices.Contains([]string{"c", "rust", "typescript"}, b.lang) || b.lang == "go" && strings.Contains(b.text, "*ananas.")
}

// excerpt looks for the source in the files that the commands before it have made; C that is in none of them is a whole module.
func (p *play) excerpt(b block) error {
	found := false
	err := filepath.WalkDir(p.session.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".c", ".rs", ".go", ".ts"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		found = found || strings.Contains(string(text), b.text)
		return err
	})
	if err != nil || found {
		return err
	}
	if b.lang != "c" {
		return fmt.Errorf("no module of the document has this in its source:\n%s", b.text)
	}
	return p.compileC(b.text)
}

// compileC builds a module of one file, without the SDK.
func (p *play) compileC(text string) error {
	dir, err := os.MkdirTemp("", "ananas-example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "plugin.c"), []byte(text), 0o600); err != nil {
		return err
	}
	_, err = sdk.Folder{Dir: dir, Language: sdk.C}.Build(context.Background())
	var missing *sdk.MissingError
	if errors.As(err, &missing) {
		p.left[missing.What] = true
		return nil
	}
	return err
}
