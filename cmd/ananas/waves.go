package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// waveColumns is how wide the bar of a wave is.
const waveColumns = 20

// stateStyles are the colours of states of rollouts and of their waves.
var stateStyles = map[string]terminal.Style{
	"live": terminal.Green, "passed": terminal.Green, "baking": terminal.Cyan, "paused": terminal.Yellow,
	"withdrawn": terminal.Red, "aborted": terminal.Red, "failed": terminal.Red,
}

// waveLines draws a rollout, a line for each wave: name, how much of its time is over, state, nodes.
func waveLines(screen terminal.Screen, r *admin.Rollout) []string {
	wide := 0
	for _, w := range r.Waves {
		wide = max(wide, terminal.Columns(terminal.Clean(w.Name)))
	}
	lines := make([]string, len(r.Waves))
	for i := range r.Waves {
		w := &r.Waves[i]
		name, style := terminal.Clean(w.Name), stateStyles[w.State]
		bar := terminal.Bar(w.Done()/100, waveColumns)
		empty := strings.Repeat("·", waveColumns-terminal.Columns(bar))
		state := waveState(w)
		if room := screen.Width - wide - waveColumns - 5; screen.Width > 0 { // 5: two gaps of two, and the last column, so that no terminal wraps
			state = terminal.Cut(state, max(room, 10))
		}
		lines[i] = name + strings.Repeat(" ", wide-terminal.Columns(name)) + "  " + screen.Paint(style, bar) + screen.Paint(terminal.Dim, empty) + "  " + screen.Paint(style, state)
	}
	return lines
}

// waveState says how a wave is.
func waveState(w *admin.RolloutWave) string {
	text := w.State
	if w.State == "baking" {
		text += " " + milliseconds(w.Elapsed) + " of " + milliseconds(w.Bake)
	}
	switch {
	case w.State == "baking" && w.Holding != nil && *w.Holding < w.Nodes:
		text += fmt.Sprintf(", %s of %s", thousands(uint64(max(*w.Holding, 0))), count(w.Nodes, "node", "nodes"))
	case w.Nodes > 0:
		text += ", " + count(w.Nodes, "node", "nodes")
	}
	if len(w.Named) > 0 {
		text += ": " + strings.Join(w.Named, ", ")
	}
	return strings.ReplaceAll(terminal.Clean(text), "\n", " ")
}

func milliseconds(ms int64) string { return ago(time.Duration(ms) * time.Millisecond) }

// writeRollout writes all that is known of a rollout.
func writeRollout(w io.Writer, screen terminal.Screen, now time.Time, r *admin.Rollout) error {
	var b strings.Builder
	row := rows(&b, screen, len("evidence"))
	row("rollout", r.ID+", "+r.Subject, terminal.Bold)
	state := r.State
	if r.Waits != "" {
		state += ", waits for rollout " + r.Waits
	}
	row("state", state, stateStyles[r.State])
	if r.Why != "" {
		row("why", r.Why, terminal.Plain)
	}
	row("opened", opened(now, r), terminal.Plain)
	if r.Reason != "" {
		row("reason", r.Reason, terminal.Plain)
	}
	word := "evidence"
	for _, e := range r.Evidence {
		row(word, e, terminal.Plain)
		word = ""
	}
	word = "keys"
	for i, key := range r.Keys {
		if i == maxKeys {
			row("", fmt.Sprintf("and %s more; --json has them all", thousands(uint64(len(r.Keys)-maxKeys))), terminal.Plain)
			break
		}
		row(word, key, terminal.Plain)
		word = ""
	}
	b.WriteString("\n")
	for _, l := range waveLines(screen, r) {
		b.WriteString(l + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// maxKeys is how many keys of a rollout are shown.
const maxKeys = 20

// opened says when a rollout began and ended, and who began it.
func opened(now time.Time, r *admin.Rollout) string {
	text := ago(now.Sub(r.Opened)) + " ago"
	if r.Author != "" {
		text += " by " + r.Author
	}
	if !r.Ended.IsZero() {
		text += "; ended " + ago(now.Sub(r.Ended)) + " ago"
	}
	return text
}

// rows returns a function that writes a word on the left and what there is to say of it on the right.
func rows(b *strings.Builder, screen terminal.Screen, longest int) rowFunc {
	wide := longest + 2
	return func(word, text string, style terminal.Style) {
		room := 0
		if screen.Width > 0 {
			room = max(screen.Width-wide, 20)
		}
		for _, l := range terminal.Wrap(terminal.Clean(text), room) {
			b.WriteString(screen.Paint(terminal.Dim, word) + strings.Repeat(" ", wide-len(word)) + screen.Paint(style, l) + "\n")
			word = ""
		}
	}
}
