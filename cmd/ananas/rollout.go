package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

type rolloutCommands struct {
	Ls      rolloutLsCommand      `cmd:"" help:"List changes that are on their way, and the last that ended."`
	Show    rolloutShowCommand    `cmd:"" help:"All that is known of one: waves, nodes, why, evidence."`
	Pause   rolloutPauseCommand   `cmd:"" help:"Let it go no further."`
	Resume  rolloutResumeCommand  `cmd:"" help:"Let it go on."`
	Abort   rolloutAbortCommand   `cmd:"" help:"Take it back on all nodes."`
	Promote rolloutPromoteCommand `cmd:"" help:"Make it live at once, past all gates."`
}

// Help is printed below the usage.
func (rolloutCommands) Help() string {
	return `Example:

  ananas rollout ls
  ananas rollout show 42 --watch
  ananas rollout abort 42 --reason "wrong zone"`
}

type rolloutLsCommand struct {
	JSON bool `help:"Print the rollouts as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rolloutLsCommand) Help() string {
	return `STATE is queued (it waits for another that changes a key of it), baking (its wave is watched), paused, live, withdrawn (its gate failed) or aborted.

Example:

  ananas rollout ls`
}

// Run prints the table.
func (c *rolloutLsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	list, err := node.Rollouts(p.ctx, "")
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(list)
	}
	return p.print(func(w io.Writer) error {
		if len(list.Rollouts) == 0 {
			_, err := io.WriteString(w, "nothing is on its way\n")
			return err
		}
		return rolloutTable(list).Write(w)
	})
}

func rolloutTable(list admin.RolloutList) *terminal.Table {
	t := &terminal.Table{Head: []string{"ROLLOUT", "STATE", "WAVE", " KEYS", "OPENED", "WHO", "WHY"}, Notes: map[int][]string{}}
	for i := range list.Rollouts {
		r := &list.Rollouts[i]
		wave := "-"
		if r.Wave >= 0 && r.Wave < len(r.Waves) && r.State != "queued" {
			wave = fmt.Sprintf("%s (%d of %d)", r.Waves[r.Wave].Name, r.Wave+1, len(r.Waves))
		}
		t.Rows = append(t.Rows, []string{r.ID, r.State, wave, thousands(uint64(len(r.Keys))), ago(list.Now.Sub(r.Opened)) + " ago", dash(r.Author), dash(r.Reason)})
		if r.Waits != "" {
			t.Notes[i] = append(t.Notes[i], "waits for rollout "+r.Waits)
		}
		if r.Why != "" && r.State != "live" {
			t.Notes[i] = append(t.Notes[i], r.Why)
		}
	}
	return t
}

type rolloutShowCommand struct {
	ID    string `arg:"" optional:"" help:"The rollout; ananas rollout ls has them. Without it: the newest."`
	Watch bool   `short:"w" help:"Go on showing its waves until it ends; the exit code is then that of an apply."`
	JSON  bool   `help:"Print the rollout as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (rolloutShowCommand) Help() string {
	return `The bar of a wave is how much of its time is over. The evidence says on what figures the last verdict rests: of which node, with the change and without.

Example:

  ananas rollout show
  ananas rollout show 42 --watch`
}

// Run prints the rollout.
func (c *rolloutShowCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	list, err := node.Rollouts(p.ctx, c.ID)
	switch {
	case err != nil:
		return err
	case len(list.Rollouts) == 0 && c.JSON:
		return hinted{errors.New("there is no rollout"), "ananas apply makes one"}
	case len(list.Rollouts) == 0:
		return p.say("nothing is on its way")
	case c.Watch && !c.JSON:
		return watchRollout(p.ctx, p, node, list.Rollouts[0].ID)
	}
	return printRollout(p, list.Now, &list.Rollouts[0], c.JSON)
}

func printRollout(p *process, now time.Time, r *admin.Rollout, json bool) error {
	if json {
		return p.printJSON(r)
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error { return writeRollout(w, screen, now, r) })
}

// steerFlags are the flags of the commands that do something to a rollout.
type steerFlags struct {
	ID     string `arg:"" help:"The rollout; ananas rollout ls has them."`
	Reason string `placeholder:"TEXT" help:"Why, for the history."`
	JSON   bool   `help:"Print the rollout as it is then, as JSON."`
	nodeFlags
}

func (c *steerFlags) steer(p *process, action string) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	r, err := node.Steer(p.ctx, admin.Steer{ID: c.ID, Action: action, Reason: c.Reason, Author: author(p)})
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(r)
	}
	text := fmt.Sprintf("rollout %s is %s", r.ID, r.State)
	if r.Wave >= 0 && r.Wave < len(r.Waves) && (r.State == "baking" || r.State == "paused") {
		text += " in wave " + r.Waves[r.Wave].Name
	}
	return p.say("%s", strings.ReplaceAll(terminal.Clean(text), "\n", " "))
}

type rolloutPauseCommand struct{ steerFlags }

// Help is printed below the usage.
func (rolloutPauseCommand) Help() string {
	return `The nodes that hold the change go on holding it, and no others come to it.

Example:

  ananas rollout pause 42`
}

// Run pauses it.
func (c *rolloutPauseCommand) Run(p *process) error { return c.steer(p, "pause") }

type rolloutResumeCommand struct{ steerFlags }

// Help is printed below the usage.
func (rolloutResumeCommand) Help() string {
	return `The time of its wave begins again.

Example:

  ananas rollout resume 42`
}

// Run resumes it.
func (c *rolloutResumeCommand) Run(p *process) error { return c.steer(p, "resume") }

type rolloutAbortCommand struct{ steerFlags }

// Help is printed below the usage.
func (rolloutAbortCommand) Help() string {
	return `All nodes have the settings from before again, and those who wait for it go on.

Example:

  ananas rollout abort 42 --reason "wrong zone"`
}

// Run aborts it.
func (c *rolloutAbortCommand) Run(p *process) error { return c.steer(p, "abort") }

type rolloutPromoteCommand struct{ steerFlags }

// Help is printed below the usage.
func (rolloutPromoteCommand) Help() string {
	return `The change is live on all nodes at once, past all gates: where there is too little traffic to judge by, or somebody knows better. The history has who did that, and why.

Example:

  ananas rollout promote 42 --reason "checked by hand"`
}

// Validate is called when all flags are read.
func (c *rolloutPromoteCommand) Validate() error {
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("to promote needs --reason TEXT: what goes past the gates says why")
	}
	return nil
}

// Run promotes it.
func (c *rolloutPromoteCommand) Run(p *process) error { return c.steer(p, "promote") }
