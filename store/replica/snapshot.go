package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
)

// fillOctets is how much of a new file is written in one transaction: bbolt holds it in memory twice meanwhile.
const fillOctets = 8 << 20

// Incoming is a snapshot that arrives: a whole map beside the one in use, which it replaces at once, or not at all. It belongs to one goroutine. One that is neither committed nor aborted costs its memory
// and nothing else.
type Incoming struct {
	r    *Replica
	view *View
	edit *edit
	sum  store.Sum
	done bool
}

// BeginSnapshot begins to receive the map as it is at head. Whether that lineage is the store's is for the caller to know. It returns a *OlderError where the copy has a
// higher version of it.
func (r *Replica) BeginSnapshot(head store.Head) (*Incoming, error) {
	if r.isClosed() {
		return nil, ErrClosed
	}
	if head.Lineage == (store.Lineage{}) {
		return nil, errors.New("the snapshot has no lineage")
	}
	if err := r.goesBack(head); err != nil {
		return nil, err
	}
	view := &View{state: state{head: head, floor: head.Version}, index: newIndex()}
	return &Incoming{r: r, view: view, edit: view.index.edited(1)}, nil
}

// goesBack says that a snapshot is older than what is shown.
func (r *Replica) goesBack(head store.Head) error {
	if have := r.View().Head(); have.Lineage == head.Lineage && have.Version > head.Version {
		return &OlderError{have.Version, head.Version}
	}
	return nil
}

// Add adds an entry, whose document is copied. No key may come twice.
func (in *Incoming) Add(key string, e store.Entry) error {
	if in.done {
		return errDone
	}
	if err := store.CheckKey(key); err != nil {
		return fmt.Errorf("receiving a snapshot: %w", err)
	}
	if len(e.Value) > store.MaxValue {
		return fmt.Errorf("receiving a snapshot: the value of %q has %d octets, more than %d", key, len(e.Value), store.MaxValue)
	}
	if isSecret(key) {
		if in.r.key == nil {
			return fmt.Errorf("receiving a snapshot: %w", errNoKey(key))
		}
		in.view.state.key = in.r.key.name
	}
	if in.edit.put(key, e) {
		return fmt.Errorf("receiving a snapshot: it has the key %q twice", key)
	}
	if in.edit.live > in.r.opt.MaxBytes {
		in.r.metrics.limits.With("max_bytes").Inc()
		return fmt.Errorf("receiving a snapshot: %w", &LimitError{"max_bytes", in.r.opt.MaxBytes})
	}
	in.sum.Add(store.DigestOf(key, e))
	return nil
}

// Hidden says how many entries there are beside those that are added, and their sum: this node may not read them.
func (in *Incoming) Hidden(count uint64, sum store.Sum) {
	in.view.state.hidden, in.view.state.hiddenSum = count, sum
}

// Len returns how many entries were added.
func (in *Incoming) Len() int { return in.edit.n }

// Abort gives it up. It does nothing after Commit.
func (in *Incoming) Abort() {
	in.done = true
	in.view, in.edit = nil, nil
}

// Commit checks the whole against the head, writes it beside the copy, and puts it in its place. The log is empty then, and its floor is the head. After a *DiskError the copy is the old one, and Commit may be called
// again, until the disk has room; if it was the sync of the folder that failed the copy is the new one, and might be the old one again after a failure of power: calling it again does that once more.
// After any other error the snapshot is given up.
func (in *Incoming) Commit() (err error) {
	if in.done {
		return errDone
	}
	r, view, edit, sum := in.r, in.view, in.edit, in.sum
	in.Abort()
	defer func() {
		var disk *DiskError
		if errors.As(err, &disk) {
			in.view, in.edit, in.done = view, edit, false
		}
	}()
	if sum.Plus(view.state.hiddenSum) != view.state.head.Sum {
		return &store.DivergenceError{Have: view.state.head.Version, Got: view.state.head.Version, Why: "the sum of the snapshot's entries is not what its head says"}
	}
	view.index = edit.index
	if err := r.begin(context.Background()); err != nil {
		return err
	}
	defer r.end()
	if err := r.goesBack(view.state.head); err != nil {
		return err
	}
	db, err := r.create(view)
	if err != nil {
		return err
	}
	r.file.Lock()
	renamed, err := r.install()
	if !renamed {
		r.file.Unlock()
		r.discard(db)
		return err
	}
	old, broken := r.db, r.broken.Load() != nil
	r.db, r.unsure = db, false
	r.broken.Store(nil)
	closed := closeBolt(old, broken)
	r.file.Unlock()
	r.show(view)
	r.metrics.snapshots.Inc()
	if err = errors.Join(err, closed); err != nil {
		return r.diskError("replacing the local copy of the store", err)
	}
	return nil
}

