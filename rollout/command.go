package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotDriving says that this node does not drive: another has to be asked.
var ErrNotDriving = errors.New("this node does not drive rollouts")

// UnknownError says that there is no such rollout.
type UnknownError struct{ ID ID }

func (e *UnknownError) Error() string { return fmt.Sprintf("there is no rollout %q", string(e.ID)) }

// Hint says what to do.
func (*UnknownError) Hint() string { return "ananas rollout ls shows those that there are" }

// StateError says that a rollout is where a command can do nothing.
type StateError struct {
	ID     ID
	State  State
	Wanted string // pause, resume, abort, promote
}

func (e *StateError) Error() string {
	if e.State == Paused && e.Wanted == "pause" || !e.State.Open() {
		return fmt.Sprintf("rollout %s is %v already", e.ID, e.State)
	}
	return fmt.Sprintf("rollout %s is %v: there is nothing to %s", e.ID, e.State, e.Wanted)
}

// Hint says what to do.
func (e *StateError) Hint() string {
	switch {
	case e.State == Passed:
		return "to take the change back, roll back to the version before it"
	case !e.State.Open():
		return "to bring the change again, apply it again"
	case e.State == Queued:
		return "wait for its turn, or abort it; a change that can't wait is applied with --now"
	}
	return "ananas rollout show says where it is"
}

// ReasonError says that a command needs a reason.
type ReasonError struct{ Wanted string }

func (e *ReasonError) Error() string { return "to " + e.Wanted + " a rollout needs a reason" }

// Hint says what to do.
func (*ReasonError) Hint() string { return `write --reason "..."; the history keeps it` }

// tries is how often a command is tried anew when the rollout was changed in between, by a gate or another person.
const tries = 3

// Pause keeps a rollout in its wave until somebody resumes it. It is withdrawn all the same if it fails. by and reason are of who asks. The errors are *UnknownError, *StateError,
// ErrNotDriving, or what kept the commit from being made.
func (d *Driver) Pause(ctx context.Context, id ID, by, reason string) (*Rollout, error) {
	return d.command(ctx, id, "pause", func(r *Rollout, now time.Time) (*Rollout, func(context.Context, *Rollout, *Rollout) error) {
		if r.State != Baking {
			return nil, nil
		}
		return paused(r, d.health.Nodes(), words("paused", by, reason), by, now), d.subject.Release
	})
}

// Resume has a paused rollout go on; the time of its wave begins again.
func (d *Driver) Resume(ctx context.Context, id ID, by, reason string) (*Rollout, error) {
	return d.command(ctx, id, "resume", func(r *Rollout, now time.Time) (*Rollout, func(context.Context, *Rollout, *Rollout) error) {
		if r.State != Paused {
			return nil, nil
		}
		return resumed(r, alive(d.health.Nodes()), words("resumed", by, reason), by, now), d.subject.Release
	})
}

// Abort withdraws a rollout.
func (d *Driver) Abort(ctx context.Context, id ID, by, reason string) (*Rollout, error) {
	return d.command(ctx, id, "abort", func(r *Rollout, now time.Time) (*Rollout, func(context.Context, *Rollout, *Rollout) error) {
		return ended(r, Aborted, words("aborted", by, reason), by, now), d.subject.Withdraw
	})
}

// Promote makes a change live at once, past all gates. It needs a reason. One that is queued can't be promoted: another that changes the same is on its way.
func (d *Driver) Promote(ctx context.Context, id ID, by, reason string) (*Rollout, error) {
	if reason == "" {
		return nil, &ReasonError{"promote"}
	}
	return d.command(ctx, id, "promote", func(r *Rollout, now time.Time) (*Rollout, func(context.Context, *Rollout, *Rollout) error) {
		if r.State == Queued {
			return nil, nil
		}
		return ended(r, Passed, words("promoted past its gates", by, reason), by, now), d.subject.Promote
	})
}

// words says what was done by whom.
func words(what, by, reason string) string {
	if by != "" {
		what += " by " + by
	}
	if reason != "" {
		what += ": " + reason
	}
	return what
}

// command does something to one rollout. next returns the document that follows, and what commits it; nil if nothing can be done.
func (d *Driver) command(ctx context.Context, id ID, wanted string, next func(*Rollout, time.Time) (*Rollout, func(context.Context, *Rollout, *Rollout) error)) (*Rollout, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for attempt := 1; ; attempt++ {
		if !d.leading {
			return nil, ErrNotDriving
		}
		r, err := d.subject.Find(ctx, id)
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading rollout %q: %w", string(id), err)
		case r == nil:
			return nil, &UnknownError{id}
		case !r.State.Open():
			return nil, &StateError{id, r.State, wanted}
		}
		to, do := next(r, d.now())
		if to == nil {
			return nil, &StateError{id, r.State, wanted}
		}
		if _, err = d.commit(r, to, do(ctx, r, to)); err == nil {
			d.Wake()
			return to, nil
		}
		if !errors.Is(err, ErrConflict) || attempt == tries {
			return nil, fmt.Errorf("rollout %s: %w", id, err)
		}
	}
}
