package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ananas-edge/ananas/store"
)

// Pages. etcd bounds an answer by keys and not by octets, so that a page begins small and grows while the values are small.
const (
	firstPage = 8    // records of 4.4 MiB at most: 35 MiB
	mostPage  = 1024 //
	pageSize  = 4 << 20
)

// page is how many keys to ask for.
type page int

// after returns how many to ask for next, if these were had: as many as make pageSize, and at most four times as many as before.
func (p page) after(kvs []*mvccpb.KeyValue) page {
	size := 1
	for _, kv := range kvs {
		size += len(kv.Value)
	}
	return page(max(1, min(mostPage, 4*int(p), pageSize*max(1, len(kvs))/size)))
}

// Records is that of a store.Root.
func (r *Root) Records(ctx context.Context, after store.Version, most int) ([]*store.Record, error) {
	c, err := r.running()
	if err != nil {
		return nil, err
	}
	var out []*store.Record
	for p := page(firstPage); ; {
		got, kvs, _, err := c.records(ctx, after, p)
		if err != nil {
			return nil, err
		}
		for i, rec := range got {
			if most -= len(kvs[i].Value); most < 0 && len(out) > 0 {
				return out, nil
			}
			out, after = append(out, rec), rec.Version
		}
		if len(got) < int(p) {
			return out, nil
		}
		p = p.after(kvs)
	}
}

// records returns a page of records after a version, and as of which revision of etcd's.
func (c *child) records(ctx context.Context, after store.Version, p page) ([]*store.Record, []*mvccpb.KeyValue, int64, error) {
	resp, err := c.client.Txn(ctx).Then(clientv3.OpGet(headKey),
		clientv3.OpGet(recordFrom(after+1), afterRecords(), clientv3.WithLimit(int64(p)))).Commit()
	if err != nil {
		return nil, nil, 0, fmt.Errorf("reading the log after version %d: %w", after, err)
	}
	c.heard(resp.Header)
	head, err := headIn(resp.Responses[0].GetResponseRange().Kvs)
	if err != nil {
		return nil, nil, 0, err
	}
	kvs := resp.Responses[1].GetResponseRange().Kvs
	out := make([]*store.Record, 0, len(kvs))
	for i, kv := range kvs {
		rec, err := parseRecord(kv)
		switch {
		case err != nil:
			return nil, nil, 0, err
		case i == 0 && rec.Version != after+1:
			return nil, nil, 0, &store.FloorError{Asked: after, Floor: rec.Version - 1}
		case rec.Version != after+1+store.Version(i):
			return nil, nil, 0, fmt.Errorf("reading the log after version %d: version %d is not there", after, after+1+store.Version(i))
		}
		out = append(out, rec)
	}
	if len(kvs) == 0 && after < head.Version {
		return nil, nil, 0, fmt.Errorf("reading the log after version %d: the record of the head, version %d, is not there", after, head.Version)
	}
	return out, kvs, resp.Header.Revision, nil
}

func parseRecord(kv *mvccpb.KeyValue) (*store.Record, error) {
	v, id, err := parseRecordKey(string(kv.Key))
	if err != nil {
		return nil, err
	}
	rec, err := store.ParseRecord(kv.Value)
	if err != nil {
		return nil, fmt.Errorf("reading version %d in etcd: %w", v, err)
	}
	if rec.Version != v || rec.ID != id {
		return nil, fmt.Errorf("etcd has version %d, commit %v, in the place of version %d, commit %v", rec.Version, rec.ID, v, id)
	}
	return rec, nil
}

// Entries is that of a store.Root. A minute of old revisions is kept (keep.go), so that reading may take as long; what takes longer fails, and is begun anew by the caller.
func (r *Root) Entries(ctx context.Context, entry func(key string, e store.Entry) error) (store.Head, error) {
	c, err := r.running()
	if err != nil {
		return store.Head{}, err
	}
	resp, err := c.client.Get(ctx, headKey)
	if err != nil {
		return store.Head{}, fmt.Errorf("reading all entries: %w", err)
	}
	head, err := headIn(resp.Kvs)
	if err != nil {
		return store.Head{}, err
	}
	revision := resp.Header.Revision
	end := clientv3.GetPrefixRangeEnd(entryPrefix)
	p := page(mostPage / 4) // values of 64 KiB at most: 16 MiB
	for from := entryPrefix; ; {
		resp, err := c.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(int64(p)), clientv3.WithRev(revision), clientv3.WithSerializable())
		if err != nil {
			return store.Head{}, fmt.Errorf("reading all entries of version %d: %w", head.Version, err)
		}
		for _, kv := range resp.Kvs {
			key := string(kv.Key[len(entryPrefix):])
			e, rest, err := store.ParseEntry(kv.Value)
			if err != nil {
				return store.Head{}, fmt.Errorf("reading the entry %q in etcd: %w", key, err)
			}
			if len(rest) > 0 {
				return store.Head{}, fmt.Errorf("reading the entry %q in etcd: %d octets follow it", key, len(rest))
			}
			if err := entry(key, e); err != nil {
				return store.Head{}, err
			}
			from = string(kv.Key) + "\x00"
		}
		if !resp.More {
			return head, nil
		}
		p = p.after(resp.Kvs)
	}
}

// again is how long Follow waits before it asks anew, after what it could not foresee.
const again = 200 * time.Millisecond

// Follow is that of a store.Root. Where etcd does not answer it waits until it does.
func (r *Root) Follow(ctx context.Context, after store.Version, next func(*store.Record) error) error {
	for {
		c, err := r.wait(ctx)
		if err != nil {
			return err
		}
		f := follower{c: c, after: after, next: next}
		err = f.follow(ctx)
		after = f.after
		var floor *store.FloorError
		switch {
		case f.refused != nil:
			return f.refused
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &floor):
			return err
		}
		r.log.Debug("following etcd begins anew", "after", after, "error", err)
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follower is one try to follow.
type follower struct {
	c       *child
	after   store.Version
	next    func(*store.Record) error
	refused error // what next said
}

// follow takes the log up to its end, and watches what is put behind it.
func (f *follower) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var revision int64
	for p := page(firstPage); ; {
		got, kvs, at, err := f.c.records(ctx, f.after, p)
		if err != nil {
			return err
		}
		for _, rec := range got {
			if err := f.give(rec); err != nil {
				return err
			}
		}
		if len(got) < int(p) {
			revision = at
			break
		}
		p = p.after(kvs)
	}
	watch := f.c.client.Watch(ctx, recordFrom(f.after+1), afterRecords(), clientv3.WithRev(revision+1), clientv3.WithFilterDelete(), clientv3.WithFragment())
	for resp := range watch {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("watching the log after version %d: %w", f.after, err) // such as: its revision is no longer kept
		}
		for _, event := range resp.Events {
			rec, err := parseRecord(event.Kv)
			if err != nil {
				return err
			}
			if rec.Version != f.after+1 {
				return fmt.Errorf("watching the log after version %d: version %d came", f.after, rec.Version)
			}
			if err := f.give(rec); err != nil {
				return err
			}
		}
	}
	return errors.New("the watch has ended")
}

func (f *follower) give(rec *store.Record) error {
	if f.refused = f.next(rec); f.refused != nil {
		return f.refused
	}
	f.after = rec.Version
	return nil
}
