package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

const (
	// followEvery is how often a rollout is looked at: health comes once a second, so that half of that shows each step.
	followEvery = 500 * time.Millisecond
	// followMisses is how often in a row the node may not answer until that is an error: 15 s, in which a root that restarts is back.
	followMisses = 30
	// followFresh is how often a rollout that was just opened may not be known yet: the copy that is asked may be that of a node that follows.
	followFresh = 10
	// followBlind is after how many looks at a wave of which nothing more is known that is said: 5 s, in which the member that drives has looked at it several times.
	followBlind = 10
)

// elsewhere is what a gate waits for, as far as a member knows that does not drive.
const elsewhere = "what for is known to the member that leads; ananas root ls shows it"

// following shows a rollout until it ends. On a terminal its waves are lines that are drawn again and again; elsewhere each step is a line.
type following struct {
	p      *process
	node   *client.Client
	id     string
	screen terminal.Screen
	quiet  bool // nothing is shown
	fresh  bool // it was just opened

	drawn   int             // lines of the waves on the terminal, which the next ones are drawn over
	told    map[string]bool // lines that were written where nothing can be drawn over
	waiting string          // what was last written of why a gate waits, without its numbers

	blind   int    // looks in a row at a wave of which the node knows nothing
	version uint64 // that is live in the end; 0: not known
}

// toTheEnd returns the rollout as it was when it ended or paused, and an error if it did not become live.
func (f *following) toTheEnd() (*admin.Rollout, error) {
	misses := 0
	for {
		r, err := f.look()
		switch {
		case f.p.ctx.Err() != nil:
			return r, hinted{fmt.Errorf("interrupted; rollout %s goes on", f.id), "ananas rollout show " + f.id + " --watch looks at it, ananas rollout abort " + f.id + " takes it back"}
		case err != nil:
			if misses++; misses >= f.patience(err) {
				return nil, errors.Join(err, fmt.Errorf("what becomes of rollout %s is not known here; it goes on", f.id))
			}
		default:
			misses, f.fresh = 0, false
			f.notice(r)
			if r.State == "live" || r.State == "withdrawn" || r.State == "aborted" {
				f.version = f.lastChange()
			}
			if err := f.show(r); err != nil {
				return r, err
			}
			if outcome, ended := outcome(r); ended {
				return r, outcome
			}
			if err := f.blocked(r); err != nil {
				return r, err
			}
		}
		f.p.wait(f.p.ctx, followEvery)
	}
}

// patience is how often in a row such an error may come until it is told.
func (f *following) patience(err error) int {
	var p *admin.Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusNotFound && f.fresh:
		return followFresh
	case errors.As(err, &p) && p.Status < 500:
		return 1
	}
	return followMisses
}

func (f *following) look() (*admin.Rollout, error) {
	l, err := f.node.Rollouts(f.p.ctx, f.id)
	switch {
	case err != nil:
		return nil, err
	case len(l.Rollouts) == 0:
		return nil, fmt.Errorf("the node does not know rollout %s", f.id)
	}
	return &l.Rollouts[0], nil
}

// notice puts elsewhere where the node that is asked goes on knowing nothing of the wave that is watched: it is a member of the root that does not drive. What it has is from the store, and says how the
// rollout came into the wave: that the gate before was passed, or that somebody had it go on.
func (f *following) notice(r *admin.Rollout) {
	if r.State != "baking" || r.Wave < 0 || r.Wave >= len(r.Waves) || r.Waves[r.Wave].Holding != nil {
		f.blind = 0
		return
	}
	r.Why = ""
	if f.blind++; f.blind >= followBlind {
		r.Why = elsewhere
	}
}

// lastChange returns the version that is live: the last at which a setting has changed. Where the node does not say, the outcome is told without it.
func (f *following) lastChange() uint64 {
	h, err := f.node.History(f.p.ctx, admin.HistoryQuery{Limit: 1, Settings: true})
	if err != nil || len(h.Commits) == 0 {
		return 0
	}
	return h.Commits[0].Version
}

// ending says what is live when a rollout has ended; "" while it has not, or where that is not known of one that was taken back.
func (f *following) ending(r *admin.Rollout) string {
	switch {
	case r.State == "live" && f.version > 0:
		return fmt.Sprintf("live: version %d", f.version)
	case r.State == "live":
		return "live"
	case f.version > 0:
		return fmt.Sprintf("version %d is live still", f.version)
	}
	return ""
}

// outcome tells whether a rollout goes no further by itself, and what that means.
func outcome(r *admin.Rollout) (error, bool) {
	why := ""
	if r.Why != "" {
		why = ": " + r.Why
	}
	switch r.State {
	case "live":
		return nil, true
	case "withdrawn":
		return hinted{fmt.Errorf("rollout %s was withdrawn%s", r.ID, why), "ananas rollout show " + r.ID + " has the evidence; all nodes have the settings from before"}, true
	case "aborted":
		return hinted{fmt.Errorf("rollout %s was aborted%s", r.ID, why), "all nodes have the settings from before"}, true
	case "paused":
		return hinted{fmt.Errorf("rollout %s is paused%s", r.ID, why), "ananas rollout show " + r.ID + " tells more; resume, promote or abort it"}, true
	}
	return nil, false
}

