package main

import (
	"cmp"

	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/node"
)

type snapshotRestoreCommand struct {
	File string `arg:"" help:"A file of ananas snapshot save."`
	Data string `placeholder:"DIR" help:"The data folder of the member of the root, which must not run. Default: $ANANAS_DATA, else ./ananas-data."`
	JSON bool   `help:"Print which version it is as JSON."`
}

// Help is printed below the usage.
func (snapshotRestoreCommand) Help() string {
	return `The file is checked whole; then the root begins with it when it is started next, in a new lineage, which all followers take over by themselves. It is done on the machine of the root, whose node must not run. The root begins with one member: others join it anew. What etcd had is kept in store/etcd.before-restore until the next restore. Nodes that were removed since the snapshot was made are nodes again: look at ananas root ls afterwards, and remove them once more.

A new machine takes ca.key, store.key and node.pem from the folder store of a member of the root before, into the same folder: followers believe nobody else.

Example:

  systemctl stop ananas
  ananas snapshot restore store.snapshot --data /var/lib/ananas
  systemctl start ananas`
}

// Run places the snapshot.
func (c *snapshotRestoreCommand) Run(p *process) error {
	head, err := node.PlaceSnapshot(cmp.Or(c.Data, p.env("ANANAS_DATA"), client.DefaultData), c.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"version": uint64(head.Version), "time": head.Time, "lineage": head.Lineage.String()})
	}
	return p.say("%s has version %d of %s; the root begins with it when it is started next", terminal.Clean(c.File), head.Version, head.Time.Format("2006-01-02 15:04:05 MST"))
}
