package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `help:"Print it as JSON."`
}

// Help is printed below the usage.
func (versionCommand) Help() string {
	return `Example:

  ananas version --json`
}

// Run prints the version of this binary; that of the node is in ananas status.
func (c *versionCommand) Run(p *process) error {
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		System  string `json:"system"`
	}{thisVersion(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if c.JSON {
		return p.printJSON(v)
	}
	return p.print(writeVersion)
}

func writeVersion(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "ananas %s (%s, %s/%s)\n", thisVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		return fmt.Errorf("writing the version: %w", err)
	}
	return nil
}

// thisVersion is what the linker was told, else what the go command knows of the module.
func thisVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(info.Main.Version, "(devel)")
	}
	return "(devel)"
}
