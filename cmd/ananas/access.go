package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/internal/strictyaml"
)

type rootAccessCommand struct {
	File   string `arg:"" optional:"" help:"Rules to put in the place of those that there are; - is standard input."`
	Reason string `placeholder:"TEXT" help:"Why, for the history."`
	JSON   bool   `help:"Print the rules as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootAccessCommand) Help() string {
	return `A node that rules choose by its labels (ananas root token --label) reads the keys and folders that they name, and has digests alone of all others: its versions stay without gaps, and it still checks each one. A node that no rule is about reads all settings. Without a file the rules are printed as one.

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
	var now admin.Access
	if c.File == "" {
		now, err = node.Access(p.ctx)
	} else {
		want.Author, want.Reason = author(p), c.Reason
		now, err = node.SetAccess(p.ctx, want)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(now)
	}
	return p.print(func(w io.Writer) error { return writeAccess(w, now) })
}

// maxAccess is the length of a file of rules in octets: what the store takes at one key.
const maxAccess = 64 << 10

func readAccess(p *process, name string) (admin.Access, error) {
	in := p.stdin
	if name != "-" {
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
	var b strings.Builder
	b.WriteString("rules:\n")
	for _, r := range a.Rules {
		b.WriteString("  - { labels: { ")
		for i, name := range slices.Sorted(maps.Keys(r.Labels)) {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q: %q", name, r.Labels[name])
		}
		b.WriteString(" }, read: [")
		for i, key := range r.Read {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q", key)
		}
		b.WriteString("] }\n")
	}
	_, err := io.WriteString(w, terminal.Clean(b.String()))
	return err
}
