package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// truth is all that was ever decided in a lineage.
type truth struct {
	mu      sync.Mutex
	log     []*store.Record          // by version, 1 first
	entries []map[string]store.Entry // by version, 0 first
}

func newTruth(w *world, l store.Lineage, m *store.Model) *truth {
	tr := &truth{entries: []map[string]store.Entry{{}}}
	w.work.Go(func() {
		after := store.Version(0)
		for w.ctx.Err() == nil {
			_ = m.Follow(w.ctx, after, func(r *store.Record) error { // the model fails as it is told to
				tr.add(r)
				after = r.Version
				return nil
			})
			pause(w.ctx, time.Millisecond)
		}
	})
	return tr
}

func (t *truth) add(r *store.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := maps.Clone(t.entries[len(t.entries)-1])
	for _, c := range r.Changes {
		if c.Deletes() {
			delete(now, c.Key)
		} else {
			now[c.Key] = c.Entry
		}
	}
	t.log, t.entries = append(t.log, r), append(t.entries, now)
}

func (t *truth) version() store.Version {
	t.mu.Lock()
	defer t.mu.Unlock()
	return store.Version(len(t.log))
}

// write is one commit that somebody wanted, and what he was told.
type write struct {
	id      store.ID
	lineage store.Lineage // of the root that it was sent to
	record  *store.Record
	err     error
	ended   bool // the term that it was made under had ended before it was begun
}

// done tells what the writer was told; an error that is not ErrUnknown says that it was not done.
func (w *write) done() bool    { return w.err == nil }
func (w *write) unknown() bool { return errors.Is(w.err, store.ErrUnknown) }

// writer writes at a member of the root until ctx is done: i at a, and once that is acknowledged i at b; in other commits the same at two keys. Each third one leads while
// it writes.
func (w *world) writer(ctx context.Context, n *node, number int, d *dice) {
	name := strconv.Itoa(number)
	var term store.Term
	var leads *store.Model
	for i := 1; pause(ctx, time.Duration(100+d.n(900))*time.Millisecond); i++ {
		m, _ := w.root()
		if number == 2 && (leads != m || isDone(term)) && d.n(3) > 0 {
			one, stop := context.WithTimeout(ctx, time.Second)
			if t, err := m.Elect(one, name); err == nil {
				term, leads = t, m
			}
			stop()
		}
		value := fmt.Appendf(nil, "%06d", i)
		what := d.n(8)
		if what == 4 || what == 5 || what == 7 {
			if w.over.Load() {
				continue // a change of what is hidden would have what was left wrong found, and mended
			}
		}
		switch what {
		case 0, 1:
			if w.commit(ctx, n, m, d, term, store.Edit{Key: "a/" + name, Value: value}) {
				w.commit(ctx, n, m, d, term, store.Edit{Key: "b/" + name, Value: value})
			}
		case 2, 3:
			w.commit(ctx, n, m, d, term, store.Edit{Key: "x/" + name, Value: value}, store.Edit{Key: "y/" + name, Value: value})
		case 4:
			w.commit(ctx, n, m, d, term, store.Edit{Key: hidden + name, Value: value}, store.Edit{Key: fmt.Sprintf("%sold/%d", hidden, d.n(3)), Delete: true})
		case 5:
			w.commit(ctx, n, m, d, term, store.Edit{Key: fmt.Sprintf("k/%02d", d.n(20)), Delete: true}, store.Edit{Key: hidden + "old/" + strconv.Itoa(d.n(3)), Value: value})
		case 6:
			w.commit(ctx, n, m, d, term, store.Edit{Key: fmt.Sprintf("k/%02d", d.n(20)), Value: []byte(strings.Repeat("z", d.n(3000)))}, store.Edit{Key: store.SecretPrefix + name, Value: value})
		case 7:
			if d.n(2) == 0 {
				w.commit(ctx, n, m, d, term, store.Edit{Key: store.AccessKey, Value: []byte([]string{"narrow", "wide"}[d.n(2)])})
			}
		}
	}
}

func isDone(t store.Term) bool {
	if t == nil {
		return true
	}
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}

// commit has something committed, notes what it was told, and tells whether that was yes.
func (w *world) commit(ctx context.Context, n *node, m *store.Model, d *dice, term store.Term, edits ...store.Edit) bool {
	n.mu.Lock()
	c := n.copy
	n.mu.Unlock()
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	patience := 2 + d.n(12)
	writer := store.Writer{
		Root: m, Copy: c.Copy(), Now: n.now, Salt: func() store.Salt { return d.id() }, ID: func() store.ID { return d.id() },
		Retry: func(ctx context.Context, attempt int) error {
			if !pause(ctx, time.Duration(attempt)*50*time.Millisecond) {
				return ctx.Err()
			}
			if attempt > patience {
				return errors.New("that was often enough")
			}
			return nil
		},
	}
	one := &write{id: d.id(), ended: term != nil && isDone(term)}
	for l, t := range w.lineages() {
		if t == m {
			one.lineage = l
		}
	}
	one.record, one.err = writer.Commit(ctx, store.Proposal{ID: one.id, Kind: store.KindNow, Author: n.name, Edits: edits, Term: term})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, one)
	return one.done()
}

// lineages returns the models by their lineage.
func (w *world) lineages() map[store.Lineage]*store.Model {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.all)
}
