package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/identity"
)

// endedKept is how many rollouts that have ended stay in the store, for `ananas rollout ls` and show: those of some weeks.
const endedKept = 100

// driving is a term in which this member of the root drives rollouts.
type driving struct {
	term   store.Term
	resign func(why error) // has another member drive: this one can't
}

// Limits of a driver whose copy does not follow, as with a full disk: it would see neither its own commits nor what the others ask for.
const (
	// copyTime is how long the driver waits for its own node's copy to have what was committed. A copy needs some milliseconds.
	copyTime = 5 * time.Second

	// standDown is how long a member that could not drive does not stand for election: the others have it within a lease, 10 s.
	standDown = 30 * time.Second
)

// lead has this member of the root drive rollouts whenever it is elected, until ctx is done.
func (s *shared) lead(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.etcd.Ready(ctx); err != nil {
			return
		}
		term, err := s.etcd.Elect(ctx, s.name)
		if err != nil {
			if !sleep(ctx, memberMaxRetry) {
				return
			}
			continue
		}
		led, end := context.WithCancel(ctx)
		s.run(func(context.Context) {
			select {
			case <-term.Done():
			case <-led.Done():
			}
			end()
		})
		var resigned atomic.Bool
		s.drives.Store(&driving{term, func(why error) {
			if !resigned.Swap(true) { // the driver tells of no error any more when its term is over
				s.n.log.Warn("this member can't drive rollouts, and has another one do it", "stands_down_for", standDown, "error", why)
			}
			end()
		}})
		s.driver.Lead(led)
		s.drives.Store(nil)
		end()
		if ctx.Err() != nil || resigned.Load() {
			resign, done := context.WithTimeout(context.Background(), confirmEvery)
			if err := term.Resign(resign); err != nil {
				s.n.log.Debug("another member drives when this one's lease is over", "error", err)
			}
			done()
		}
		if resigned.Load() {
			sleep(ctx, standDown)
		}
	}
}

// rolloutSubject is what the driver of rollouts moves: change sets of settings, in the store.
type rolloutSubject struct{ s *shared }

// Open is that of rollout.Subject. What has ended and still has its change set, because its last commit was only about the outcome, is swept here.
func (d rolloutSubject) Open(ctx context.Context) ([]*rollout.Rollout, error) {
	view, err := d.s.current(ctx)
	if err != nil {
		return nil, err
	}
	if edits := leftovers(view); len(edits) > 0 {
		if err := d.commit(ctx, store.Proposal{Kind: store.KindSweep, Author: d.s.name, Reason: "what rollouts that have ended left", Edits: edits}); err != nil {
			return nil, err
		}
	}
	open := openRollouts(view)
	if len(open) == 0 {
		return nil, nil
	}
	began, err := d.s.restoredAt(view.Head().Lineage)
	if err != nil {
		return nil, err
	}
	var all []*rollout.Rollout
	for _, r := range open {
		switch {
		case r.Subject != subject:
		case openedBefore(r, began):
			to := rollout.Abort(r, "the store was restored from a snapshot while this was on its way", d.s.name, d.s.n.clock.Wall())
			if err := d.Withdraw(ctx, r, to); err != nil {
				return nil, err
			}
			d.s.n.log.Warn("a rollout was aborted: the store was restored from a snapshot that had it open", "id", string(r.ID))
		default:
			all = append(all, r)
		}
	}
	return all, nil
}

// openedBefore tells whether a rollout was opened before a version. One that a snapshot had open does not go on by itself: whoever restores a store wants the settings that were live, and looks again.
func openedBefore(r *rollout.Rollout, v store.Version) bool {
	opened, err := strconv.ParseUint(string(r.ID), 10, 64)
	return err == nil && store.Version(opened) < v
}

