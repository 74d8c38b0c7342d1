package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ananas-edge/ananas/store"
)

const (
	// commitTime is how long a commit may take before it is unknown. etcd gives up after 7 s itself: five, and two elections.
	commitTime = 10 * time.Second

	// slow is when a commit is looked after: a leader that died has lost it, and etcd would wait for its full time. Ten times a slow disk's.
	slow = 500 * time.Millisecond

	// givenUp is how long it is remembered that a commit was given up: far longer than etcd goes on trying to decide one.
	givenUp = time.Hour
)

// Commit is that of a store.Root: one transaction of etcd.
//
//	if    /h is prev, and there is no /c/id, and the term's key is there
//	then  put /h, /l/version, /c/id, and put or delete each /k/key
//	else  read what was found
func (r *Root) Commit(ctx context.Context, prev store.Head, rec *store.Record, t store.Term) error {
	next, err := prev.Next(rec)
	if err != nil {
		return err
	}
	conditions := []clientv3.Cmp{
		clientv3.Compare(clientv3.Value(headKey), "=", string(store.AppendHead(nil, prev))),
		clientv3.Compare(clientv3.CreateRevision(commitKey(rec.ID)), "=", 0),
	}
	found := []clientv3.Op{clientv3.OpGet(headKey), clientv3.OpGet(commitKey(rec.ID))}
	if t != nil {
		led, ok := t.(*term)
		if !ok {
			return fmt.Errorf("committing version %d: its term is none of this root's: %w", rec.Version, store.ErrTerm)
		}
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(led.key), "=", led.revision))
		found = append(found, clientv3.OpGet(led.key, clientv3.WithMinCreateRev(led.revision), clientv3.WithMaxCreateRev(led.revision)))
	}
	ops, err := puts(next, rec)
	if err != nil {
		return err
	}
	c, err := r.running()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("committing version %d: %w", rec.Version, err)
	}
	// From here on a failure says nothing of the outcome, unless it is one of etcd's own that does.
	asked, stop := context.WithTimeout(ctx, commitTime)
	defer stop()
	go c.watchLeader(asked, stop)
	resp, err := c.client.Txn(asked).If(conditions...).Then(ops...).Else(found...).Commit()
	if err != nil {
		return r.failed(ctx, c, rec, err)
	}
	c.heard(resp.Header)
	if resp.Succeeded {
		return nil
	}
	return refused(rec, resp)
}

// puts lists what a commit changes in etcd.
func puts(next store.Head, rec *store.Record) ([]clientv3.Op, error) {
	lean := rec.For(func(string) bool { return true }) // what was there before is in the copies' own logs
	ops := make([]clientv3.Op, 0, len(rec.Changes)+3)
	ops = append(ops,
		clientv3.OpPut(headKey, string(store.AppendHead(nil, next))),
		clientv3.OpPut(recordKey(rec.Version, rec.ID), string(store.AppendRecord(nil, lean))),
		clientv3.OpPut(commitKey(rec.ID), versionOctets(rec.Version)))
	for i := range rec.Changes {
		switch change := &rec.Changes[i]; {
		case change.Hidden():
			return nil, fmt.Errorf("committing version %d: change %d hides its key", rec.Version, i)
		case change.Deletes():
			ops = append(ops, clientv3.OpDelete(entryPrefix+change.Key))
		default:
			ops = append(ops, clientv3.OpPut(entryPrefix+change.Key, string(store.AppendEntry(nil, change.Entry))))
		}
	}
	return ops, nil
}

