package main

import (
	"github.com/ananas-edge/ananas/wasm"
)

// compileCommand is what a node runs as its child to compile a module, within limits of the system.
type compileCommand struct{}

// Run reads the module from the input, and says on the output how it went.
func (*compileCommand) Run(p *process) error {
	return wasm.RunCompiler(p.stdin, p.stdout)
}