// current returns a view that is as new as what this node has committed: a copy may be behind for a moment.
func (s *shared) current(ctx context.Context) (store.View, error) {
	head, err := s.etcd.Head(ctx)
	if err != nil {
		return nil, err
	}
	wait, done := context.WithTimeout(ctx, copyTime)
	defer done()
	if err := atHead(wait, s.copy.Copy(), head); err != nil {
		if ctx.Err() == nil && wait.Err() != nil {
			err = fmt.Errorf("this node's copy has version %d of the store, and not %d, or another lineage: %w", s.copy.View().Head().Version, head.Version, cmp.Or(s.wrong(), err))
			if at := s.drives.Load(); at != nil {
				at.resign(err)
			}
		}
		return nil, err
	}
	return s.copy.View(), nil
}

// atHead waits until a copy has a version of the lineage that it is of: after a restore the copy has higher versions of another one for a while.
func atHead(ctx context.Context, c store.Copy, head store.Head) error {
	for {
		if err := c.WaitFor(ctx, head.Version); err != nil {
			return err
		}
		if c.View().Head().Lineage == head.Lineage {
			return nil
		}
		if !sleep(ctx, lineageStep) {
			return ctx.Err()
		}
	}
}

// lineageStep is how often it is looked whether a copy has taken another lineage.
const lineageStep = 50 * time.Millisecond

// leftovers are the edits that remove change sets of rollouts that have ended, and the oldest of those, as far as one commit goes: in keys, and in octets that it replaces. A rollout that can't be read is
// one of a later release, and may be open.
func leftovers(view store.View) []store.Edit {
	var edits []store.Edit
	octets := 0
	remove := func(key string, value []byte) bool {
		if len(edits) == store.MaxChanges || octets+len(key)+len(value) > store.MaxCommit {
			return false
		}
		octets += len(key) + len(value)
		edits = append(edits, store.Edit{Key: key, Delete: true})
		return true
	}
	keeps := make(map[string]bool)
	for key := range view.Under(store.RolloutPrefix) {
		keeps[key[len(store.RolloutPrefix):]] = true
	}
	all := rollouts(view)
	kept := 0
	for i := len(all) - 1; i >= 0; i-- {
		id := string(all[i].ID)
		if all[i].State.Open() {
			continue
		}
		delete(keeps, id)
		if kept++; kept > endedKept {
			doc, _ := view.Get(store.RolloutPrefix + id)
			if !remove(store.RolloutPrefix+id, doc) {
				return edits
			}
		}
	}
	for key, value := range view.Under(store.SetPrefix) {
		if id, _, ok := store.SplitSet(key); ok && !keeps[id] && !remove(key, value) {
			return edits
		}
	}
	return edits
}

// Find is that of rollout.Subject.
func (d rolloutSubject) Find(ctx context.Context, id rollout.ID) (*rollout.Rollout, error) {
	view, err := d.s.current(ctx)
	if err != nil {
		return nil, err
	}
	doc, ok := view.Get(store.RolloutPrefix + string(id))
	if !ok || store.CheckKey(store.RolloutPrefix+string(id)) != nil {
		return nil, nil
	}
	return rollout.Decode(doc)
}

// Keys is that of rollout.Subject.
func (d rolloutSubject) Keys(r *rollout.Rollout) []string {
	return sortedKeys(changeSet(d.s.copy.View(), string(r.ID)))
}

// Release is that of rollout.Subject.
func (d rolloutSubject) Release(ctx context.Context, from, to *rollout.Rollout) error {
	return d.move(ctx, from, to, store.KindWave, nil)
}

// Promote is that of rollout.Subject.
func (d rolloutSubject) Promote(ctx context.Context, from, to *rollout.Rollout) error {
	return d.move(ctx, from, to, store.KindLive, func(v store.View) []store.Edit {
		var edits []store.Edit
		for key, value := range changeSet(v, string(from.ID)) {
			edits = append(edits, store.Edit{Key: key, Value: value, Delete: len(value) == 0})
		}
		return edits
	})
}

// Withdraw is that of rollout.Subject.
func (d rolloutSubject) Withdraw(ctx context.Context, from, to *rollout.Rollout) error {
	return d.move(ctx, from, to, store.KindWithdraw, nil)
}

