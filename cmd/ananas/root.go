package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type rootCommands struct {
	Ls       rootLsCommand       `cmd:"" help:"List members of the root, all nodes, and tokens that were not used."`
	Token    rootTokenCommand    `cmd:"" help:"Make a token that lets one node join."`
	Tokens   rootTokensCommand   `cmd:"" help:"List tokens that were not used."`
	Withdraw rootWithdrawCommand `cmd:"" help:"Withdraw a token that was not used."`
	Access   rootAccessCommand   `cmd:"" help:"Show or set which nodes read what of the settings."`
	Remove   rootRemoveCommand   `cmd:"" help:"Revoke a node."`
}

// Help is printed below the usage.
func (rootCommands) Help() string {
	return `The root is the store's writer: one node, or three, or five. A further member is a node that joins with a token made with --root.

Example:

  ananas root token --name lis02 --label site=lis
  ananas root ls`
}

type rootLsCommand struct {
	JSON bool `help:"Print all of it as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootLsCommand) Help() string {
	return `VERSION is what a node's table was made from, with the change sets in it; AGE is how long ago the root last confirmed what it has: of a node that is silent, as it told, and the time since then. Ask a member of the root: others do not know the rest of the fleet.

The STATE of a member is as the one that is asked sees it: leader, follower, learner (it copies, and has no vote yet) or unreachable. A node with no report yet has joined, and has told nothing since that member started.

Example:

  ananas root ls`
}

// Run prints the tables.
func (c *rootLsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	root, err := node.Root(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(root)
	}
	return p.print(func(w io.Writer) error {
		var tables []*terminal.Table
		if len(root.Members) > 0 {
			tables = append(tables, memberTable(root.Members))
		}
		if len(root.Nodes) == 0 {
			_, err := io.WriteString(w, "no node is known here\n")
			return err
		}
		tables = append(tables, nodeTable(&root))
		if len(root.Tokens) > 0 {
			tables = append(tables, tokenTable(&root))
		}
		for i, t := range tables {
			if i == 1 && !slices.ContainsFunc(root.Members, func(m admin.RootMember) bool { return m.State == "leader" }) && len(root.Members) > 0 {
				if _, err := io.WriteString(w, "no member leads: nothing can be changed until a majority of them is there\n"); err != nil {
					return err
				}
			}
			if i > 0 {
				if _, err := io.WriteString(w, "\n"); err != nil {
					return err
				}
			}
			if err := t.Write(w); err != nil {
				return err
			}
		}
		return nil
	})
}

func memberTable(members []admin.RootMember) *terminal.Table {
	t := &terminal.Table{Head: []string{"MEMBER", "STATE", "ADDRESS"}}
	for _, m := range members {
		name := m.Name
		if m.Self {
			name += " (this node)"
		}
		t.Rows = append(t.Rows, []string{name, m.State, dash(m.Address)})
	}
	return t
}

func nodeTable(root *admin.Root) *terminal.Table {
	t := &terminal.Table{Head: []string{"NODE", "ROLE", "STATE", " VERSION", " BEHIND", "CHANGE SETS", " AGE", "VIA", "LABELS", "RELEASE"}, Notes: map[int][]string{}}
	for i, n := range root.Nodes {
		version, behind, age := "-", "-", "-"
		if n.Version > 0 {
			version = fmt.Sprint(n.Version)
			behind = thousands(root.Version - min(n.Version, root.Version))
		}
		if n.AgeMS >= 0 && !n.Seen.IsZero() {
			age = fmt.Sprintf("%d ms", n.AgeMS)
			if n.AgeMS >= 1000 {
				age = milliseconds(n.AgeMS)
			}
		}
		t.Rows = append(t.Rows, []string{n.Name, n.Role, nodeState(root.Now, &n), version, behind, dash(strings.Join(n.Sets, ", ")), age, dash(n.Via), dash(labels(n.Labels)), dash(n.Release)})
		if n.Error != "" {
			t.Notes[i] = []string{n.Error}
		}
	}
	return t
}

// nodeState says whether a node is there.
func nodeState(now time.Time, n *admin.Node) string {
	switch {
	case !n.Revoked.IsZero():
		return "revoked"
	case n.Up:
		return "up"
	case n.Seen.IsZero():
		return "no report yet"
	}
	return "silent for " + ago(now.Sub(n.Seen))
}

// labels writes labels as they are given: site=lis tier=edge.
func labels(all map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, name+"="+all[name])
	}
	return strings.Join(parts, " ")
}

func tokenTable(root *admin.Root) *terminal.Table {
	t := &terminal.Table{Head: []string{"TOKEN", "FOR", "ROLE", "LABELS", "MADE BY", "MADE", "EXPIRES"}}
	for _, k := range root.Tokens {
		role := "follower"
		if k.Root {
			role = "root"
		}
		t.Rows = append(t.Rows, []string{k.ID, cmp.Or(k.Name, "any node"), role, dash(labels(k.Labels)), dash(k.By), ago(root.Now.Sub(k.Made)) + " ago", "in " + ago(k.Until.Sub(root.Now))})
	}
	return t
}

type rootTokensCommand struct {
	JSON bool `help:"Print the tokens as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootTokensCommand) Help() string {
	return `The store keeps a digest of each token's secret, so that a token can't be shown again; its id is no secret.

Example:

  ananas root tokens
  ananas root withdraw 0011223344556677`
}

