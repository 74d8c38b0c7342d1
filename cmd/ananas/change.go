package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// changeFlags are the flags of the commands that change settings.
type changeFlags struct {
	DryRun bool     `help:"Show what would change, and change nothing."`
	Yes    bool     `short:"y" help:"Do not ask."`
	Reason string   `placeholder:"TEXT" help:"Why, for the history."`
	Now    bool     `help:"To all nodes at once, past the waves. Needs a reason, and is marked in the history. Ends rollouts of the same keys."`
	Shrink []string `placeholder:"LIST" help:"This data set may lose more than half of its entries. Without it nothing is changed then, with --yes or without: a publisher's outage looks like that. May be repeated."`
	Wait   bool     `negatable:"" default:"true" help:"Follow the rollout to its end, and what goes to all nodes at once until they have it in use (the default), or with --no-wait return at once."`
	JSON   bool     `help:"Print what was changed as JSON, and the rollout as it ended."`
}

// check is called when all flags are read.
func (c *changeFlags) check() error {
	if c.Now && strings.TrimSpace(c.Reason) == "" && !c.DryRun {
		return errors.New("--now needs --reason TEXT: what goes past the waves says why")
	}
	if len(c.Reason) > admin.MaxReason {
		return fmt.Errorf("--reason has %d octets, more than %d", len(c.Reason), admin.MaxReason)
	}
	return nil
}

// author is who changes something, as the history shows it: what the shell says, else the name that the system has for this user.
func author(p *process) string {
	return cmp.Or(p.env("USER"), p.env("LOGNAME"), userName(strconv.Itoa(os.Getuid()), user.LookupId))
}

// userName returns the name of a user; of one without a name the number.
func userName(uid string, lookup func(uid string) (*user.User, error)) string {
	if u, err := lookup(uid); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + uid
}

// changed is what --json prints.
type changed struct {
	admin.Applied
	Outcome *admin.Rollout `json:"outcome,omitempty"` // the rollout, as it was when it was not followed any further
	Uptake  *uptake        `json:"uptake,omitempty"`  // of what went past the waves: the nodes that have it in use
}

// change shows what a change would do, asks, does it, and follows the rollout that carries it. do is called twice: dry, and with the text that names what was shown.
func (c *changeFlags) change(p *process, node *client.Client, question string, do func(ctx context.Context, dry bool, confirm string) (admin.Applied, error)) error {
	if !c.DryRun && !c.Yes && (c.JSON || !terminal.Asks(p.stdin, p.stdout)) {
		return usageError{errors.New("there is nobody to ask whether that is meant"), "look at it with --dry-run, then add --yes"}
	}
	plan, err := do(p.ctx, true, "")
	if err != nil {
		return err
	}
	if !c.JSON {
		if err := showPlan(p, plan, c.Now); err != nil {
			return err
		}
	}
	if len(plan.Changes) == 0 || c.DryRun {
		if c.JSON {
			return p.printJSON(plan)
		}
		return nil
	}
	if some := admin.Shrinking(plan.Lists, c.Shrink); len(some) > 0 {
		return &admin.ShrinkError{Lists: some}
	}
	if !c.Yes {
		yes, err := ask(p, question)
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("nothing was changed")
		}
	}
	done, err := do(p.ctx, false, plan.Confirm)
	if err != nil {
		return err
	}
	return c.follow(p, node, done)
}

// follow tells what was done, and what becomes of it.
func (c *changeFlags) follow(p *process, node *client.Client, done admin.Applied) error {
	out := changed{Applied: done}
	if !c.JSON {
		if err := p.print(func(w io.Writer) error { return writeApplied(w, done) }); err != nil {
			return err
		}
	}
	var err error
	if done.Rollout != "" && c.Wait {
		screen := terminal.Of(p.stdout, p.env)
		if c.JSON {
			screen = terminal.Screen{}
		}
		f := &following{p: p, node: node, id: done.Rollout, screen: screen, quiet: c.JSON, fresh: true}
		out.Outcome, err = f.toTheEnd()
	}
	if c.Now && c.Wait && done.Rollout == "" && done.Version > 0 {
		out.Uptake, err = awaitUptake(p, node, done.Version, c.JSON, uptakeTime)
	}
	if c.JSON {
		err = errors.Join(p.printJSON(out), err)
	}
	return err
}

// showPlan prints the result of a dry run.
func showPlan(p *process, plan admin.Applied, now bool) error {
	screen := terminal.Of(p.stdout, p.env)
	err := p.print(func(w io.Writer) error {
		if len(plan.Changes) == 0 {
			_, err := fmt.Fprintf(w, "nothing is different from version %d\n", plan.Base)
			return err
		}
		if err := writeDifferences(w, screen, plan.Changes); err != nil {
			return err
		}
		if err := writeLists(w, plan.Lists); err != nil {
			return err
		}
		to := ""
		if now {
			to = ", to all nodes at once"
		}
		_, err := fmt.Fprintf(w, "\n%s%s\n", changes(plan.Changes), to)
		return err
	})
	if err != nil {
		return err
	}
	return warn(p, plan.Warnings)
}

// writeLists says how many entries data sets have, and would have.
func writeLists(w io.Writer, lists []admin.ListChange) error {
	for i, l := range lists {
		text := ""
		if i == 0 {
			text = "\n"
		}
		text += "data set " + terminal.Clean(l.Name) + ": "
		if l.Old != nil {
			text += thousands(uint64(max(*l.Old, 0))) + " -> "
		}
		if _, err := fmt.Fprintf(w, "%s%s\n", text, count(l.New, "entry", "entries")); err != nil {
			return err
		}
	}
	return nil
}

// warn prints warnings, where they are seen beside what is printed for programs.
func warn(p *process, warnings []string) error {
	screen := terminal.Of(p.stderr, p.env)
	for _, text := range warnings {
		if _, err := fmt.Fprintf(p.stderr, "%s %s\n", screen.Paint(terminal.Yellow, "warning:"), indent(text)); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	return nil
}

// maxAnswer is how much is read of what somebody types.
const maxAnswer = 1024

// ask prints a question and waits for the answer. Whatever does not begin with y is no.
func ask(p *process, question string) (bool, error) {
	if _, err := fmt.Fprintf(p.stdout, "%s [y/N] ", question); err != nil {
		return false, fmt.Errorf("writing the output: %w", err)
	}
	answers := make(chan string, 1)
	go func() { // it stays where the answer does not come; the process ends then
		line, _ := bufio.NewReaderSize(io.LimitReader(p.stdin, maxAnswer), maxAnswer).ReadString('\n') // what was typed until an end is no
		answers <- line
	}()
	select {
	case <-p.ctx.Done():
		return false, p.ctx.Err()
	case line := <-answers:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	}
}

// writeApplied says what was committed.
func writeApplied(w io.Writer, done admin.Applied) error {
	if len(done.Changes) == 0 && done.Version == 0 {
		_, err := fmt.Fprintf(w, "nothing is different from version %d any more\n", done.Base)
		return err
	}
	text := fmt.Sprintf("version %d", done.Version)
	if done.Back > 0 {
		text += fmt.Sprintf(", back to version %d", done.Back)
	}
	switch {
	case done.Waits != "":
		text += fmt.Sprintf(": rollout %s, which waits for rollout %s since that changes a key of it", done.Rollout, done.Waits)
	case done.Rollout != "":
		text += ": rollout " + done.Rollout
	default:
		text += ": live"
	}
	if len(done.Aborted) > 0 {
		text += "; ended " + strings.Join(done.Aborted, ", ")
	}
	_, err := fmt.Fprintln(w, terminal.Clean(text))
	return err
}
