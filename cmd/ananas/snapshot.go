package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type snapshotCommands struct {
	Save    snapshotSaveCommand    `cmd:"" help:"Save the whole store as one file."`
	Restore snapshotRestoreCommand `cmd:"" help:"Have a root begin with such a file, in a new lineage."`
	Show    snapshotShowCommand    `cmd:"" help:"What is in such a file, and whether it is whole."`
}

// Help is printed below the usage.
func (snapshotCommands) Help() string {
	return `Example:

  ananas snapshot save store.snapshot
  ananas snapshot show store.snapshot`
}

type snapshotSaveCommand struct {
	File  string `arg:"" help:"The file to make, for its owner alone (mode 0600)."`
	Force bool   `help:"Replace a file that is there."`
	nodeFlags
}

// Help is printed below the usage.
func (snapshotSaveCommand) Help() string {
	return `The file has all settings, nodes and secrets of the store, in plain: keep it as you keep keys. It is the same for every kind of root. Nothing is left behind of one that did not come whole.

Example:

  ananas snapshot save store.snapshot`
}

// Run saves the snapshot: beside the file, and in its place when it is whole.
func (c *snapshotSaveCommand) Run(p *process) (err error) {
	if _, err := os.Lstat(c.File); err == nil && !c.Force {
		return hinted{fmt.Errorf("saving a snapshot: %q is there", c.File), "name another file, or replace it with --force"}
	}
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	f, err := os.CreateTemp(filepath.Dir(c.File), "."+filepath.Base(c.File)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("saving a snapshot: %w", err)
	}
	defer os.Remove(f.Name()) // nothing is there if all went well
	progress := newSaving(p)
	n, err := node.SaveSnapshot(p.ctx, io.MultiWriter(f, progress))
	progress.clear()
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = place(f.Name(), c.File, c.Force)
	}
	if err != nil {
		return fmt.Errorf("saving a snapshot: %w", err)
	}
	return p.say("%s: %s", terminal.Clean(c.File), size(n))
}

// place gives a file its name, in the place of another one only by force.
func place(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := os.Link(from, to) // which replaces nothing that came meanwhile
	if errors.Is(err, fs.ErrExist) {
		return hinted{fmt.Errorf("%q is there by now", to), "name another file, or replace it with --force"}
	}
	if err != nil { // a file system without hard links
		return os.Rename(from, to)
	}
	return nil
}

// saving is one line on a terminal that counts what has come.
type saving struct {
	w     io.Writer // nil: nobody looks on
	n     int64
	shown int64 // n, when it was shown last
}

func newSaving(p *process) *saving {
	if !terminal.Of(p.stderr, p.env).Terminal {
		return &saving{}
	}
	return &saving{w: p.stderr}
}

// showEvery is after how many octets the line is written again.
const showEvery = 1 << 20

func (s *saving) Write(b []byte) (int, error) {
	s.n += int64(len(b))
	if s.w != nil && s.n-s.shown >= showEvery {
		s.shown = s.n
		io.WriteString(s.w, eraseLine+size(s.n))
	}
	return len(b), nil
}

func (s *saving) clear() {
	if s.w != nil && s.shown > 0 {
		io.WriteString(s.w, eraseLine)
	}
}