// Run prints the table.
func (c *rootTokensCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	root, err := node.Root(p.ctx)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return p.printJSON(root.Tokens)
	case len(root.Members) == 0:
		return hinted{errors.New("this node does not know the tokens"), "ask a member of the root"}
	case len(root.Tokens) == 0:
		return p.say("there is no token that can be used")
	}
	return p.print(func(w io.Writer) error { return tokenTable(&root).Write(w) })
}

type rootWithdrawCommand struct {
	ID     string `arg:"" help:"The token; ananas root tokens has the ids."`
	Reason string `placeholder:"TEXT" help:"Why, for the history."`
	JSON   bool   `help:"Print the token as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootWithdrawCommand) Help() string {
	return `Nobody joins with it from then on. A node that has joined with a token is not touched: ananas root remove revokes it.

Example:

  ananas root withdraw 0011223344556677 --reason "it was in a chat"`
}

// Validate is called when all flags are read.
func (c *rootWithdrawCommand) Validate() error {
	if len(c.Reason) > admin.MaxReason {
		return errors.New("--reason is too long: say it in a line")
	}
	return nil
}

// Run withdraws the token.
func (c *rootWithdrawCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	token, err := node.WithdrawToken(p.ctx, admin.WithdrawToken{ID: c.ID, Reason: c.Reason, Author: author(p)})
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(token)
	}
	return p.say("token %s, for %s, is withdrawn", terminal.Clean(token.ID), terminal.Clean(cmp.Or(token.Name, "any node")))
}

type rootTokenCommand struct {
	Name  string            `placeholder:"NAME" help:"Only the node of this name (node.name) may use it. Default: any."`
	Label map[string]string `placeholder:"NAME=VALUE" help:"A label of the node, such as site=lis; again for another. Waves and access go by labels."`
	Root  bool              `help:"The node becomes a further member of the root."`
	TTL   *time.Duration    `name:"ttl" placeholder:"TIME" help:"How long it can be used, as 15m or 24h. Default: 24h."`
	JSON  bool              `help:"Print the token and where to join as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootTokenCommand) Help() string {
	return `The token is printed once, on standard output and alone; what to do with it goes to standard error. It lets one node join, and is of no use afterwards; ananas root tokens lists those that were not used. A member of the root makes it.

Example:

  ananas root token --name lis02 --label site=lis
  ananas root token --root --ttl 15m`
}

