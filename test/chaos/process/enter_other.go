//go:build !linux

package main

import "errors"

// processOptions are those of the runs with real processes.
type processOptions struct {
	Runs     int
	Seed     uint64
	Parallel int
	Verbose  bool
}

func processes(o processOptions) error {
	if o.Runs == 0 {
		return nil
	}
	return errors.New("runs with processes need the network namespaces of Linux")
}
