// Command process breaks a store of real processes while it is written to, and then looks whether anything was lost, told wrongly, or seen in another order. Each run is in network
// namespaces of its own; its faults follow from its seed. One that fails is printed with the command that repeats it.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	runs := flag.Int("runs", 1, "how many (Linux, root)")
	seed := flag.Uint64("seed", 1, "of the first run; each further run has the next")
	parallel := flag.Int("parallel", 2, "runs at a time")
	verbose := flag.Bool("v", false, "print the logs of the nodes of runs that fail whole")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "chaos: it takes flags alone")
		os.Exit(2)
	}
	if err := processes(processOptions{Runs: *runs, Seed: *seed, Parallel: *parallel, Verbose: *verbose}); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}