// move commits the document to in place of from, and what more edits. Nobody holds what has ended, so that the change set itself may be removed later.
func (d rolloutSubject) move(ctx context.Context, from, to *rollout.Rollout, kind store.Kind, more func(store.View) []store.Edit) error {
	was, err := from.Encode()
	if err != nil {
		return fmt.Errorf("writing rollout %s: %w", from.ID, err)
	}
	doc, err := to.Encode()
	if err != nil {
		return fmt.Errorf("writing rollout %s: %w", to.ID, err)
	}
	author, reason := to.By, to.Why
	if author == "" {
		author = d.s.name
	}
	return d.commit(ctx, store.Proposal{Kind: kind, Author: author, Reason: clipped(reason, store.MaxReason), Make: func(v store.View, p *store.Proposal) error {
		key := store.RolloutPrefix + string(from.ID)
		at, ok := v.Entry(key)
		if !ok || sha256.Sum256(at.Value) != sha256.Sum256(was) {
			return rollout.ErrConflict
		}
		p.Edits = []store.Edit{{Key: key, Value: doc}}
		if more != nil {
			p.Edits = append(p.Edits, more(v)...)
		}
		return nil
	}})
}

// commit commits under the term of this member.
func (d rolloutSubject) commit(ctx context.Context, p store.Proposal) error {
	at := d.s.drives.Load()
	if at == nil {
		return rollout.ErrConflict
	}
	p.Term = at.term
	_, err := d.s.writer.Commit(ctx, p)
	var conflict *store.ConflictError
	if errors.Is(err, store.ErrTerm) || errors.As(err, &conflict) {
		return fmt.Errorf("%w: %w", rollout.ErrConflict, err)
	}
	return err
}

func clipped(text string, most int) string {
	for len(text) > most {
		text = text[:len(text)-1]
		for len(text) > 0 && text[len(text)-1]&0xc0 == 0x80 {
			text = text[:len(text)-1]
		}
	}
	return text
}

// rolloutHealth is what the driver sees of the fleet.
type rolloutHealth struct {
	s    *shared
	gone *goneNodes
}

// Nodes is that of rollout.Health.
func (h rolloutHealth) Nodes() []rollout.Heard {
	view := h.s.copy.View()
	lineage := view.Head().Lineage.String()
	gone := h.gone.at(view)
	out := make([]rollout.Heard, 0, len(gone))
	for name, at := range gone {
		out = append(out, rollout.Heard{NodeState: rollout.NodeState{Name: name}, Gone: at})
	}
	for _, r := range h.s.registry.Nodes() {
		if _, revoked := gone[r.Name]; !revoked && r.Lineage == lineage {
			out = append(out, rollout.Heard{NodeState: r.NodeState, Silent: r.Silent})
		}
	}
	return out
}

// goneNodes are the nodes that were revoked, and when: as of a version, so that ten thousand documents are not read each second. It belongs to the driver.
type goneNodes struct {
	head  store.Head
	nodes map[string]time.Time
}

func (g *goneNodes) at(view store.View) map[string]time.Time {
	if head := view.Head(); g.nodes == nil || g.head != head {
		g.head, g.nodes = head, make(map[string]time.Time)
		for key, doc := range view.Under(store.NodePrefix) {
			if !bytes.Contains(doc, []byte(`"revoked"`)) { // those of nearly all: to parse one takes a hundred times as long
				continue
			}
			if n, err := identity.ParseNode(doc); err == nil && n.Revoked != nil {
				g.nodes[key[len(store.NodePrefix):]] = n.Revoked.Time
			}
		}
	}
	return g.nodes
}

// Totals is that of rollout.Health.
func (h rolloutHealth) Totals() []rollout.Total {
	lineage := h.s.copy.View().Head().Lineage.String()
	var out []rollout.Total
	for _, sum := range h.s.registry.Totals() {
		if sum.Lineage == lineage {
			out = append(out, rollout.Total{Site: sum.Site, Sets: sum.Sets, Sum: sum.Sum})
		}
	}
	return out
}
