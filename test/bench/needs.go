//go:build linux

package bench

import (
	"fmt"
	"strings"
)

// Needs is what is needed of a benchmark, and what it has measured.
type Needs struct{ lines []needed }

type needed struct {
	what, needed, measured string
	judged, met            bool
}

// Need notes what was measured beside what is needed.
func (n *Needs) Need(what, least, measured string, met bool) {
	n.lines = append(n.lines, needed{what, least, measured, true, met})
}

// Note notes what was measured and belongs beside.
func (n *Needs) Note(what, measured string) {
	n.lines = append(n.lines, needed{what: what, measured: measured})
}

// Table is all of it, in Markdown.
func (n *Needs) Table() string {
	var t strings.Builder
	t.WriteString("| | needed | measured | |\n|---|---:|---:|---|\n")
	for _, l := range n.lines {
		verdict := ""
		switch {
		case l.judged && l.met:
			verdict = "met"
		case l.judged:
			verdict = "missed"
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s |\n", l.what, l.needed, l.measured, verdict)
	}
	return t.String()
}

// Missed is an error that names what was needed and not met; nil if all was.
func (n *Needs) Missed() error {
	var out []string
	for _, l := range n.lines {
		if l.judged && !l.met {
			out = append(out, l.what+": "+l.measured)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return fmt.Errorf("not met: %s", strings.Join(out, "; "))
}
