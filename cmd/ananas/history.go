package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type historyCommand struct {
	Key     string `arg:"" optional:"" help:"Only commits that changed this key or one below it."`
	Limit   *int   `placeholder:"N" help:"The newest N commits. Default: 20."`
	Before  uint64 `placeholder:"VERSION" help:"Only commits before this version."`
	Verbose bool   `short:"v" help:"What each of them changed, too."`
	JSON    bool   `help:"Print the commits as JSON, with what they changed."`
	systemFlag
	nodeFlags
}

// Help is printed below the usage.
func (historyCommand) Help() string {
	return `KIND says what a commit is for: initial, settings came into an empty store; open, a change set is on its way; wave, it was released to its next wave, paused or resumed; live, it passed its last gate; withdraw, it was taken back; now, a change to all nodes at once; load, a node read its file; node, a node joined or was revoked, or a token was made; restore, the store began with a snapshot. KEYS are the settings that it changes; of a change set those that it will.

What the store does for itself is left out: its own keys, and the commits that clean up behind changes that have ended (kind sweep). --system shows them.

Example:

  ananas history
  ananas history forward/corp.example -v`
}

// Validate is called when all flags are read.
func (c *historyCommand) Validate() error { return within("--limit", c.Limit, admin.MaxHistoryLimit) }

// Run prints the commits.
func (c *historyCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	q := admin.HistoryQuery{Key: strings.Trim(c.Key, "/"), Before: c.Before, Without: c.without()}
	if c.Limit != nil {
		q.Limit = *c.Limit
	}
	list, err := node.History(p.ctx, q)
	if err != nil {
		return err
	}
	table := historyTable(list.Commits)
	for i := range list.Commits {
		list.Commits[i].Changes = c.shown(list.Commits[i].Changes)
	}
	if c.JSON {
		return p.printJSON(list)
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		switch {
		case len(list.Commits) == 0:
			_, err := fmt.Fprintf(w, "nothing was committed%s after version %d, where the history begins\n", of(q.Key), list.Floor)
			return err
		case c.Verbose:
			for i := range list.Commits {
				if i > 0 {
					if _, err := io.WriteString(w, "\n"); err != nil {
						return err
					}
				}
				if err := writeCommit(w, screen, &list.Commits[i]); err != nil {
					return err
				}
			}
		default:
			if err := table.Write(w); err != nil {
				return err
			}
		}
		last := list.Commits[len(list.Commits)-1].Version
		foot := fmt.Sprintf("the history begins after version %d", list.Floor)
		if list.More {
			foot = fmt.Sprintf("there are more: --before %d, or --limit up to %s", last, thousands(admin.MaxHistoryLimit))
		}
		_, err := fmt.Fprintf(w, "\n%s\n", foot)
		return err
	})
}

func of(key string) string {
	if key == "" {
		return ""
	}
	return " of " + terminal.Clean(key)
}

func historyTable(commits []admin.Commit) *terminal.Table {
	t := &terminal.Table{Head: []string{" VERSION", "WHEN (UTC)", "KIND", "WHO", "WHY", "KEYS"}}
	for i := range commits {
		c := &commits[i]
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(c.Version), c.Time.UTC().Format(time.DateTime), c.Kind, dash(c.Author), dash(terminal.Cut(c.Reason, lineReason)), dash(about(c)),
		})
	}
	return t
}

// writeCommit writes a commit with what it changed.
func writeCommit(w io.Writer, screen terminal.Screen, c *admin.Commit) error {
	head := fmt.Sprintf("version %d", c.Version)
	if _, err := fmt.Fprintf(w, "%s  %s\n", screen.Paint(terminal.Bold, head), oneLine(byWhom(c))); err != nil {
		return err
	}
	if err := writeDifferences(w, screen, c.Changes); err != nil {
		return err
	}
	if c.Hidden > 0 {
		if _, err := fmt.Fprintf(w, "and %s that this node may not read\n", count(c.Hidden, "key", "keys")); err != nil {
			return err
		}
	}
	return nil
}

type watchCommand struct {
	Prefix string  `arg:"" optional:"" help:"Only what changes this key or one below it."`
	After  *uint64 `placeholder:"N" help:"Begin after version N. Default: with the next commit."`
	JSON   bool    `help:"Print the commits as JSON, one object on a line."`
	systemFlag
	nodeFlags
}

// Help is printed below the usage.
func (watchCommand) Help() string {
	return `Each commit is shown as it comes, with what it changes, until you interrupt. The store's own keys, and commits that only clean up behind changes that have ended, come with --system alone. No other is left out: if the node goes away, the error says with which --after to go on.

Example:

  ananas watch
  ananas watch forward --after 41 --json`
}

// Run shows the commits.
func (c *watchCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	screen, first := terminal.Of(p.stdout, p.env), true
	last, err := node.Watch(p.ctx, c.After, func(commit admin.Commit) error {
		if commit.Kind == c.without() || !c.concerns(&commit) {
			return nil
		}
		commit.Changes = c.shown(commit.Changes)
		return p.print(func(w io.Writer) error {
			if c.JSON {
				e := json.NewEncoder(w)
				e.SetEscapeHTML(false)
				return e.Encode(commit)
			}
			if !first {
				if _, err := io.WriteString(w, "\n"); err != nil {
					return err
				}
			}
			first = false
			return writeCommit(w, screen, &commit)
		})
	})
	if err != nil && p.ctx.Err() == nil && last > 0 {
		hint := fmt.Sprintf("ananas watch --after %d goes on from here", last)
		if before := hintOf(err); before != "" {
			hint = before + "; " + hint
		}
		return hinted{err, hint}
	}
	return err
}

// concerns tells whether a commit changes something below the prefix, and leaves nothing else in it.
func (c *watchCommand) concerns(commit *admin.Commit) bool {
	if c.Prefix == "" {
		return true
	}
	var kept []admin.Difference
	for _, d := range commit.Changes {
		if below(d.Key, c.Prefix) {
			kept = append(kept, d)
		}
	}
	commit.Changes = kept
	return len(kept) > 0
}

// byWhom says when a commit was made, how, by whom and why.
func byWhom(c *admin.Commit) string {
	text := fmt.Sprintf("%s  %s  %s", c.Time.UTC().Format(time.DateTime), c.Kind, cmp.Or(c.Author, "nobody"))
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// oneLine is text from elsewhere in one line of a terminal.
func oneLine(text string) string { return strings.ReplaceAll(terminal.Clean(text), "\n", " ") }
