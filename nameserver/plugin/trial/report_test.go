package trial

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is kept of a verdict is short, and no letter of it is cut in two.
func TestCut(t *testing.T) {
	for _, s := range []string{"", "go on", strings.Repeat("x", maxText), strings.Repeat("x", maxText+1), strings.Repeat("x", maxText-1) + "ä", strings.Repeat("ä", maxText)} {
		got := cut(s)
		if len(s) <= maxText && got != s || len(got) > maxText+len(" ...") || !utf8.ValidString(got) || !strings.HasPrefix(s, strings.TrimSuffix(got, " ...")) {
			t.Errorf("%d octets become %d: %q", len(s), len(got), got)
		}
	}
}

// When there is no room for more texts, what comes is counted all the same.
func TestRoomForTexts(t *testing.T) {
	room := 3*len("go on"+"drop") + 4*len("n0.") // a group with two examples
	a, b := compared{room: &room}, compared{room: &room}
	for n := range 10 {
		a.group(&Difference{Name: fmt.Sprintf("n%d.", n), Old: "go on", New: "drop"}, new(said), new(said))
	}
	b.group(&Difference{Name: "n0.", Old: "go on", New: "drop"}, new(said), new(said))
	g := a.groups[[2]string{"go on", "drop"}]
	if g == nil || g.Count != 10 || len(g.Examples) != 2 || a.others != 0 || len(b.groups) != 0 || b.others != 1 {
		t.Errorf("%+v, %d others; %+v, %d others", g, a.others, b.groups, b.others)
	}
}

// A group without examples has a list of none, as the interface says.
func TestNoRoomForExamples(t *testing.T) {
	room := len("go on" + "drop")
	c := compared{room: &room}
	c.group(&Difference{Name: "a.", Old: "go on", New: "drop"}, new(said), new(said))
	b, err := json.Marshal(c.groups[[2]string{"go on", "drop"}].shown())
	if want := `{"old":"go on","new":"drop","count":1,"examples":[]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}