// Validate is called when all flags are read.
func (c *rootTokenCommand) Validate() error {
	if c.TTL != nil && *c.TTL < time.Second {
		return fmt.Errorf("--ttl is %v: a token is used within some minutes at best", *c.TTL)
	}
	if len(c.Label) > admin.MaxLabels {
		return fmt.Errorf("--label is there %d times, more than %d", len(c.Label), admin.MaxLabels)
	}
	return nil
}

// Run makes the token.
func (c *rootTokenCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	ask := admin.NewToken{Name: c.Name, Labels: c.Label, Root: c.Root, Author: author(p)}
	if c.TTL != nil {
		ask.TTLMS = c.TTL.Milliseconds()
	}
	token, err := node.NewToken(p.ctx, ask)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(token)
	}
	if err := p.say("%s", terminal.Clean(token.Token)); err != nil {
		return err
	}
	_, err = io.WriteString(p.stderr, c.instructions(&token))
	return err
}

// instructions say what the joining node needs.
func (c *rootTokenCommand) instructions(token *admin.JoinToken) string {
	quoted := make([]string, len(token.Addresses))
	for i, a := range token.Addresses {
		quoted[i] = fmt.Sprintf("%q", a)
	}
	name := cmp.Or(c.Name, "NAME")
	store := "join: [" + strings.Join(quoted, ", ") + "]"
	if c.Root {
		store = `root: "ADDRESS:8054", peer: "ADDRESS:8055", ` + store
	}
	return terminal.Clean(fmt.Sprintf(`
It lets one node join, until %s. That node has in its file:

    node:
      name: %s
      store: { %s }

and no part settings. Start it once with the token:

    ANANAS_JOIN_TOKEN=TOKEN ananas serve --config FILE
`, token.Until.UTC().Format("2006-01-02 15:04:05 UTC"), name, store))
}

type rootRemoveCommand struct {
	Name   string `arg:"" help:"The node; ananas root ls has the names."`
	Yes    bool   `short:"y" help:"Do not ask."`
	Reason string `placeholder:"TEXT" help:"Why, for the history."`
	JSON   bool   `help:"Print the node as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rootRemoveCommand) Help() string {
	return `It asks before it does anything. The node is refused by the root and by all relays from then on, and its connections end. It serves from its copy until it is stopped. A member of the root is taken out of it. To come back it needs a new token.

Example:

  ananas root remove lis02 --reason "stolen"`
}

// Validate is called when all flags are read.
func (c *rootRemoveCommand) Validate() error {
	if len(c.Reason) > admin.MaxReason {
		return errors.New("--reason is too long: say it in a line")
	}
	return nil
}

// describeRemoval says what removing a node does.
func describeRemoval(root admin.Root, name string) string {
	voters := 0
	var member *admin.RootMember
	for i := range root.Members {
		m := &root.Members[i]
		if m.State != "learner" {
			voters++
		}
		if m.Name == name {
			member = m
		}
	}
	text := terminal.Clean(name) + " is a follower: it is refused from then on, and answers from its copy"
	if member != nil {
		text = fmt.Sprintf("%s is one of %d members of the root", terminal.Clean(name), voters)
		if member.Self {
			text += ", the one that is asked here: this node is no member any more then"
		}
	}
	return text
}

// Run revokes the node.
func (c *rootRemoveCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	if !c.Yes {
		if c.JSON || !terminal.Asks(p.stdin, p.stdout) {
			return usageError{errors.New("there is nobody to ask whether that is meant"), "add --yes"}
		}
		root, err := node.Root(p.ctx)
		if err != nil {
			return err
		}
		if err := p.say("%s", describeRemoval(root, c.Name)); err != nil {
			return err
		}
		yes, err := ask(p, "Remove it?")
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("nothing was changed")
		}
	}
	removed, err := node.RemoveNode(p.ctx, admin.RemoveNode{Name: c.Name, Reason: c.Reason, Author: author(p)})
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(removed)
	}
	return p.say("%s is revoked; it needs a new token to come back", terminal.Clean(removed.Name))
}
