package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/story"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type explainCommand struct {
	Name    string `arg:"" help:"The name to resolve."`
	Type    string `arg:"" optional:"" help:"The type of record: A, AAAA, MX, TYPE65280 and so on. Default: A."`
	Reverse bool   `short:"x" help:"NAME is an address, and its name is asked for (PTR)."`
	Fresh   bool   `help:"Use nothing that is cached and wait for no resolution that is under way: go all the way from the root."`
	Client  string `placeholder:"ADDRESS" help:"As which client it is asked: with its tenant, its view, what modules say to it, and whether it may ask at all. Needs the token. Default: this machine."`
	Depth   *int   `placeholder:"N" help:"Draw N levels and fold what lies below them; 1 is the question alone."`
	JSON    bool   `help:"Print the steps as they happen, one JSON object on a line; the last one has the answer."`
	nodeFlags
}

// Help is printed below the usage.
func (explainCommand) Help() string {
	return `The node resolves the name and tells each step: every question to a name server, why that one, what came back, what of it was kept or refused and why, and the answer. On the left is the time in milliseconds; what went wrong carries a ✗.

An answer that is a failure, such as SERVFAIL, is explained too: the exit code is 0.

Example:

  ananas explain www.example.com AAAA --fresh
  ananas explain www.example.com --client 192.0.2.7`
}

// Validate is called when all flags are read.
func (c *explainCommand) Validate() error {
	return within("--depth", c.Depth, admin.MaxExplainDepth)
}

// Run asks the node and draws what it tells.
func (c *explainCommand) Run(p *process) error {
	q, err := question(c.Name, c.Type, c.Reverse)
	if err != nil {
		return usageError{err, cmp.Or(hintOf(err), "ananas explain --help shows how it is used")}
	}
	var client netip.Addr
	if c.Client != "" {
		if client, err = admin.ParseAddress(c.Client); err != nil {
			return usageError{fmt.Errorf("--client: %w", err), hintOf(err)}
		}
	}
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	request := admin.ExplainRequest{Name: q.Name, Type: q.Type, Fresh: c.Fresh, Client: client}
	if c.JSON {
		return c.print(p, node, request)
	}

	s := new(story.Story)
	progress := newProgress(p)
	answer, err := node.Explain(p.ctx, request, 0, func(e admin.Event) error {
		s.Add(e)
		progress.show(e)
		return nil
	})
	progress.clear()
	o := story.Options{Screen: terminal.Of(p.stdout, p.env), Depth: c.depth()}
	if err == nil {
		return p.print(func(w io.Writer) error { return s.Write(w, o, &answer) })
	}
	if s.Empty() {
		return err
	}
	// Half a story is what its reader wants when the whole one did not come.
	return errors.Join(p.print(func(w io.Writer) error { return s.Write(w, o, nil) }), err)
}

// depth is how many levels are drawn; 0: all.
func (c *explainCommand) depth() int {
	if c.Depth == nil {
		return 0
	}
	return *c.Depth
}

// print passes the lines on as the API sends them.
func (c *explainCommand) print(p *process, node *client.Client, request admin.ExplainRequest) error {
	line := func(v any) error {
		return p.print(func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			return e.Encode(v)
		})
	}
	answer, err := node.Explain(p.ctx, request, c.depth(), func(e admin.Event) error { return line(e) })
	if err != nil {
		return err
	}
	return line(struct {
		Answer admin.ExplainAnswer `json:"answer"`
	}{answer})
}

// progress is one line on a terminal that shows the step that is told, over and over, until the tree is drawn.
type progress struct {
	w     io.Writer // nil: nobody looks on
	width int
}

// newProgress writes to standard error, if both it and the output are seen.
func newProgress(p *process) *progress {
	screen := terminal.Of(p.stderr, p.env)
	if !screen.Terminal || !terminal.Of(p.stdout, p.env).Terminal {
		return &progress{}
	}
	return &progress{w: p.stderr, width: screen.Width}
}

// eraseLine goes back to the first column and erases the line (ECMA-48: CR, EL).
const eraseLine = "\r\x1b[K"

func (p *progress) show(e admin.Event) {
	if p.w != nil {
		at := (time.Duration(e.AtUS) * time.Microsecond).Round(time.Millisecond)
		io.WriteString(p.w, eraseLine+terminal.Cut(fmt.Sprintf("%v  %s", at, story.Line(e)), p.width-1))
	}
}

func (p *progress) clear() {
	if p.w != nil {
		io.WriteString(p.w, eraseLine)
	}
}
