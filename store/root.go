package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Root is where commits are decided. There is one for each way to decide: package etcd, and a model of it in memory for tests on fake time. It knows nothing of
// what is in a record but its version and id; [Prepare] and [Writer] know.
type Root interface {
	// Head returns what the store has come to, confirmed by a quorum when it is called: a member that is cut off returns an error. A store that was just
	// made has a lineage and version 0.
	Head(ctx context.Context) (Head, error)

	// Commit decides r, in one transaction that holds only if the head is still prev: all of it is done, or nothing. The record becomes part of the log, its
	// entries become those of the map. The error is a *ConflictError where another was first, ErrTerm where term is set and was lost, ErrGivenUp where the
	// id was looked up before, a *FullError where the root takes no writes for want of room, and ErrUnknown where it can't be told whether it is done: then
	// Lookup tells. The same commit sent twice is done once.
	Commit(ctx context.Context, prev Head, r *Record, term Term) error

	// Lookup returns the version of a commit, or 0 if there is none and never will be: a commit of that id that is under way is no longer decided. It tells for
	// as long as the record is kept.
	Lookup(ctx context.Context, id ID) (Version, error)

	// Records returns records after a version, in order, at most about max octets of them and at least one if there is one. Where some of them are
	// gone it is a *FloorError.
	Records(ctx context.Context, after Version, max int) ([]*Record, error)

	// Entries calls entry for all entries of one version, in any order, and returns its head. It is for the copy of a member of the root that the log does not
	// reach any more; all others get theirs from a copy.
	Entries(ctx context.Context, entry func(key string, e Entry) error) (Head, error)

	// Follow calls next for each record after a version, in order, as they are committed, until ctx is done or next returns an error. *FloorError as above.
	Follow(ctx context.Context, after Version, next func(*Record) error) error

	// Trim forgets the records up to and with a version. That of the head stays in any case.
	Trim(ctx context.Context, upto Version) error

	// Elect waits until this member leads, and returns the term, which ends when the member is found not to lead any more.
	Elect(ctx context.Context, name string) (Term, error)
}

// Term is the time in which a member leads: it alone drives rollouts. It is a lease of 10 s that is renewed.
type Term interface {
	// Done is closed when the term has ended, or may have.
	Done() <-chan struct{}
	// Resign ends it, so that another can begin at once.
	Resign(ctx context.Context) error
}

// Errors of a Root.
var (
	// ErrUnknown says that it is not known whether a commit was made.
	ErrUnknown = errors.New("it is not known whether the commit was made")
	// ErrTerm says that a commit was refused because its term had ended.
	ErrTerm = errors.New("this node does not lead any more")
	// ErrGivenUp says that a commit was refused because somebody had been told that it was not made.
	ErrGivenUp = errors.New("the commit was given up before it was decided")
)

// ConflictError says that another commit was first.
type ConflictError struct {
	Head Head   // as it was found; its version is 0 if that is not known
	Key  string // the key that was changed in between; "" if only the head moved
}

func (e *ConflictError) Error() string {
	if e.Key != "" {
		return fmt.Sprintf("the key %q was changed by another commit in between", e.Key)
	}
	return "another commit was first"
}

// Hint says what to do.
func (e *ConflictError) Hint() string { return "look at the difference again, and repeat it" }

// QuorumError says that a root decides nothing: it was asked for its head for long enough, and nothing was changed.
type QuorumError struct {
	For time.Duration
	Err error // of the last attempt
}

func (e *QuorumError) Error() string {
	return fmt.Sprintf("nothing was changed: the root has not answered for %v: %v", e.For, e.Err)
}

// Unwrap returns the cause.
func (e *QuorumError) Unwrap() error { return e.Err }

// Hint says what to do.
func (*QuorumError) Hint() string {
	return "more than half of the members of the root have to be up and reach each other: ananas root ls shows them. All nodes answer from their copies meanwhile"
}

// BehindError says that the writer's own copy does not follow the root, as with a disk that is full: nothing was changed.
type BehindError struct {
	For     time.Duration
	Version Version // that the root has
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("nothing was changed: this node's own copy of the store has not reached version %d in %v", e.Version, e.For)
}

// Hint says what to do.
func (*BehindError) Hint() string {
	return "ananas status says what keeps it; where its disk is full, make room: it goes on by itself. Another member of the root takes changes meanwhile"
}

// FloorError says that the log does not reach back so far.
type FloorError struct {
	Asked, Floor Version // Floor is the lowest version after which the log goes on
}

func (e *FloorError) Error() string {
	return fmt.Sprintf("the log does not reach back to version %d; it begins after %d", e.Asked, e.Floor)
}

// FullError says that a root takes no writes for want of room. It goes on answering all else.
type FullError struct{ Err error }

func (e *FullError) Error() string { return "the root has no room for a commit: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FullError) Unwrap() error { return e.Err }

// Hint says what to do.
func (*FullError) Hint() string {
	return "make room on the disk of its data folder; writes resume by themselves"
}