// refused says why the conditions of a commit did not hold, by what was found: head, id, and key of the term.
func refused(rec *store.Record, resp *clientv3.TxnResponse) error {
	if ids := resp.Responses[1].GetResponseRange().Kvs; len(ids) > 0 {
		switch v, err := parseVersion(ids[0].Value); {
		case err != nil:
			return err
		case v == rec.Version:
			return nil // it was done before: the same commit was sent twice
		case v == 0:
			return fmt.Errorf("committing version %d: %w", rec.Version, store.ErrGivenUp)
		default:
			return fmt.Errorf("committing version %d: a commit of the id %v was made as version %d", rec.Version, rec.ID, v)
		}
	}
	if len(resp.Responses) > 2 && len(resp.Responses[2].GetResponseRange().Kvs) == 0 {
		return store.ErrTerm
	}
	head, err := headIn(resp.Responses[0].GetResponseRange().Kvs)
	if err != nil {
		return err
	}
	return &store.ConflictError{Head: head}
}

// failed says what a failed transaction means: whether the commit was done, was not, or that it is not known.
func (r *Root) failed(ctx context.Context, c *child, rec *store.Record, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		r.look()
		// etcd says so before it decides, and also after: the one that reaches the quota is done. It has decided by now, so that a look settles it.
		ctx, stop := context.WithTimeout(ctx, commitTime)
		defer stop()
		switch v, lookErr := c.find(ctx, rec.ID); {
		case lookErr != nil:
			return fmt.Errorf("committing version %d: %w: %w (%w)", rec.Version, store.ErrUnknown, err, lookErr)
		case v == rec.Version:
			return nil
		}
		return &store.FullError{Err: fmt.Errorf("etcd's quota of %d octets is reached: %w", r.start.Quota, err)}
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrTooManyRequests):
		return fmt.Errorf("committing version %d: %w", rec.Version, err) // refused before it was decided
	}
	return fmt.Errorf("committing version %d: %w: %w", rec.Version, store.ErrUnknown, err)
}

// watchLeader ends the wait for an answer that will not come: what was on its way to a leader that died is lost, and etcd does not say so before its time is out.
func (c *child) watchLeader(ctx context.Context, stop func()) {
	before := c.term.Load()
	for wait := slow; ; wait = slow / 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		status, err := c.client.Status(ctx, socketName)
		if err != nil || before == 0 {
			continue
		}
		if status.RaftTerm != before && status.Leader != 0 {
			select { // the new one may have it all the same
			case <-ctx.Done():
			case <-time.After(slow / 2):
				stop()
			}
			return
		}
	}
}

// Lookup is that of a store.Root. It leaves a mark at an id that it does not find, which the transaction of that commit would run into.
func (r *Root) Lookup(ctx context.Context, id store.ID) (store.Version, error) {
	c, err := r.running()
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithTimeout(ctx, commitTime)
	defer stop()
	// A mark needs room, which there may be none of; what was done is found without.
	if v, err := c.find(ctx, id); v != 0 || err != nil {
		return v, err
	}
	lease, err := c.client.Grant(ctx, int64(givenUp/time.Second))
	if err != nil {
		return 0, r.marking(id, err)
	}
	resp, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(commitKey(id)), "=", 0)).
		Then(clientv3.OpPut(commitKey(id), versionOctets(0), clientv3.WithLease(lease.ID))).
		Else(clientv3.OpGet(commitKey(id))).Commit()
	switch {
	case err != nil:
		return 0, r.marking(id, err)
	case resp.Succeeded:
		return 0, nil
	}
	kvs := resp.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return 0, fmt.Errorf("looking up commit %v: etcd has it and does not", id)
	}
	return parseVersion(kvs[0].Value)
}

func (r *Root) marking(id store.ID, err error) error {
	full := errors.Is(err, rpctypes.ErrNoSpace)
	err = fmt.Errorf("looking up commit %v: %w", id, err)
	if full {
		r.look()
		return &store.FullError{Err: err}
	}
	return err
}

// find returns the version of a commit; 0 if there is none, or it was given up.
func (c *child) find(ctx context.Context, id store.ID) (store.Version, error) {
	resp, err := c.client.Get(ctx, commitKey(id))
	if err != nil {
		return 0, fmt.Errorf("looking up commit %v: %w", id, err)
	}
	if len(resp.Kvs) == 0 {
		return 0, nil
	}
	return parseVersion(resp.Kvs[0].Value)
}
