package replica

import (
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/store"
)

// write makes one transaction of what do does, durable when it returns without an error. After one of the commit itself what the file has is not known.
func (r *Replica) write(do func(*bbolt.Tx) error) error {
	if broken := r.broken.Load(); broken != nil {
		return broken
	}
	err := guard(r.path, func() error {
		if err := r.opt.Disk("begin"); err != nil {
			return err
		}
		tx, err := r.db.Begin(true)
		if err != nil {
			return err
		}
		if err = do(tx); err == nil {
			err = r.opt.Disk("commit")
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		r.unsure = true
		if err := tx.Commit(); err != nil {
			return err
		}
		if err := r.opt.Disk("committed"); err != nil {
			return err
		}
		r.unsure = false
		return nil
	})
	var broken *BrokenError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &broken):
		return r.spoilt(broken)
	}
	return r.diskError("writing to the local copy of the store", err)
}

// settle finds out what became of a write that failed, and shows what the file has. Who writes calls it first.
func (r *Replica) settle() error {
	if broken := r.broken.Load(); broken != nil {
		return broken
	}
	if !r.unsure {
		return nil
	}
	if err := r.reopen(); err != nil {
		return err
	}
	var s state
	var missed []*store.Record
	view := r.View()
	err := r.read(func(tx *bbolt.Tx) (err error) {
		if s, err = parseState(tx.Bucket(bucketMeta).Get(keyState)); err != nil {
			return &BrokenError{Path: r.path, Err: err}
		}
		if s.head.Version <= view.Head().Version {
			return nil
		}
		c := tx.Bucket(bucketLog).Cursor()
		for k, v := c.Seek(versionKey(view.Head().Version + 1)); k != nil; k, v = c.Next() {
			rec, err := r.key.parseStored(s.head.Lineage, store.Version(binary.BigEndian.Uint64(k)), k, v)
			if err != nil {
				return &BrokenError{Path: r.path, Err: err}
			}
			missed = append(missed, rec)
		}
		return nil
	})
	if err != nil {
		return r.spoilt(err)
	}
	if s.floor > view.Head().Version {
		return r.reload(s) // what was written has left the log again, with the same write: its clock, or its length, wanted it so
	}
	b := r.batch()
	b.state.head.Lineage = s.head.Lineage // a lineage may have begun with it
	for _, rec := range missed {
		if err := b.add(rec); err != nil {
			return r.spoilt(&BrokenError{Path: r.path, Err: err})
		}
	}
	if b.state.head != s.head {
		return r.spoilt(&BrokenError{Path: r.path, Err: errors.New("it has not what was written to it")})
	}
	// What is there may be in the system's memory alone: it is shown once a write after it, which changes nothing, is on the disk.
	if err := r.confirm(s); err != nil {
		return err
	}
	if len(missed) > 0 {
		r.show(&View{state: s, index: b.edit.index})
	}
	return nil
}

// confirm writes what the file has already.
func (r *Replica) confirm(s state) error {
	return r.write(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyState, appendState(nil, &s)) })
}

// reload reads the file whole, as at the start, and shows what it has: that of a write which failed and is there all the same.
func (r *Replica) reload(s state) error {
	c, err := load(r.path, r.key)
	var broken *BrokenError
	switch {
	case errors.As(err, &broken):
		return r.spoilt(broken)
	case err != nil:
		return r.diskError("reading the local copy of the store", err)
	case c.state != s:
		return r.spoilt(&BrokenError{Path: r.path, Err: errors.New("it has not what was written to it")})
	}
	if err := r.confirm(s); err != nil {
		return err
	}
	r.show(&View{state: s, index: c.index})
	return nil
}

// reopen opens the file again, whatever the one that is open remembers.
func (r *Replica) reopen() error {
	r.file.Lock()
	defer r.file.Unlock()
	err := r.opt.Disk("reopen")
	if err == nil && r.db != nil {
		err = closeBolt(r.db, false)
		r.db = nil
	}
	if err == nil {
		r.db, err = openBolt(r.path)
	}
	var broken *BrokenError
	if errors.As(err, &broken) {
		return r.spoilt(err)
	}
	if err != nil {
		return r.diskError("opening the local copy of the store again", err)
	}
	return nil
}
