package story

import (
	"fmt"
	"io"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

const (
	timeWidth = 8 // "123456.7": a resolution ends within a minute
	kindWidth = 7 // most kinds; "delegation" sticks out, which is less odd than a gap in all other lines
	// leastText is the room that text gets however deep it lies; such lines are longer than the screen is wide.
	leastText = 20
	// maxDepth is how many levels are drawn at most, as many as a node tells: the lines of a tree grow with the square of its depth.
	maxDepth = admin.MaxExplainDepth
)

// Options say how a story is drawn.
type Options struct {
	Screen terminal.Screen
	Depth  int // levels that are drawn; what lies below is folded. 0: as many as a node tells
}

// Write draws the story. answer is nil if it broke off.
func (s *Story) Write(w io.Writer, o Options, answer *admin.ExplainAnswer) error {
	if o.Depth <= 0 || o.Depth > maxDepth {
		o.Depth = maxDepth
	}
	d := &drawing{Options: o, answer: answer}
	d.verdict()
	if len(s.roots) > 0 {
		d.line("")
		d.line(d.Screen.Paint(terminal.Dim, fmt.Sprintf("%*s", timeWidth, "ms")))
	}
	for _, root := range s.roots {
		d.step(root, place{depth: 1})
	}
	if s.left > 0 {
		d.line(d.Screen.Paint(terminal.Dim, fmt.Sprintf("%*s  and %d steps more", timeWidth, "", s.left)))
	}
	if answer != nil {
		d.line("")
		d.conclusion()
	}
	_, err := io.WriteString(w, d.b.String())
	return err
}

// drawing is a story on its way to the screen.
type drawing struct {
	Options
	answer *admin.ExplainAnswer
	b      strings.Builder
}

func (d *drawing) line(text string) { d.b.WriteString(strings.TrimRight(text, " ") + "\n") }

// place is where in the tree a step is drawn.
type place struct {
	depth  int
	above  string // the tree left of it
	branch string // leads to its first line
	stem   string // passes its other lines, as wide as branch
}

// step draws one step and what lies below it.
func (d *drawing) step(st *step, at place) {
	children, folded := st.children, ""
	if at.depth >= d.Depth && len(children) > 0 {
		children, folded = nil, fold(st.count())
	}
	text := st.text()
	if st.event.Kind == "answer" && at.depth == 2 && d.answer != nil {
		// Its records stand below the tree, and why there are none above it.
		text, _, _ = strings.Cut(text, "\n")
		text = strings.TrimSuffix(text, ": "+terminal.Clean(reason(d.answer)))
	}
	kind := fmt.Sprintf("%-*s", kindWidth, terminal.Clean(st.event.Kind))
	branch, sign := at.branch, ""
	if st.trouble() { // the sign takes the place of the branch's dash
		branch, sign = strings.TrimSuffix(branch, "─ "), "✗ "
	}

	indent := terminal.Columns(at.above + branch + sign + kind + " ")
	room := 0
	if d.Screen.Width > 0 {
		room = max(d.Screen.Width-timeWidth-2-indent, leastText)
	}
	lines := terminal.Wrap(text, room)
	if last := len(lines) - 1; folded != "" && room > 0 && terminal.Columns(lines[last]+" "+folded) > room {
		lines = append(lines, "")
	}

	left := d.Screen.Paint(terminal.Dim, fmt.Sprintf("%*.1f  %s", timeWidth, float64(st.event.AtUS)/1000, at.above+branch)) +
		d.Screen.Paint(terminal.Red, sign) + d.Screen.Paint(st.style(), kind) + " "
	hang := at.above + at.stem
	if len(children) > 0 {
		hang += "│"
	}
	rest := strings.Repeat(" ", timeWidth+2) + d.Screen.Paint(terminal.Dim, hang) + strings.Repeat(" ", indent-terminal.Columns(hang))
	for i, l := range lines {
		if folded != "" && i == len(lines)-1 {
			l = strings.TrimLeft(l+" ", " ") + d.Screen.Paint(terminal.Dim, folded)
		}
		d.line(left + l)
		left = rest
	}

	below := place{depth: at.depth + 1, above: at.above + at.stem, branch: "├─ ", stem: "│  "}
	for i, c := range children {
		if i == len(children)-1 {
			below.branch, below.stem = "└─ ", "   "
		}
		d.step(c, below)
	}
}

// fold says how many lines a folded branch hides.
func fold(hidden int) string {
	if hidden == 1 {
		return "[+1 line]"
	}
	return fmt.Sprintf("[+%d lines]", hidden)
}
