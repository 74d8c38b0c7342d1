package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Model is a root in memory: what a root has to be, in the fewest words, for tests on fake time and for nothing else. [Model.Fault] decides what goes wrong.
type Model struct {
	// Fault, if set, is asked before each call, by its name (Head, Commit, Lookup, Records, Entries, Trim), and may have it fail.
	Fault func(call string) Fault

	mu      sync.Mutex
	head    Head
	log     []*Record // after floor, in order
	floor   Version
	entries map[string]Entry
	givenUp map[ID]bool   // looked up before they were decided
	changed chan struct{} // closed at the next commit
	term    *modelTerm
	given   chan struct{} // closed when a term ends
}

// Fault is what goes wrong with a call of a Model.
type Fault uint8

// What can go wrong.
const (
	None    Fault = iota
	Before        // it fails, and nothing was done
	After         // it is done, and fails all the same: the answer is lost
	Unknown       // it fails, nothing was done, and nobody can tell that
)

// NewModel makes an empty store of a lineage.
func NewModel(l Lineage) *Model {
	return &Model{head: Head{Lineage: l}, entries: make(map[string]Entry), givenUp: make(map[ID]bool), changed: make(chan struct{}), given: make(chan struct{})}
}

func (m *Model) fault(call string) Fault {
	if m.Fault == nil {
		return None
	}
	return m.Fault(call)
}

// Head is that of a Root.
func (m *Model) Head(ctx context.Context) (Head, error) {
	if m.fault("Head") != None {
		return Head{}, errModel
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, ctx.Err()
}

// Commit is that of a Root.
func (m *Model) Commit(_ context.Context, prev Head, r *Record, term Term) error {
	f := m.fault("Commit")
	if f == Before {
		return errModel
	} else if f == Unknown {
		return ErrUnknown
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := prev.Next(r)
	if err != nil {
		return err
	}
	switch v := m.find(r.ID); {
	case m.givenUp[r.ID]:
		return ErrGivenUp
	case v == r.Version:
		return nil
	case v != 0:
		return fmt.Errorf("a commit of the id %v was made as version %d", r.ID, v)
	case term != nil && (m.term == nil || term != Term(m.term)):
		return ErrTerm
	case prev.Version != m.head.Version || prev.Hash != m.head.Hash || prev.Lineage != m.head.Lineage:
		return &ConflictError{Head: m.head}
	}
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(m.entries, c.Key)
		} else {
			m.entries[c.Key] = c.Entry
		}
	}
	m.head, m.log = next, append(m.log, r.For(func(string) bool { return true }))
	close(m.changed)
	m.changed = make(chan struct{})
	if f == After {
		return ErrUnknown
	}
	return nil
}

// Lookup is that of a Root.
func (m *Model) Lookup(_ context.Context, id ID) (Version, error) {
	if m.fault("Lookup") != None {
		return 0, errModel
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.find(id)
	m.givenUp[id] = v == 0
	return v, nil
}

// find returns the version of a commit in the log, 0 if there is none.
func (m *Model) find(id ID) Version {
	for _, r := range m.log {
		if r.ID == id {
			return r.Version
		}
	}
	return 0
}

// Records is that of a Root.
func (m *Model) Records(_ context.Context, after Version, most int) ([]*Record, error) {
	if m.fault("Records") != None {
		return nil, errModel
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if after < m.floor {
		return nil, &FloorError{after, m.floor}
	}
	var out []*Record
	for _, r := range m.log[min(after-m.floor, Version(len(m.log))):] {
		size := len(AppendRecord(nil, r))
		if len(out) > 0 && size > most {
			break
		}
		out, most = append(out, r), most-size
	}
	return out, nil
}

// Entries is that of a Root.
func (m *Model) Entries(_ context.Context, entry func(string, Entry) error) (Head, error) {
	if m.fault("Entries") != None {
		return Head{}, errModel
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, e := range m.entries {
		if err := entry(key, e); err != nil {
			return Head{}, err
		}
	}
	return m.head, nil
}

// Follow is that of a Root.
func (m *Model) Follow(ctx context.Context, after Version, next func(*Record) error) error {
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		records, err := m.Records(ctx, after, MaxRecord)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := next(r); err != nil {
				return err
			}
			after = r.Version
		}
		if len(records) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Trim is that of a Root.
func (m *Model) Trim(_ context.Context, upto Version) error {
	if m.fault("Trim") != None {
		return errModel
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if upto = min(upto, max(m.head.Version, 1)-1); upto <= m.floor {
		return nil
	}
	m.log, m.floor = slices.Clone(m.log[upto-m.floor:]), upto
	return nil
}

// Elect is that of a Root.
func (m *Model) Elect(ctx context.Context, _ string) (Term, error) {
	for {
		m.mu.Lock()
		if m.term == nil {
			m.term = &modelTerm{m: m, done: make(chan struct{})}
			defer m.mu.Unlock()
			return m.term, nil
		}
		given := m.given
		m.mu.Unlock()
		select {
		case <-given:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Depose ends the term of whoever leads, as if its lease had run out.
func (m *Model) Depose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.term != nil {
		close(m.term.done)
		m.term = nil
		close(m.given)
		m.given = make(chan struct{})
	}
}

type modelTerm struct {
	m    *Model
	done chan struct{}
}

func (t *modelTerm) Done() <-chan struct{} { return t.done }

func (t *modelTerm) Resign(context.Context) error {
	t.m.mu.Lock()
	leads := t.m.term == t
	t.m.mu.Unlock()
	if leads {
		t.m.Depose()
	}
	return nil
}

var errModel = errors.New("the model of a root fails, as it was told to")
