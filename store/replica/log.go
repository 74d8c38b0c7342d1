package replica

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/store"
)

// Limits of one look into the log. A transaction that reads keeps pages from being used again and the file from growing, so each is short.
const (
	// MaxHistory is how many records History returns.
	MaxHistory = 1000
	// historyOctets is how many octets of records History returns at most, unless one has more.
	historyOctets = 16 << 20
	// undoOctets is how many octets of records At looks at in one transaction.
	undoOctets = 16 << 20
)

// Records returns records after a version, in order, with what was there before (Change.Was): about as many as have maxBytes octets on disk, and one at least if there is one. Where some are gone
// it is a *store.FloorError. They are of the lineage that the copy has now: who asks for a lineage looks at the view after it.
func (r *Replica) Records(after store.Version, maxBytes int) ([]*store.Record, error) {
	var out []*store.Record
	head, asked := r.View().Head(), after
	if after >= head.Version {
		return nil, nil
	}
	err := r.log(func(c *bbolt.Cursor, s *state) error {
		if after < s.floor {
			return &store.FloorError{Asked: after, Floor: s.floor}
		}
		octets := 0
		for k, v := c.Seek(versionKey(after + 1)); k != nil; k, v = c.Next() {
			if octets += len(v); octets > maxBytes && len(out) > 0 || after >= head.Version {
				return nil
			}
			after++
			rec, err := r.key.parseStored(s.head.Lineage, after, k, v)
			if err != nil {
				return &BrokenError{Path: r.path, Err: err}
			}
			out = append(out, rec)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the log after version %d: %w", asked, err)
	}
	return out, nil
}

// History returns the n records before a version (0: the last ones), the newest first, or fewer where the log does not reach, or they are many or long: then go on with the version of the last
// one.
func (r *Replica) History(before store.Version, n int) ([]*store.Record, error) {
	var out []*store.Record
	head := r.View().Head()
	if before == 0 || before > head.Version+1 {
		before = head.Version + 1
	}
	err := r.log(func(c *bbolt.Cursor, s *state) error {
		octets := 0
		for v := before - 1; v > s.floor && v < before && len(out) < min(n, MaxHistory); v-- {
			key, b := c.Seek(versionKey(v))
			if octets += len(b); octets > historyOctets && len(out) > 0 {
				return nil
			}
			rec, err := r.key.parseStored(s.head.Lineage, v, key, b)
			if err != nil {
				return &BrokenError{Path: r.path, Err: err}
			}
			out = append(out, rec)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the log before version %d: %w", before, err)
	}
	return out, nil
}

// Lookup returns the version of a commit by its id, 0 if it is not in the log. It reads the log from its end.
func (r *Replica) Lookup(id store.ID) (store.Version, error) {
	if head := r.View().Head(); head.ID == id {
		return head.Version, nil
	}
	for before := store.Version(0); ; {
		records, err := r.History(before, MaxHistory)
		if err != nil {
			return 0, err
		}
		for _, rec := range records {
			if rec.ID == id {
				return rec.Version, nil
			}
			before = rec.Version
		}
		if len(records) == 0 || before <= 1 {
			return 0, nil
		}
	}
}

// At returns the map as it was at a version of the lineage that the copy has, by undoing what came after. It is a *store.FloorError where the log does not reach back. What this node might not read is not in it. It takes memory
// for the documents that have changed since, and time for all records since.
func (r *Replica) At(v store.Version) (store.Map, error) {
	view := r.View()
	head := view.Head()
	if v > head.Version {
		return nil, fmt.Errorf("there is no version %d: the copy is at %d", v, head.Version)
	}
	edits := make(map[string]store.Edit)
	for next := head.Version; next > v; {
		err := r.log(func(c *bbolt.Cursor, s *state) error {
			if s.head.Lineage != head.Lineage {
				return errors.New("a snapshot of another lineage came in between")
			}
			octets := 0
			for ; next > v && octets < undoOctets; next-- {
				if next <= s.floor {
					return &store.FloorError{Asked: v, Floor: s.floor}
				}
				key, b := c.Seek(versionKey(next))
				octets += len(b)
				rec, err := r.key.parseStored(s.head.Lineage, next, key, b)
				if err != nil {
					return &BrokenError{Path: r.path, Err: err}
				}
				for i := range rec.Changes {
					if c := &rec.Changes[i]; !c.Hidden() {
						edits[c.Key] = store.Edit{Key: c.Key, Value: c.Was.Value, Delete: c.Old == store.Digest{}}
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("going back to version %d: %w", v, err)
		}
	}
	list := make([]store.Edit, 0, len(edits))
	for _, e := range edits {
		list = append(list, e)
	}
	return store.Overlay(view, list), nil
}

// log reads the log.
func (r *Replica) log(do func(c *bbolt.Cursor, s *state) error) error {
	return r.spoilt(r.read(func(tx *bbolt.Tx) error {
		s, err := parseState(tx.Bucket(bucketMeta).Get(keyState))
		if err != nil {
			return &BrokenError{Path: r.path, Err: err}
		}
		return do(tx.Bucket(bucketLog).Cursor(), &s)
	}))
}

// read reads from the file, as it was last written.
func (r *Replica) read(do func(*bbolt.Tx) error) error {
	r.file.RLock()
	defer r.file.RUnlock()
	if broken := r.broken.Load(); broken != nil {
		return broken
	}
	if r.db == nil {
		if r.isClosed() {
			return ErrClosed
		}
		return r.diskError("reading the local copy of the store", errors.New("it could not be opened again after an error of the disk"))
	}
	return guard(r.path, func() error {
		tx, err := r.db.Begin(false)
		if err != nil {
			return err
		}
		return errors.Join(do(tx), tx.Rollback())
	})
}