// blocked is the error of a rollout that waits for one that goes no further by itself: nobody is to wait for that without end.
func (f *following) blocked(r *admin.Rollout) error {
	if r.State != "queued" || r.Waits == "" {
		return nil
	}
	l, err := f.node.Rollouts(f.p.ctx, r.Waits)
	if err != nil || len(l.Rollouts) == 0 || l.Rollouts[0].State != "paused" {
		return nil // it is looked at again
	}
	return hinted{fmt.Errorf("rollout %s waits for rollout %s, which is paused: %s", r.ID, r.Waits, l.Rollouts[0].Why),
		fmt.Sprintf("resume, promote or abort %s; then ananas rollout show %s --watch", r.Waits, r.ID)}
}

// show draws the rollout, or writes what is new of it.
func (f *following) show(r *admin.Rollout) error {
	if f.quiet {
		return nil
	}
	return f.p.print(func(w io.Writer) error {
		if f.screen.Terminal {
			return f.draw(w, r)
		}
		return f.tell(w, r)
	})
}

func (f *following) draw(w io.Writer, r *admin.Rollout) error {
	lines := waveLines(f.screen, r)
	why := ""
	switch r.State {
	case "queued":
		why = waits(r)
	case "baking":
		if r.Why != "" && !strings.HasPrefix(r.Why, watched) {
			why = "the gate waits: " + r.Why
		}
	}
	if why != "" {
		why = strings.ReplaceAll(terminal.Clean(why), "\n", " ")
		lines = append(lines, f.screen.Paint(terminal.Dim, terminal.Cut(why, f.screen.Width-1)))
	}
	if end := f.ending(r); end != "" {
		lines = append(lines, f.screen.Paint(stateStyles[r.State], end))
	}
	var b strings.Builder
	if f.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", f.drawn) // ECMA-48: CUU, that many lines up
	}
	for _, l := range lines {
		b.WriteString(eraseLine + l + "\n")
	}
	for range f.drawn - len(lines) {
		b.WriteString(eraseLine + "\n")
	}
	f.drawn = max(f.drawn, len(lines))
	_, err := io.WriteString(w, b.String())
	return err
}

// tell writes a line when a wave begins and when it ends, and in between when its gate waits for something else.
func (f *following) tell(w io.Writer, r *admin.Rollout) error {
	if f.told == nil {
		f.told = map[string]bool{}
	}
	say := func(key, line string) error {
		if f.told[key] {
			return nil
		}
		f.told[key] = true
		_, err := fmt.Fprintln(w, terminal.Clean(line))
		return err
	}
	if r.State == "queued" {
		return say(waits(r), waits(r))
	}
	for i := range r.Waves {
		wave := &r.Waves[i]
		if wave.State == "waiting" || wave.State == "skipped" {
			continue
		}
		shown := *wave
		shown.Elapsed, shown.Holding = 0, nil
		line := waveState(&shown)
		if wave.State == "baking" {
			line = strings.Replace(line, "baking 0 s of", "baking for", 1)
		}
		if err := say(wave.Name+" "+wave.State, wave.Name+": "+line); err != nil {
			return err
		}
	}
	line, substance := gate(r)
	news := line != "" && substance != f.waiting
	if f.waiting = substance; news {
		if _, err := fmt.Fprintln(w, strings.ReplaceAll(terminal.Clean(line), "\n", " ")); err != nil {
			return err
		}
	}
	if end := f.ending(r); end != "" {
		return say("end", end)
	}
	return nil
}

// watched is how the gate of a wave begins to say that only the wave's time is not over yet, which the line of the wave says already.
const watched = "it is watched for "

// numbers are numbers, sizes and times that stand for themselves in a text, not those in names.
var numbers = regexp.MustCompile(`\b[0-9][0-9.,]*(ms|s|m|h|[0-9.,])*\b`)

// gate says how many nodes of the wave that is watched have the change in use, and what its gate waits for. substance is the same for what differs only in numbers, which change
// with every look.
func gate(r *admin.Rollout) (line, substance string) {
	if r.State != "baking" || r.Wave < 0 || r.Wave >= len(r.Waves) {
		return "", ""
	}
	wave := &r.Waves[r.Wave]
	why := r.Why
	if strings.HasPrefix(why, watched) {
		why = ""
	}
	var parts []string
	if n := wave.Holding; n != nil {
		parts = append(parts, fmt.Sprintf("in use at %s of %s", thousands(uint64(max(*n, 0))), count(wave.Nodes, "node", "nodes")))
		substance = fmt.Sprint(*n >= wave.Nodes)
	}
	if why != "" {
		parts = append(parts, "the gate waits: "+why)
	}
	if len(parts) == 0 {
		return "", ""
	}
	return wave.Name + ": " + strings.Join(parts, "; "), wave.Name + " " + substance + " " + numbers.ReplaceAllString(why, "#")
}

func waits(r *admin.Rollout) string {
	switch {
	case r.Waits != "":
		return "queued, waits for rollout " + r.Waits
	case r.Why != "":
		return "queued: " + r.Why
	}
	return "queued"
}

// watchRollout shows a rollout as it is, over and over, until it ends or who looks on interrupts.
func watchRollout(ctx context.Context, p *process, node *client.Client, id string) error {
	f := &following{p: p, node: node, id: id, screen: terminal.Of(p.stdout, p.env)}
	_, err := f.toTheEnd()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