// create writes a new file with what a view has, beside the one in use, and syncs it.
func (r *Replica) create(view *View) (*bbolt.DB, error) {
	path := filepath.Join(r.dir, newName)
	err := r.opt.Disk("create")
	var db *bbolt.DB
	if err == nil {
		if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		db, err = openBolt(path)
	}
	if err == nil {
		db.NoSync = true
		err = guard(path, func() error { return r.fill(db, view) })
	}
	if err == nil {
		err = r.opt.Disk("sync")
	}
	if err == nil {
		db.NoSync = false
		err = db.Sync()
	}
	if err != nil {
		r.discard(db)
		return nil, r.diskError("writing a new copy of the store beside", err)
	}
	return db, nil
}

// discard gives up a new file.
func (r *Replica) discard(db *bbolt.DB) {
	_ = closeBolt(db, false)
	_ = os.Remove(filepath.Join(r.dir, newName)) // if it stays, the next start removes it
}

// fill writes all entries in their order, then the rest.
func (r *Replica) fill(db *bbolt.DB, view *View) error {
	var tx *bbolt.Tx
	var entries *bbolt.Bucket
	begin := func() (err error) {
		if err = r.opt.Disk("fill"); err != nil {
			return err
		}
		if tx, err = db.Begin(true); err != nil {
			return err
		}
		if entries, err = tx.CreateBucketIfNotExists(bucketEntries); err != nil {
			return err
		}
		entries.FillPercent = 0.9 // what comes is in order, and what changes later has some room
		return nil
	}
	err := begin()
	octets := 0
	for key, e := range view.All() {
		if err != nil {
			break
		}
		if octets >= fillOctets {
			octets = 0
			if err = tx.Commit(); err == nil {
				tx = nil
				err = begin()
			}
			if err != nil {
				break
			}
		}
		var b []byte
		if b, err = r.key.appendEntry(nil, key, e, view.state.head.Version); err == nil {
			err = entries.Put([]byte(key), b)
		}
		octets += len(key) + len(b)
	}
	if err == nil {
		_, err = tx.CreateBucketIfNotExists(bucketLog)
	}
	if err == nil {
		var meta *bbolt.Bucket
		if meta, err = tx.CreateBucketIfNotExists(bucketMeta); err == nil {
			err = errors.Join(meta.Put(keyFormat, appendFormat(nil, format)), meta.Put(keyState, appendState(nil, &view.state)))
		}
	}
	if err == nil {
		return tx.Commit()
	}
	if tx != nil {
		err = errors.Join(err, tx.Rollback())
	}
	return err
}

// install puts the new file in the place of the old one, and tells whether it is there now.
func (r *Replica) install() (renamed bool, err error) {
	if err = r.opt.Disk("rename"); err == nil {
		err = os.Rename(filepath.Join(r.dir, newName), r.path)
	}
	if err != nil {
		return false, r.diskError("replacing the local copy of the store", err)
	}
	if err = r.opt.Disk("folder"); err == nil {
		err = wholefile.OS{}.SyncDir(r.dir)
	}
	return true, err
}

var errDone = errors.New("the snapshot was committed or aborted already")
