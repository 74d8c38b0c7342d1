package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// View is one version of the map as a copy holds it. It is immutable.
type View interface {
	Map
	Head() Head
	// Entry returns what is at key with its salt.
	Entry(key string) (Entry, bool)
}

// Copy is the copy of a writer: the view it prepares commits on.
type Copy interface {
	View() View
	// WaitFor returns when the copy has reached a version.
	WaitFor(ctx context.Context, v Version) error
}

// MaxTries is how often a commit is prepared anew because another was first. Ten writers that always collide get through in ten.
const MaxTries = 16

// Writer turns proposals into commits. Its fields are set once; any number of goroutines may use it.
type Writer struct {
	Root Root
	Copy Copy

	// Check compiles the whole result dry before a commit; its error refuses it. next is the map as it would be, the store's own keys included. It is nil
	// where nothing is checked.
	Check func(next Map, p Proposal) error

	Now  func() time.Time
	Salt func() Salt
	ID   func() ID

	// Patience is how long the head is asked for before the root is said to have no quorum; 0: for as long as headTries take.
	Patience time.Duration

	// Retry waits before an attempt is repeated, or returns why not; it is how tests do without time.
	Retry func(ctx context.Context, attempt int) error
}

// Commit has a proposal decided, and returns the record; nil if there was nothing to change. An error says that it was not done, unless errors.Is(err,
// ErrUnknown): then the record is returned as well, and its id tells later.
func (w *Writer) Commit(ctx context.Context, p Proposal) (*Record, error) {
	if p.ID == (ID{}) {
		p.ID = w.ID()
	}
	head, err := w.head(ctx)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if err := w.waitFor(ctx, head.Version); err != nil {
			return nil, err
		}
		view := w.Copy.View()
		if view.Head().Lineage != head.Lineage { // a store that was just made, or restored: the copy has to begin anew
			if attempt == MaxTries || w.Retry(ctx, attempt) != nil {
				return nil, fmt.Errorf("waiting for this node's own copy to take the lineage %v", head.Lineage)
			}
			continue
		}
		if p.Make != nil {
			if err := p.Make(view, &p); err != nil {
				return nil, err
			}
		}
		r, err := Prepare(view.Head(), p, view.Entry, w.Now(), w.Salt)
		if err != nil || r == nil {
			return nil, err
		}
		if w.Check != nil {
			if err := w.Check(Overlay(view, p.Edits), p); err != nil {
				return nil, err
			}
		}
		err = w.Root.Commit(ctx, view.Head(), r, p.Term)
		var conflict *ConflictError
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, ErrUnknown):
			return w.settle(ctx, r)
		case !errors.As(err, &conflict):
			return nil, err
		case attempt == MaxTries:
			return nil, fmt.Errorf("committing: %d times another commit was first: %w", MaxTries, err)
		}
		if head, err = w.head(ctx); err != nil {
			return nil, err
		}
	}
}

// headTries is how often the head is asked for: a root of several members has none for a second or two after one of them was lost. Nothing was decided yet, so that to try again is safe.
const headTries = 9

func (w *Writer) head(ctx context.Context) (Head, error) {
	patient := ctx
	if w.Patience > 0 {
		var done context.CancelFunc
		patient, done = context.WithTimeout(ctx, w.Patience)
		defer done()
	}
	for attempt := 1; ; attempt++ {
		head, err := w.Root.Head(patient)
		if err == nil {
			return head, nil
		}
		stop := attempt == headTries
		if patient.Err() == nil && !stop {
			stop = w.Retry(patient, attempt) != nil
		}
		switch {
		case patient.Err() != nil && ctx.Err() == nil: // whatever it did last: err is why there was no answer
			return Head{}, &QuorumError{For: w.Patience, Err: err}
		case stop || ctx.Err() != nil:
			return Head{}, fmt.Errorf("reading the head of the store: %w", err)
		}
	}
}

// waitFor waits until the copy has a version: nothing is decided on what is older.
func (w *Writer) waitFor(ctx context.Context, v Version) error {
	patient := ctx
	if w.Patience > 0 {
		var done context.CancelFunc
		patient, done = context.WithTimeout(ctx, w.Patience)
		defer done()
	}
	err := w.Copy.WaitFor(patient, v)
	switch {
	case err == nil:
		return nil
	case patient.Err() != nil && ctx.Err() == nil:
		return &BehindError{For: w.Patience, Version: v}
	}
	return fmt.Errorf("waiting for this node's own copy to reach version %d: %w", v, err)
}

// settle finds out what became of a commit whose outcome is not known.
func (w *Writer) settle(ctx context.Context, r *Record) (*Record, error) {
	for attempt := 1; ; attempt++ {
		v, err := w.Root.Lookup(ctx, r.ID)
		switch {
		case err == nil && v == r.Version:
			return r, nil
		case err == nil && v == 0:
			// A record that has left the log meanwhile is not found either.
			var floor *FloorError
			if _, err = w.Root.Records(ctx, r.Version-1, 1); errors.As(err, &floor) {
				return r, fmt.Errorf("committing %v as version %d: the log has gone on beyond that: %w", r.ID, r.Version, ErrUnknown)
			} else if err != nil {
				break
			}
			return nil, fmt.Errorf("commit %v was not made: the root failed while it was decided", r.ID)
		case err == nil:
			return r, fmt.Errorf("commit %v was made as version %d in place of %d: %w", r.ID, v, r.Version, ErrUnknown)
		}
		if err := w.Retry(ctx, attempt); err != nil {
			return r, fmt.Errorf("committing %v as version %d: %w (%w)", r.ID, r.Version, ErrUnknown, err)
		}
	}
}

// Overlay returns m with edits made.
func Overlay(m Map, edits []Edit) Map {
	if len(edits) == 0 {
		return m
	}
	o := overlay{under: m, at: make(map[string]*Edit, len(edits)), sorted: slices.Clone(edits)}
	slices.SortFunc(o.sorted, func(a, b Edit) int { return strings.Compare(a.Key, b.Key) })
	for i := range o.sorted {
		o.at[o.sorted[i].Key] = &o.sorted[i]
	}
	return o
}

type overlay struct {
	under  Map
	at     map[string]*Edit
	sorted []Edit
}

func (o overlay) Get(key string) ([]byte, bool) {
	if e := o.at[key]; e != nil {
		return e.Value, !e.Delete
	}
	return o.under.Get(key)
}

// Under merges what is below with the edits, both in order.
func (o overlay) Under(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		from, _ := slices.BinarySearchFunc(o.sorted, prefix, func(e Edit, p string) int { return strings.Compare(e.Key, p) })
		edits := o.sorted[from:]
		ours := func(before string, all bool) bool {
			for len(edits) > 0 && strings.HasPrefix(edits[0].Key, prefix) && (all || edits[0].Key < before) {
				e := edits[0]
				edits = edits[1:]
				if !e.Delete && !yield(e.Key, e.Value) {
					return false
				}
			}
			return true
		}
		for key, value := range o.under.Under(prefix) {
			if !ours(key, false) {
				return
			}
			if len(edits) > 0 && edits[0].Key == key {
				continue // told when its turn comes
			}
			if !yield(key, value) {
				return
			}
		}
		ours("", true)
	}
}
