package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/replica"
)

type snapshotShowCommand struct {
	File string `arg:"" help:"The file."`
	Keys bool   `help:"Its keys, too."`
	JSON bool   `help:"Print what is in it as JSON."`
}

// Help is printed below the usage.
func (snapshotShowCommand) Help() string {
	return `The file is read whole, and everything in it is checked: exit code 1 if it can not be used. No node is asked, and no document is shown.

Example:

  ananas snapshot show store.snapshot`
}

// snapshotInfo is what is in a snapshot.
type snapshotInfo struct {
	File     string    `json:"file"`
	Bytes    int64     `json:"bytes"`
	Lineage  string    `json:"lineage"`
	Version  uint64    `json:"version"`
	Time     time.Time `json:"time,omitzero"` // of the last commit in it
	Settings int       `json:"settings"`      // keys
	Nodes    int       `json:"nodes"`
	System   int       `json:"system"` // other keys of the store's own
	Keys     []string  `json:"keys,omitempty"`
}

// Run reads the file.
func (c *snapshotShowCommand) Run(p *process) error {
	p.let() // nothing here can be left half done
	info, err := c.read()
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(info)
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		var b strings.Builder
		row := rows(&b, screen, len("settings"))
		row("file", fmt.Sprintf("%s, %s, whole", info.File, size(info.Bytes)), terminal.Bold)
		row("version", fmt.Sprint(info.Version), terminal.Plain)
		if !info.Time.IsZero() {
			row("time", info.Time.UTC().Format("2006-01-02 15:04:05 UTC"), terminal.Plain)
		}
		row("lineage", info.Lineage, terminal.Plain)
		row("settings", count(info.Settings, "key", "keys"), terminal.Plain)
		row("nodes", thousands(uint64(info.Nodes)), terminal.Plain)
		row("others", count(info.System, "key", "keys")+" of the store's own", terminal.Plain)
		word := "keys"
		for _, key := range info.Keys {
			row(word, key, terminal.Plain)
			word = ""
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

func (c *snapshotShowCommand) read() (*snapshotInfo, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fileFault(err)
	}
	defer f.Close()
	info := &snapshotInfo{File: c.File}
	if stat, err := f.Stat(); err == nil {
		info.Bytes = stat.Size()
	}
	err = replica.ReadSnapshot(f, func(h store.Head) error {
		info.Lineage, info.Version, info.Time = h.Lineage.String(), uint64(h.Version), h.Time
		return nil
	}, func(key string, _ store.Entry) error {
		switch {
		case !strings.HasPrefix(key, store.System):
			info.Settings++
		case strings.HasPrefix(key, store.NodePrefix):
			info.Nodes++
		default:
			info.System++
		}
		if c.Keys {
			info.Keys = append(info.Keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return info, nil
}
