package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type diffCommand struct {
	What   []string `arg:"" optional:"" name:"from-to" help:"FROM and TO, versions; without TO it is the last one. Or files: what applying them would change. Without anything: what the last change of a setting was."`
	Prefix string   `placeholder:"KEY" help:"Only this key and those below it."`
	JSON   bool     `help:"Print the differences as JSON."`
	System bool     `help:"Without versions: what the last commit of any kind has changed, the store's own keys too."`
	nodeFlags

	from, to uint64
	files    bool
}

// Help is printed below the usage.
func (diffCommand) Help() string {
	return `Lines that begin with - are gone, those with + are new. A text of digits alone is a version, unless there is a file of that name (./42 is always a file).

Without versions, the last version at which a setting has changed is compared with the one before it. A change on its way is not in it before it is live.

Example:

  ananas diff
  ananas diff 40 42 --prefix forward
  ananas diff forward.yaml`
}

// Validate is called when all flags are read.
func (c *diffCommand) Validate() (err error) {
	for i, text := range c.What {
		n, parseErr := strconv.ParseUint(text, 10, 64)
		if parseErr == nil {
			_, statErr := os.Stat(text)
			if statErr == nil && i == 0 {
				parseErr = errors.New("a file")
			}
		}
		switch {
		case parseErr != nil && (i == 0 || c.files):
			c.files = true
		case parseErr != nil:
			return fmt.Errorf("%q is no version", text)
		case c.files: // a number behind a file is a file
		case i == 0:
			c.from = n
		case i == 1:
			c.to = n
		default:
			return errors.New("there are more than two versions")
		}
	}
	if c.System && len(c.What) > 0 {
		return errors.New("--system is of the last commit alone: versions and files are compared by their settings")
	}
	if len(c.What) == 2 && !c.files && c.to == 0 {
		return errors.New("there is no version 0 to compare with; the order is FROM TO")
	}
	return nil
}

// Run prints the difference.
func (c *diffCommand) Run(p *process) error {
	var files []admin.SettingsFile
	var larges []large
	if c.files {
		var err error
		if files, larges, err = readSettings(p, c.What); err != nil {
			return err
		}
	}
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	switch {
	case c.files:
		if err := upload(p, node, larges); err != nil {
			return err
		}
		return c.plan(p, node, files)
	case len(c.What) == 0:
		return c.last(p, node)
	}
	d, err := node.Difference(p.ctx, c.from, c.to, strings.Trim(c.Prefix, "/"))
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(d)
	}
	if len(d.Changes) == 0 {
		return p.say("nothing%s is different between version %d and version %d", belowText(c.Prefix), d.From, d.To)
	}
	if err := c.write(p, d.Changes, fmt.Sprintf("from version %d to version %d", d.From, d.To)); err != nil || !d.More {
		return err
	}
	return hinted{errors.New("not all is shown: there is too much that is different"), "name a part with --prefix"}
}

// plan shows what applying files would change.
func (c *diffCommand) plan(p *process, node *client.Client, files []admin.SettingsFile) error {
	plan, err := node.Apply(p.ctx, admin.Apply{Files: files, Author: author(p), Dry: true})
	if err != nil {
		return err
	}
	plan.Changes = c.kept(plan.Changes)
	if c.JSON {
		return p.printJSON(plan)
	}
	return showPlan(p, plan, false)
}

// last shows what the last commit that changed a setting has changed; with --system the last of all.
func (c *diffCommand) last(p *process, node *client.Client) error {
	h, err := node.History(p.ctx, admin.HistoryQuery{Limit: 1, Key: strings.Trim(c.Prefix, "/"), Settings: !c.System})
	if err != nil {
		return err
	}
	if len(h.Commits) == 0 {
		return p.say("nothing%s has changed after version %d, where the history begins", of(c.Prefix), h.Floor)
	}
	commit := h.Commits[0]
	if !c.System {
		commit.Changes = slices.DeleteFunc(commit.Changes, func(d admin.Difference) bool { return isSystem(d.Key) })
	}
	commit.Changes = c.kept(commit.Changes)
	if c.JSON {
		return p.printJSON(admin.SettingsDifference{From: commit.Version - 1, To: commit.Version, Changes: commit.Changes})
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error { return writeCommit(w, screen, &commit) })
}

// kept are the differences below the prefix.
func (c *diffCommand) kept(all []admin.Difference) []admin.Difference {
	kept := []admin.Difference{}
	for _, d := range all {
		if below(d.Key, c.Prefix) {
			kept = append(kept, d)
		}
	}
	return kept
}

func (c *diffCommand) write(p *process, changed []admin.Difference, foot string) error {
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		if err := writeDifferences(w, screen, changed); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\n%s, %s\n", changes(changed), foot)
		return err
	})
}
