package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
)

type moduleRollbackCommand struct {
	Name string `arg:"" help:"A module of the settings; ananas module ls has them."`
	To   uint64 `placeholder:"N" help:"The module that was live at version N of the settings; ananas history has them. Default: the one before."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (moduleRollbackCommand) Help() string {
	return `The module becomes the one that was live before, as a new change: it is shown which one that is, asked for, and goes through the waves. Versions of the same content and limits, of another file's name alone, are passed over. Where it runs, and with which settings, stays as it is.

Again, it goes one further back. What was gone back from is not gone back to, unless --to names it: of the modules 1, 2 and 3 that were pushed one after the other, a rollback brings 2 back, the next one 1, and after that there is none. Who pushes 2 again has gone back to it as well.

Example:

  ananas module rollback family
  ananas module rollback family --to 41`
}

// Validate is called when all flags are read.
func (c *moduleRollbackCommand) Validate() error { return c.check() }

// Run brings a module back.
func (c *moduleRollbackCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	key := "modules/" + c.Name
	version := c.To
	if version == 0 {
		if version, err = versionBefore(p, node, key); err != nil {
			return err
		}
	}
	live, err := readModules(p, node)
	if err != nil {
		return err
	}
	idle := len(live.uses(c.Name)) == 0
	if idle {
		if err := warn(p, []string{fmt.Sprintf("no plugin runs module %q: it will be there, and run nowhere", c.Name)}); err != nil {
			return err
		}
	}
	err = c.goBack(p, node, "module "+c.Name, admin.Rollback{Version: version, Reason: c.Reason, Author: author(p), Now: c.Now, Prefix: key, Shrink: c.Shrink})
	if err == nil && idle && !c.DryRun {
		err = warn(p, []string{fmt.Sprintf("no plugin runs module %q: %s", c.Name, howToRun)})
	}
	return err
}

// goBack does as every change does, and tells before all else what is brought back, and who had made it so.
func (c *changeFlags) goBack(p *process, node *client.Client, what string, r admin.Rollback) error {
	return c.change(p, node, fmt.Sprintf("Go back to version %d?", r.Version), func(ctx context.Context, dry bool, confirm string) (admin.Applied, error) {
		r.Dry, r.Confirm = dry, confirm
		if !dry {
			return node.Rollback(ctx, r)
		}
		from, unread := commitAt(p, node, r.Prefix, r.Version)
		if unread == nil && r.Prefix != "" && (from == nil || !slices.ContainsFunc(from.Changes, func(d admin.Difference) bool { return d.Key == r.Prefix && d.New != nil })) {
			return admin.Applied{}, hinted{fmt.Errorf("the history knows of no %s at version %d", what, r.Version), "ananas history " + r.Prefix + " shows what there was"}
		}
		plan, err := node.Rollback(ctx, r)
		if err = cmp.Or(err, unread); err != nil || c.JSON { // what the store refuses says more than that the history can't be read
			return plan, err
		}
		text := fmt.Sprintf("%s: back to version %d", what, r.Version)
		if from != nil && from.Version != r.Version {
			text += fmt.Sprintf(", since version %d", from.Version)
		}
		if from != nil {
			text += ", " + byWhom(from)
		}
		return plan, p.say("%s\n", oneLine(text))
	})
}

// commitAt is the commit that made a key, or all settings, what they were at a version; nil if the history does not reach so far.
func commitAt(p *process, node *client.Client, key string, version uint64) (*admin.Commit, error) {
	h, err := node.History(p.ctx, admin.HistoryQuery{Key: key, Limit: 1, Before: version + 1, Settings: true})
	if err != nil || len(h.Commits) == 0 {
		return nil, err
	}
	return &h.Commits[0], nil
}

// versionBefore returns the last version of the settings that had the module before the one that is live.
func versionBefore(p *process, node *client.Client, key string) (uint64, error) {
	look := moduleSteps{key: key}
	var before uint64
	for {
		h, err := node.History(p.ctx, admin.HistoryQuery{Key: key, Limit: admin.MaxHistoryLimit, Before: before, Settings: true})
		if err != nil {
			return 0, err
		}
		for i := range h.Commits {
			look.add(&h.Commits[i])
			before = h.Commits[i].Version
		}
		if len(h.Commits) == 0 || !h.More || len(look.steps) >= maxSteps {
			return look.before()
		}
	}
}

// maxSteps is how many changes of a module are looked at: ten a day for three years. What is older is not gone back to without --to.
const maxSteps = 10_000

// moduleSteps are the changes of a module's live document, the newest first.
type moduleSteps struct {
	key   string
	steps []moduleStep
}

// moduleStep is one of them.
type moduleStep struct {
	version  uint64
	old, new *[32]byte // digests of the document apart from the file's name; nil: there was none
}

func (s *moduleSteps) add(c *admin.Commit) {
	for _, d := range c.Changes {
		if d.Key == s.key && c.Kind != "open" {
			s.steps = append(s.steps, moduleStep{c.Version, moduleDigest(d.Old), moduleDigest(d.New)})
		}
	}
}

func moduleDigest(doc *string) *[32]byte {
	if doc == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(withoutFileName(*doc)))
	return &sum
}

// before returns a version at which the module before the one that is live was live. The modules are a stack: one that was not on it is put there, one that was takes away what is above it, and one that is made
// after it was removed begins a new one.
func (s *moduleSteps) before() (uint64, error) {
	if len(s.steps) == 0 {
		return 0, hinted{fmt.Errorf("the history has no module of the key %q", s.key), "ananas module ls shows those that there are"}
	}
	type layer struct {
		sum *[32]byte
		at  uint64 // a version at which it was live
	}
	var stack []layer
	put := func(sum *[32]byte, at uint64) {
		same := func(l layer) bool { return l.sum != nil && sum != nil && *l.sum == *sum }
		if i := slices.IndexFunc(stack, same); i >= 0 {
			stack = stack[:i]
		}
		stack = append(stack, layer{sum, at})
	}
	for i, step := range slices.Backward(s.steps) {
		switch {
		case step.old == nil:
			stack = nil
		case i == len(s.steps)-1: // where the history begins, it was there already
			put(step.old, step.version-1)
		}
		put(step.new, step.version)
	}
	if len(stack) < 2 {
		return 0, hinted{errors.New("there is no version of it before the one that is live, but for such as have the same content, and such as were gone back from"), "ananas history " + s.key + " shows what there was, and --to N brings back any of it"}
	}
	return stack[len(stack)-2].at, nil
}

// withoutFileName is a module's document without what its file is called.
func withoutFileName(doc string) string {
	var b strings.Builder
	cut := false
	for line := range strings.Lines(doc) {
		if !cut && strings.HasPrefix(line, " ") && strings.HasPrefix(strings.TrimLeft(line, " "), "name: ") {
			cut = true
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}
