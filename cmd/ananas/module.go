package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/sdk"
	"github.com/ananas-edge/ananas/wasm"
)

type moduleCommands struct {
	New   moduleNewCommand   `cmd:"" help:"Make the folder of a new module."`
	Build moduleBuildCommand `cmd:"" help:"Make WebAssembly of a module, with its manifest in it."`
	Test  moduleTestCommand  `cmd:"" help:"Run a module's cases: queries in, verdicts out, and no node."`
	Bench moduleBenchCommand `cmd:"" help:"What a call costs: nanoseconds and fuel."`
	Show  moduleShowCommand  `cmd:"" help:"What a module is, and what it wants."`

	Try moduleTryCommand `cmd:"" help:"Run a new version in the shadow of the one that runs, and show which verdicts differ."`

	// A node is asked here, and the store changed.
	Ls       moduleLsCommand       `cmd:"" help:"List the modules of a node, and how they do."`
	Logs     moduleLogsCommand     `cmd:"" help:"What modules have logged on a node, and which of their calls failed."`
	Push     modulePushCommand     `cmd:"" help:"Bring a module to all nodes, in waves."`
	Enable   moduleEnableCommand   `cmd:"" help:"Run a module again that was disabled."`
	Disable  moduleDisableCommand  `cmd:"" help:"Let a module run nowhere, and keep its settings."`
	Remove   moduleRemoveCommand   `cmd:"" help:"Take a module, and where it runs, out of the settings."`
	Rollback moduleRollbackCommand `cmd:"" help:"Bring back the version of a module before this one."`
}

// Help is printed below the usage.
func (moduleCommands) Help() string {
	return `Modules are WebAssembly programs in the path of a query. docs/modules.md leads from a new one to a verdict on a node.

Example:

  ananas module new --lang rust block
  ananas module test block`
}

// moduleFolder is a module's folder, with its manifest read.
type moduleFolder struct {
	dir      string
	manifest wasm.Manifest
	text     []byte // of the manifest
}

func openModule(dir string) (*moduleFolder, error) {
	name := filepath.Join(dir, sdk.ManifestFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, hinted{fmt.Errorf("%s is no module's folder: %w", dir, fileFault(err)), "name the folder of a module; ananas module new makes one"}
	}
	m, err := wasm.ParseManifest(name, text)
	if err != nil {
		return nil, err
	}
	return &moduleFolder{dir, m, text}, nil
}

// file is where the built module is.
func (f *moduleFolder) file() string { return filepath.Join(f.dir, f.manifest.Name+".wasm") }

// build makes the module, with what the toolchain makes, or with the file of that name. It is written if it is good, as far as can be seen without running it.
func (f *moduleFolder) build(ctx context.Context, from string) ([]byte, *plugin.Description, error) {
	var plain []byte
	var err error
	if from != "" {
		if plain, err = os.ReadFile(from); err != nil {
			return nil, nil, fileFault(err)
		}
	} else {
		folder, err := sdk.Find(f.dir)
		if err != nil {
			return nil, nil, err
		}
		if plain, err = folder.Build(ctx); err != nil {
			return nil, nil, err
		}
	}
	module, err := wasm.Attach(plain, f.text)
	if err != nil {
		return nil, nil, fmt.Errorf("putting the manifest into module %q: %w", f.manifest.Name, err)
	}
	d, err := plugin.Describe(module)
	if err == nil {
		err = d.CheckBuilt()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("building module %q: %w", f.manifest.Name, err)
	}
	if err := os.WriteFile(f.file(), module, 0o644); err != nil {
		return nil, nil, fmt.Errorf("writing module %q: %w", f.manifest.Name, err)
	}
	return module, d, nil
}

// built returns the module, built anew if a file of the folder is newer.
func (f *moduleFolder) built(p *process) ([]byte, error) {
	stat, err := os.Stat(f.file())
	if err == nil {
		newest, err := newestSource(f.dir)
		if err == nil && !newest.After(stat.ModTime()) {
			return os.ReadFile(f.file())
		}
	}
	if _, err := fmt.Fprintf(p.stderr, "building %s\n", f.file()); err != nil {
		return nil, fmt.Errorf("writing the output: %w", err)
	}
	module, _, err := f.build(p.ctx, "")
	return module, err
}

// newestSource is when the last of a folder's files was written that a module is built of.
func newestSource(dir string) (newest time.Time, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "target" || path != dir && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir(), filepath.Ext(path) == ".wasm", filepath.Ext(path) == ".txt", filepath.Ext(path) == ".md":
			return nil
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return err
	})
	return newest, err
}

// runner makes what runs the module's cases.
func (f *moduleFolder) runner(module []byte, boot func() time.Duration) (*cases.Runner, error) {
	data := make(map[string][]byte)
	for k, need := range slices.Concat(f.manifest.Needs, f.manifest.Wants) {
		name, ok := strings.CutPrefix(need, "data/")
		if !ok {
			continue
		}
		files, err := filepath.Glob(filepath.Join(f.dir, "data", name+".*"))
		if wanted := k >= len(f.manifest.Needs); wanted && err == nil && len(files) == 0 {
			continue // its cases are without it
		}
		if err != nil || len(files) != 1 {
			return nil, hinted{fmt.Errorf("module %q needs the data set %s, and there are %d files data/%[2]s.* in %[4]s", f.manifest.Name, name, len(files), f.dir),
				fmt.Sprintf("write a few entries for its cases into %s", filepath.Join(f.dir, "data", name+".txt"))}
		}
		if data[name], err = os.ReadFile(files[0]); err != nil {
			return nil, fileFault(err)
		}
	}
	return cases.Open(cases.Config{Module: module, Data: data, Compile: compileProcess, Boot: boot})
}

// readCases reads the files with cases of a folder: those whose names begin with "cases", and those of a folder of that name.
func readCases(dir string) ([]*cases.File, error) {
	var all []*cases.File
	for _, pattern := range []string{"cases*.txt", "cases/*.txt"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("listing the cases: %w", err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, fileFault(err)
			}
			f, err := cases.Parse(name, string(text))
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	for _, f := range all {
		if len(f.Cases) > 0 {
			return all, nil
		}
	}
	return nil, hinted{fmt.Errorf("there are no cases in %s", dir), "write some into " + filepath.Join(dir, sdk.CasesFile) + "; ananas module test --help shows how"}
}
