package main

import (
	"cmp"
	"fmt"
	"path/filepath"

	"github.com/ananas-edge/ananas/sdk"
	"github.com/ananas-edge/ananas/wasm"
)

type moduleNewCommand struct {
	Name string `arg:"" help:"Its name: small letters, digits and hyphens."`
	Lang string `required:"" enum:"c,rust,go,assemblyscript" help:"The language: c, rust, go or assemblyscript."`
	Dir  string `help:"The folder; without it one of the module's name, here."`
}

// Help is printed below the usage.
func (moduleNewCommand) Help() string {
	return `The folder has all that the module needs, the SDK of its language included: it is built without a network. What is in it blocks the zones of a list, and is there to be changed.

Example:

  ananas module new --lang c block`
}

// Run writes the folder.
func (c *moduleNewCommand) Run(p *process) error {
	dir := cmp.Or(c.Dir, c.Name)
	if _, err := wasm.ParseManifest("the name", []byte("abi: 1\nversion: '1'\nphases: [query]\nname: '"+c.Name+"'\n")); err != nil {
		if base := filepath.Base(c.Name); base != c.Name && c.Dir == "" {
			return usageError{hinted{fmt.Errorf("%q is a folder, and no name of a module", c.Name), fmt.Sprintf("ananas module new --lang %s --dir %s %s", c.Lang, shellWord(c.Name), shellWord(base))}, ""}
		}
		return usageError{hinted{fmt.Errorf("%q can not be the name of a module", c.Name), "use small letters, digits and hyphens, 63 at most"}, ""}
	}
	if err := sdk.New(dir, c.Name, sdk.Language(c.Lang)); err != nil {
		return err
	}
	if c.Lang == string(sdk.AssemblyScript) {
		return p.say("%s: next, npm install --prefix %[1]s, then ananas module test %[1]s", dir)
	}
	return p.say("%s: next, ananas module test %[1]s", dir)
}
