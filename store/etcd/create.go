package etcd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ananas-edge/ananas/store"
)

// Create makes the store of a root that has none, with a lineage of its own, and returns its head; of a store that is there already that one's. Several members may do so at once.
func (r *Root) Create(ctx context.Context) (store.Head, error) {
	c, err := r.running()
	if err != nil {
		return store.Head{}, err
	}
	if head, err := r.Head(ctx); !errors.Is(err, ErrEmpty) {
		return head, err
	}
	head := store.Head{Lineage: r.lineage()}
	resp, err := c.client.Txn(ctx).If(noHead()).
		Then(clientv3.OpDelete(entryPrefix, clientv3.WithPrefix()), clientv3.OpPut(headKey, string(store.AppendHead(nil, head)))). // of a restore that was not ended
		Else(clientv3.OpGet(headKey)).Commit()
	switch {
	case err != nil:
		return store.Head{}, fmt.Errorf("making a store in etcd: %w", err)
	case resp.Succeeded:
		return head, nil
	}
	return headIn(resp.Responses[0].GetResponseRange().Kvs)
}

func noHead() clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(headKey), "=", 0) }

func (r *Root) lineage() (l store.Lineage) {
	r.config.Random(l[:])
	return l
}

// ErrMade says that a root has a store already.
var ErrMade = errors.New("the root has a store already")

// Snapshot is what a store is restored from.
type Snapshot struct {
	Head    store.Head
	Entries iter.Seq2[Entry, error]
	Author  string // who restores it
	Reason  string
	ID      store.ID // of the commit that the restored store begins with
	Time    time.Time
}

// Entry is an entry of a snapshot.
type Entry struct {
	Key string
	store.Entry
}

// Limits of a transaction of Restore.
const (
	restoreKeys = 4096
	restoreSize = 4 << 20 // octets
)

// Restore makes the store of a root that has none from a snapshot: with a new lineage, which goes on with the next version. Nothing of it is seen before all of it is; one that
// fails, or is killed, leaves a root without a store, and can be repeated. A root that has a store is ErrMade.
func (r *Root) Restore(ctx context.Context, s Snapshot) (store.Head, error) {
	c, err := r.running()
	if err != nil {
		return store.Head{}, err
	}
	switch _, err := r.Head(ctx); {
	case err == nil:
		return store.Head{}, ErrMade
	case !errors.Is(err, ErrEmpty):
		return store.Head{}, err
	}
	put := func(ops []clientv3.Op) error {
		resp, err := c.client.Txn(ctx).If(noHead()).Then(ops...).Commit()
		if err != nil {
			return fmt.Errorf("restoring a snapshot: %w", err)
		}
		if !resp.Succeeded {
			return ErrMade
		}
		return nil
	}
	if err := put([]clientv3.Op{clientv3.OpDelete(entryPrefix, clientv3.WithPrefix())}); err != nil {
		return store.Head{}, err
	}
	var sum store.Sum
	var ops []clientv3.Op
	size := 0
	for e, err := range s.Entries {
		if err != nil {
			return store.Head{}, fmt.Errorf("restoring a snapshot: %w", err)
		}
		if err := store.CheckKey(e.Key); err != nil {
			return store.Head{}, fmt.Errorf("restoring a snapshot: %w", err)
		}
		sum.Add(store.DigestOf(e.Key, e.Entry))
		value := store.AppendEntry(nil, e.Entry)
		ops = append(ops, clientv3.OpPut(entryPrefix+e.Key, string(value)))
		if size += len(e.Key) + len(value); size < restoreSize && len(ops) < restoreKeys {
			continue
		}
		if err := put(ops); err != nil {
			return store.Head{}, err
		}
		ops, size = ops[:0], 0
	}
	if sum != s.Head.Sum {
		return store.Head{}, errors.New("restoring a snapshot: the sum of its entries is not what it says; it is damaged")
	}
	head, rec := store.Restored(s.Head, r.lineage(), s.ID, s.Time, s.Author, s.Reason)
	ops = append(ops,
		clientv3.OpPut(recordKey(rec.Version, rec.ID), string(store.AppendRecord(nil, rec))),
		clientv3.OpPut(commitKey(rec.ID), versionOctets(rec.Version)),
		clientv3.OpPut(headKey, string(store.AppendHead(nil, head))))
	return head, put(ops)
}
