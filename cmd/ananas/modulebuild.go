package main

type moduleBuildCommand struct {
	Dir  string `arg:"" optional:"" default:"." help:"The module's folder; without it this one."`
	Wasm string `placeholder:"FILE" help:"WebAssembly that other tools have made, in place of running the toolchain."`
}

// Help is printed below the usage.
func (moduleBuildCommand) Help() string {
	return `The language is told by the files: *.c, Cargo.toml, go.mod or package.json. Its toolchain has to be there; where it is not, the error names the packages. What comes out is NAME.wasm in the folder, with module.yaml in it as the manifest.

Example:

  ananas module build block`
}

// Run builds the module.
func (c *moduleBuildCommand) Run(p *process) error {
	f, err := openModule(c.Dir)
	if err != nil {
		return err
	}
	module, _, err := f.build(p.ctx, c.Wasm)
	if err != nil {
		return err
	}
	return p.say("%s: %s", f.file(), size(int64(len(module))))
}
