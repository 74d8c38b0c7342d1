package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

type rootAccessCommand struct {
	File   string `arg:"" optional:"" help:"Rules to put in the place of those that there are; - is standard input."`
	DryRun bool   `help:"Show what would change, and change nothing."`
	Yes    bool   `short:"y" help:"Do not ask."`
	Reason string `placeholder:"TEXT" help:"Why, for the history."`
	JSON   bool   `help:"Print the rules as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootAccessCommand) Help() string {
	return `A node that rules choose by its labels (ananas root token --label) reads the keys and folders that they name, and has digests alone of all others: its versions stay without gaps, and it still checks each one. A node that no rule is about reads all settings. Without a file the rules are printed as one; with one the difference is shown, and nothing happens without a yes.

Example:

  cat access.yaml
  rules:
    - { labels: { role: edge }, read: [recursion, forward, cache] }
  ananas root access access.yaml`
}

// accessFile is a file of rules.
type accessFile struct {
	Rules []struct {
		Labels map[string]string `yaml:"labels"`
		Read   []string          `yaml:"read" required:"true"`
	} `yaml:"rules" required:"true"`
}

// Run shows or sets the rules.
func (c *rootAccessCommand) Run(p *process) error {
	var want admin.Access
	if c.File != "" {
		if !c.DryRun && !c.Yes && (c.JSON || c.File == standardInput || !terminal.Asks(p.stdin, p.stdout)) {
			return usageError{errors.New("there is nobody to ask whether that is meant"), "look at it with --dry-run, then add --yes"}
		}
		var err error
		if want, err = readAccess(p, c.File); err != nil {
			return err
		}
	}
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	now, err := node.Access(p.ctx)
	if err != nil {
		return err
	}
	if c.File != "" {
		return c.replace(p, node, now, want)
	}
	if c.JSON {
		return p.printJSON(now)
	}
	return p.print(func(w io.Writer) error { return writeAccess(w, now) })
}

// replace shows what is different, asks, and puts want in the place of now.
func (c *rootAccessCommand) replace(p *process, node *client.Client, now, want admin.Access) error {
	want.Author, want.Reason, want.Confirm = author(p), c.Reason, now.Confirm
	want.Dry = true
	plan, err := node.SetAccess(p.ctx, want)
	if err != nil {
		return err
	}
	before, after := ruleLines(now.Rules), ruleLines(plan.Rules)
	same := slices.Equal(before, after)
	if !c.JSON {
		if err := showRules(p, before, after); err != nil {
			return err
		}
		if err := warn(p, plan.Warnings); err != nil {
			return err
		}
	}
	if !c.DryRun && !same {
		if !c.Yes {
			yes, err := ask(p, "Replace the rules?")
			if err != nil {
				return err
			}
			if !yes {
				return errors.New("nothing was changed")
			}
		}
		want.Dry = false
		if plan, err = node.SetAccess(p.ctx, want); err != nil {
			return err
		}
		if !c.JSON {
			return p.say("the rules are replaced")
		}
	}
	if c.JSON {
		return p.printJSON(plan)
	}
	return nil
}

// showRules prints how the lines of rules differ.
func showRules(p *process, before, after []string) error {
	if slices.Equal(before, after) {
		return p.say("nothing is different")
	}
	doc := func(lines []string) *string {
		if len(lines) == 0 {
			return nil
		}
		text := strings.Join(lines, "\n") + "\n"
		return &text
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		return writeDifferences(w, screen, []admin.Difference{{Key: "rules", Old: doc(before), New: doc(after)}})
	})
}

// maxAccess is the length of a file of rules in octets: what the store takes at one key.
const maxAccess = 64 << 10

func readAccess(p *process, name string) (admin.Access, error) {
	in := p.stdin
	if name != standardInput {
		f, err := os.Open(name)
		if err != nil {
			return admin.Access{}, fmt.Errorf("reading rules: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxAccess+1))
	if err != nil {
		return admin.Access{}, fmt.Errorf("reading rules: %w", err)
	}
	if len(b) > maxAccess {
		return admin.Access{}, fmt.Errorf("reading rules: the file has more than %d octets", maxAccess)
	}
	var f accessFile
	doc, err := strictyaml.Decode(name, b, &f)
	if err != nil {
		return admin.Access{}, err
	}
	if doc.Empty() || f.Rules == nil {
		return admin.Access{}, hinted{fmt.Errorf("%q has no rules; it looks like a file that is being written", name), "write rules: [] if every node is to read all settings"}
	}
	out := admin.Access{Rules: []admin.AccessRule{}}
	for _, r := range f.Rules {
		out.Rules = append(out.Rules, admin.AccessRule{Labels: r.Labels, Read: r.Read})
	}
	return out, nil
}

// writeAccess writes rules as the file that would make them.
func writeAccess(w io.Writer, a admin.Access) error {
	if len(a.Rules) == 0 {
		_, err := fmt.Fprintln(w, "rules: [] # every node reads all settings")
		return err
	}
	text := "rules:\n  " + strings.Join(ruleLines(a.Rules), "\n  ") + "\n"
	_, err := io.WriteString(w, terminal.Clean(text))
	return err
}

// ruleLines writes each rule as a line of YAML.
func ruleLines(rules []admin.AccessRule) []string {
	lines := make([]string, len(rules))
	for i, r := range rules {
		var labels, read []string
		for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
			labels = append(labels, fmt.Sprintf("%q: %q", name, r.Labels[name]))
		}
		for _, key := range r.Read {
			read = append(read, fmt.Sprintf("%q", key))
		}
		lines[i] = "- { labels: { " + strings.Join(labels, ", ") + " }, read: [" + strings.Join(read, ", ") + "] }"
	}
	return lines
}
