package main

import (
	"errors"

	"github.com/ananas-edge/ananas/admin"
)

type rollbackCommand struct {
	Version *uint64 `arg:"" help:"The version whose settings are to be back; ananas history has them."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (rollbackCommand) Help() string {
	return `All settings become what they were at that version, as a new change: it is shown whose version that is, asked for, and goes through the waves as an apply does. Identities, tokens and revocations stay as they are, and so do other changes that are on their way: a warning names them. The version is always one of the history: a second rollback to the same one changes nothing, and the way forward again is a rollback to the version before the first.

Example:

  ananas history
  ananas rollback 41 --reason "the new servers are slow"`
}

// Validate is called when all flags are read.
func (c *rollbackCommand) Validate() error {
	switch {
	case c.Version == nil:
		return hinted{errors.New("it is not said which version is to be back"), "ananas history shows those that there are: ananas rollback VERSION"}
	case *c.Version == 0:
		return hinted{errors.New("there is no version 0"), "ananas history shows those that there are"}
	}
	return c.check()
}

// Run brings the settings back.
func (c *rollbackCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	return c.goBack(p, node, "all settings", admin.Rollback{Version: *c.Version, Reason: c.Reason, Author: author(p), Now: c.Now, Shrink: c.Shrink})
}
