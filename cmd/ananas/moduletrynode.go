package main

import (
	"errors"

	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// atNode has a node run both versions.
func (c *moduleTryCommand) atNode(*process, trial.Request, *tapFile, *trying) error {
	return hinted{errors.New("trying on a node is not there yet"), "name a file of queries with --dnstap, and the settings with --config"}
}
