package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ananas-edge/ananas/store"
)

// MaxBatch is how many octets of records go into one transaction: two of the largest, or 16,000 of 1 KiB. What Apply is given beyond goes into further ones.
const MaxBatch = 2 * store.MaxRecord

// trimmed is how many records leave the log with a write, beyond two for each that comes: so the log shrinks while writes go on, and none waits for it.
const trimmed = 16

// Apply puts records on the copy, in their order. Those that it has already are passed over, so that a call may be repeated. The error is a *store.DivergenceError where one does not follow, a *DiskError
// where the disk failed, a *BrokenError where the file is spoilt, a *KeyError, a *LimitError, ErrClosed or ctx's while it waits for its turn; records before the one that it is about may have been applied.
func (r *Replica) Apply(ctx context.Context, records []*store.Record) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.end()
	return r.apply(records)
}

// apply is Apply for who has the writer's place.
func (r *Replica) apply(records []*store.Record) error {
	began := r.opt.Now()
	if err := r.settle(); err != nil {
		return err
	}
	records = unknown(r.View().Head(), records)
	n := 0
	for n < len(records) {
		b, took, wrong := r.gather(records[n:])
		if took == 0 {
			return wrong
		}
		if wrong != nil {
			b, _, _ = r.gather(records[n : n+took]) // those before it are good
		}
		if err := r.commit(b); err != nil {
			return err
		}
		if n += took; wrong != nil {
			return wrong
		}
	}
	if n > 0 {
		r.metrics.records.Add(uint64(n))
		r.metrics.apply.Observe(r.opt.Now().Sub(began))
	}
	return nil
}

// gather makes a batch of the first records, and returns how many, or what is wrong with the one after them: then the batch is of no use.
func (r *Replica) gather(records []*store.Record) (*batch, int, error) {
	b := r.batch()
	for i, rec := range records {
		if b.octets >= MaxBatch {
			return b, i, nil
		}
		if err := b.add(rec); err != nil {
			return b, i, err
		}
	}
	return b, len(records), nil
}

// unknown returns what follows the record that head is at; all, if that is not among them.
func unknown(head store.Head, records []*store.Record) []*store.Record {
	at := slices.IndexFunc(records, func(r *store.Record) bool { return r.Version == head.Version && r.Hash == head.Hash })
	return records[at+1:]
}

// batch is a change of the copy in the making.
type batch struct {
	r      *Replica
	state  state
	edit   *edit
	now    time.Time
	stored []stored
	at     map[string]int // of puts, by key
	puts   []put
	octets int
}

// stored is a record as it goes to disk, put an entry: nil, if it goes.
type (
	stored struct {
		version store.Version
		b       []byte
	}
	put struct {
		key   string
		entry []byte
	}
)

func (r *Replica) batch() *batch {
	v := r.View()
	r.edits++
	return &batch{r: r, state: v.state, edit: v.index.edited(r.edits), now: r.opt.Now(), at: make(map[string]int)}
}

// add checks a record against what the copy has, and makes its changes.
func (b *batch) add(rec *store.Record) error {
	next, err := b.state.head.Next(rec)
	if err != nil {
		return err
	}
	strayed := func(format string, args ...any) error {
		return &store.DivergenceError{Have: b.state.head.Version, Got: rec.Version, Why: fmt.Sprintf(format, args...)}
	}
	kept := *rec
	kept.Changes = slices.Clone(rec.Changes)
	for i := range kept.Changes {
		c := &kept.Changes[i]
		if c.Hidden() {
			if !b.hide(c) {
				return strayed("it takes out an entry that this node may not read, and there is none")
			}
			continue
		}
		was, there := b.edit.at(c.Key)
		var digest store.Digest
		if there {
			digest = store.DigestOf(c.Key, was)
		}
		if digest != c.Old {
			return strayed("the entry %q is not what it was made for", c.Key)
		}
		c.Was = was
		if c.Deletes() {
			b.edit.del(c.Key)
			b.put(c.Key, nil)
			continue
		}
		entry, err := b.r.key.appendEntry(nil, c.Key, c.Entry, rec.Version)
		if err != nil {
			return err
		}
		if isSecret(c.Key) {
			b.state.key = b.r.key.name
		}
		b.edit.put(c.Key, c.Entry)
		b.put(c.Key, entry)
	}
	if b.edit.live > b.r.opt.MaxBytes {
		b.r.metrics.limits.With("max_bytes").Inc()
		return &LimitError{"max_bytes", b.r.opt.MaxBytes}
	}
	record, err := b.r.key.appendStored(nil, next.Lineage, &kept)
	if err != nil {
		return err
	}
	b.stored = append(b.stored, stored{rec.Version, record})
	b.octets += len(record)
	b.state.head = next
	b.state.logBytes += uint64(len(record))
	return nil
}

// hide follows a change of an entry that this node may not read.
func (b *batch) hide(c *store.Change) bool {
	if c.Old != (store.Digest{}) {
		if b.state.hidden == 0 {
			return false
		}
		b.state.hidden--
		b.state.hiddenSum.Sub(c.Old)
	}
	if c.New != (store.Digest{}) {
		b.state.hidden++
		b.state.hiddenSum.Add(c.New)
	}
	return true
}

// put remembers what the file is to have at a key.
func (b *batch) put(key string, entry []byte) {
	if i, ok := b.at[key]; ok {
		b.puts[i].entry = entry
		return
	}
	b.at[key] = len(b.puts)
	b.puts = append(b.puts, put{key, entry})
}

// commit writes a batch in one transaction, and shows it.
func (r *Replica) commit(b *batch) error {
	slices.SortFunc(b.puts, func(x, y put) int { return strings.Compare(x.key, y.key) })
	r.metrics.moved.Add(uint64(b.edit.clean()))
	err := r.write(func(tx *bbolt.Tx) error {
		entries, log := tx.Bucket(bucketEntries), tx.Bucket(bucketLog)
		log.FillPercent = 1 // versions only grow
		for _, s := range b.stored {
			if err := log.Put(versionKey(s.version), s.b); err != nil {
				return err
			}
		}
		for _, p := range b.puts {
			var err error
			if p.entry == nil {
				err = entries.Delete([]byte(p.key))
			} else {
				err = entries.Put([]byte(p.key), p.entry)
			}
			if err != nil {
				return err
			}
		}
		if err := b.trim(log); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keyState, appendState(nil, &b.state))
	})
	if err != nil {
		return err
	}
	r.show(&View{state: b.state, index: b.edit.index})
	return nil
}

// trim takes records out of the log that are too old, or too many. The last one stays.
func (b *batch) trim(log *bbolt.Bucket) error {
	s := &b.state
	oldest := b.now.Add(-b.r.opt.LogAge)
	for range trimmed + 2*len(b.stored) {
		if s.floor+1 >= s.head.Version {
			return nil
		}
		key, v := log.Cursor().First()
		if len(v) < storedHeader {
			return &BrokenError{Path: b.r.path, Err: errors.New("a record of its log is too short")}
		}
		limit := ""
		if storedTime(v).Before(oldest) {
			limit = "log_age"
		} else if s.logBytes > uint64(b.r.opt.LogBytes) {
			limit = "log_bytes"
		} else {
			return nil
		}
		b.r.metrics.limits.With(limit).Inc()
		s.floor = store.Version(binary.BigEndian.Uint64(key))
		s.logBytes -= uint64(len(v))
		if err := log.Delete(bytes.Clone(key)); err != nil {
			return err
		}
	}
	return nil
}
