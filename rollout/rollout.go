package rollout

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a rollout's document.
const (
	// MaxID is the length of an id in octets: a version of 20 digits and room for what other stores call theirs.
	MaxID = 32
	// MaxName is the length of a node's name, and of a site's, in octets: a DNS label.
	MaxName = 63
	// MaxText is the length of a reason, a why or an error in octets: a few lines.
	MaxText = 1024
	// MaxAuthor is the length of the name of a person in octets.
	MaxAuthor = 256
	// MaxCanaries is how many nodes are named in a document. 256 names of 66 octets are 17 KiB. A fleet of more sites has canaries at 256 of them.
	MaxCanaries = 256
	// MaxFigures is how many figures the evidence of a verdict has, each of some 600 octets at most: 5 KiB. Who fixes a change needs the first.
	MaxFigures = 8
	// MaxDocument is the length of an encoded rollout in octets: 17 KiB of names, 3 KiB of texts, 5 KiB of evidence, 1 KiB of a baseline; texts of nothing but quotes are
	// twice as long: 34 KiB. It is less than what a store takes at a key, 64 KiB.
	MaxDocument = 48 << 10
)

// ID names a rollout: the version of the store at which it was opened, as text. It has no slash.
type ID string

// State is where a rollout is.
type State uint8

// The states. The last three are ends.
const (
	Queued  State = iota // it waits for another that shares a key
	Baking               // its wave holds it, and is watched
	Paused               // its wave holds it; it goes no further by itself
	Passed               // it is live
	Failed               // it was withdrawn by its gate
	Aborted              // it was withdrawn by a person, or by a change that took its place
	states               // how many there are
)

var stateNames = [states]string{"queued", "baking", "paused", "passed", "failed", "aborted"}

// String returns the word for it.
func (s State) String() string {
	if s >= states {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return stateNames[s]
}

// Open tells whether the rollout has not ended.
func (s State) Open() bool { return s <= Paused }

// MarshalText returns the word for it.
func (s State) MarshalText() ([]byte, error) {
	if s >= states {
		return nil, fmt.Errorf("there is no state %d", uint8(s))
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads the word.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no state of a rollout that this release knows", b)
}

// Rollout is the document of one change on its way. Everybody reads it; the driver alone writes it, through a [Subject]. It is never changed once it is made: what comes after is
// another one.
type Rollout struct {
	ID      ID
	Subject string    // what is moved: settings
	Author  string    // who opened it
	Reason  string    // and what for
	Opened  time.Time // wall time
	Plan    Plan

	State    State
	Wave     int       // index into Plan.Waves; 0 while it is queued
	Since    time.Time // wall time at which the state or the wave was committed, for people; a bake time is counted from when the driver saw it
	Canaries []string  // nodes that hold it whatever the wave's share, sorted
	Reached  int       // nodes that were alive and in the wave when it was released

	Why      string   // the last verdict or command, in words
	By       string   // who gave the last command; "" where the driver decided
	Evidence Evidence // of the last verdict

	// Baseline has the figures without the change at the last gate that was passed. It is what a driver compares with that was elected after nobody was left without it.
	Baseline *Sum

	rest map[string]json.RawMessage // what a later release has written, kept
}

// Evidence is what a verdict rests on.
type Evidence struct {
	Time    time.Time `json:"time"` // wall time of the verdict
	Wave    int       `json:"wave"`
	Figures []Figure  `json:"figures,omitempty"` // the worst first, at most MaxFigures
}

// Figure is one number that was compared, written for people.
type Figure struct {
	What    string `json:"what"`              // "failed queries", "99th percentile of latency"
	Node    string `json:"node,omitempty"`    // where it is of one node
	Site    string `json:"site,omitempty"`    // where it is of one site
	With    string `json:"with"`              // with the change
	Without string `json:"without,omitempty"` // and without
	Against string `json:"against,omitempty"` // what Without is of: "nodes without it", "the same nodes before"
}

// New returns the document of a rollout that is opened now, by wall time.
func New(id ID, subject, author, reason string, plan Plan, now time.Time) *Rollout {
	return &Rollout{ID: id, Subject: clip(subject, MaxName), Author: clip(author, MaxAuthor), Reason: clip(reason, MaxText), Opened: date(now), Since: date(now), Plan: plan, State: Queued}
}

// Bounds of the texts of a Figure.
const (
	maxWhat   = 64
	maxNumber = 160
)

// clipped returns the figure with its texts as long as they may be.
func (f Figure) clipped() Figure {
	return Figure{clip(f.What, maxWhat), clip(f.Node, MaxName), clip(f.Site, MaxName), clip(f.With, maxNumber), clip(f.Without, maxNumber), clip(f.Against, maxWhat)}
}

// clip returns a text on one line, in UTF-8, of a number of octets at most.
func clip(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f {
			return ' '
		}
		return c // and U+FFFD for what is none
	}, s)
	if len(s) <= most {
		return s
	}
	const dots = "..."
	end := most - len(dots)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + dots
}
