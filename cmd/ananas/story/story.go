// Package story draws one resolution as a tree: the events of an explain, a verdict above them and the answer below. It is what
// an operator shows a colleague when a name does not resolve.
//
// Start with [Story.Add], once for each event, then [Story.Write]. The tree is drawn when the story is over: branches of several
// servers that are asked at one time come interleaved, and the verdict, which is known last, is read first.
//
// A line is the time in milliseconds since the start, the branch, the kind of event in the word of the API, and its text. What
// went wrong carries a ✗, so that it is found without colours.
package story

import (
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// maxEvents is how many events are kept, the most that a node tells of one resolution; a node that tells more is none of ours.
const maxEvents = admin.MaxExplainEvents

// Story is the events of one resolution, as a tree. The zero value is an empty one.
type Story struct {
	roots []*step
	steps map[int]*step
	left  int // events beyond maxEvents
}

// step is an event and what belongs under it, in the order in which it was told.
type step struct {
	event    admin.Event
	children []*step
}

// Add takes the next event. One whose parent is unknown is drawn at the root: nothing that was told is lost.
func (s *Story) Add(e admin.Event) {
	if len(s.steps) >= maxEvents {
		s.left++
		return
	}
	if s.steps == nil {
		s.steps = map[int]*step{}
	}
	// A parent comes before its children, so that no circle can be told.
	parent, child := s.steps[e.Parent], &step{event: e}
	if parent == nil {
		s.roots = append(s.roots, child)
	} else {
		parent.children = append(parent.children, child)
	}
	if s.steps[e.Seq] == nil {
		s.steps[e.Seq] = child
	}
}

// Empty tells whether nothing was told yet.
func (s *Story) Empty() bool { return len(s.steps) == 0 }

// Line is an event on one line, without the tree around it.
func Line(e admin.Event) string {
	st := step{event: e}
	text, _, _ := strings.Cut(st.text(), "\n")
	return e.Kind + " " + text
}

// count returns how many lines of the story lie below.
func (st *step) count() int {
	n := 0
	for _, c := range st.children {
		n += 1 + c.count()
	}
	return n
}

// verbs begin texts whose kind says the same; the tree shows the kind.
var verbs = map[string]string{"resolve": "resolve ", "ask": "ask ", "kept": "keep ", "refused": "refuse "}

// text is what the event tells, fit for a terminal, with the reason that some carry beside.
func (st *step) text() string {
	text := st.event.Text
	if verb := verbs[st.event.Kind]; verb != "" {
		text = strings.TrimPrefix(text, verb)
	}
	if why, _ := st.event.Fields["why"].(string); why != "" && !strings.Contains(text, why) {
		text += " (" + why + ")"
	}
	return terminal.Clean(text)
}

// trouble tells whether the event is one that a reader looks for when a name does not resolve.
func (st *step) trouble() bool {
	field := func(name string) string { s, _ := st.event.Fields[name].(string); return s }
	switch st.event.Kind {
	case "timeout", "limit":
		return true
	case "reply":
		is := field("is") // what comes without it is no reply at all, or a forged one
		return is == "" || is == "lame" || is == "broken"
	case "validate":
		return field("security") == "bogus"
	case "answer":
		rcode := field("rcode")
		return rcode != "" && failed(rcode)
	}
	return false
}

// styles of the kinds; those that are not listed are plain.
var styles = map[string]terminal.Style{
	"resolve":    terminal.Bold,
	"local":      terminal.Blue,
	"cache":      terminal.Blue,
	"join":       terminal.Blue,
	"delegation": terminal.Magenta,
	"ask":        terminal.Cyan,
	"reply":      terminal.Green,
	"refused":    terminal.Yellow,
	"validate":   terminal.Magenta,
	"kept":       terminal.Dim,
	"answer":     terminal.Bold,
	"module":     terminal.Yellow,
}

func (st *step) style() terminal.Style {
	if st.trouble() {
		return terminal.Red
	}
	return styles[st.event.Kind]
}
