package feed

import (
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Codes of a Goodbye, beside those that a gate has. Others may come with later releases.
const (
	CodeBusy     = "busy"          // a limit of the source was reached
	CodeStopping = "shutting-down" // the source ends
	CodeEmpty    = "no-copy"       // the source has nothing to follow yet
	CodeUpgrade  = "upgrade"       // the two speak no common protocol
	CodeLoop     = "loop"          // the node follows itself
	CodeReplaced = "connected"     // another connection was made with the same name
	CodeRefused  = "refused"       // the gate said no, without a word of its own
	CodeProtocol = "protocol"      // the other side does not keep to the protocol
	CodeStalled  = "stalled"       // the other side took nothing, or said nothing, for too long
	CodeFailed   = "failed"        // something of the source failed
)

// Goodbye is the last word of the other side of a connection, and why a request was not granted.
type Goodbye struct {
	Code string
	Text string
	Mend string
}

func (g *Goodbye) Error() string { return g.Text }

// Hint says what to do.
func (g *Goodbye) Hint() string { return g.Mend }

// goodbyeOf makes a last word of an error: code, text and hint are the error's, where it has them.
func goodbyeOf(err error, code string) *Goodbye {
	var g *Goodbye
	if errors.As(err, &g) {
		return g
	}
	g = &Goodbye{Code: code, Text: err.Error()}
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		g.Code = coded.Code()
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		g.Mend = hinted.Hint()
	}
	return g
}

// LoopError says that a node would follow itself.
type LoopError struct{ Path []string }

func (e *LoopError) Error() string {
	return fmt.Sprintf("the source gets its records from this node itself, by %q", e.Path)
}

// Hint says what to do.
func (*LoopError) Hint() string {
	return "give relays sources that do not follow them, in node.store.join"
}

// SilentError says that a source has passed on no beat for too long.
type SilentError struct{ For time.Duration }

func (e *SilentError) Error() string {
	return fmt.Sprintf("the source has passed on no sign of the root for %v", e.For)
}

// Hint says what to do.
func (*SilentError) Hint() string {
	return "this node serves the version that it has; look at the root and at the relays before this node"
}

// StalledError says that a source does not come on, though the root does.
type StalledError struct{ Source, Root store.Version }

func (e *StalledError) Error() string {
	return fmt.Sprintf("the source stays at version %d, and the root is at %d", e.Source, e.Root)
}

// Hint says what to do.
func (*StalledError) Hint() string { return "look at the disk of the source" }

// LineageError says that a source has a lineage that this node does not take.
type LineageError struct {
	Lineage store.Lineage
	Err     error
}

func (e *LineageError) Error() string {
	return fmt.Sprintf("the source has the lineage %v, which this node does not take: %v", e.Lineage, e.Err)
}

// Unwrap returns the cause.
func (e *LineageError) Unwrap() error { return e.Err }

// Hint says what to do.
func (*LineageError) Hint() string {
	return "is the source a node of the same store? After a restore it takes the new lineage itself first"
}
