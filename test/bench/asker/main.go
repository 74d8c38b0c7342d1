//go:build linux

// Command asker carries out a plan of package flood that it reads from standard input, and writes the report to standard output, both as
// JSON. It is a process of its own so that the benchmark's memory and garbage are not the load generator's, and so that it can be put on
// a processor and before other work by itself.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/ananas-edge/ananas/test/bench/flood"
)

func main() {
	debug.SetGCPercent(-1) // a run allocates what it needs before it begins
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	var plan flood.Plan
	in := json.NewDecoder(os.Stdin)
	in.DisallowUnknownFields()
	if err := in.Decode(&plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	report, err := flood.Run(plan)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}
