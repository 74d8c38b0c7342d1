package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ananas-edge/ananas/store"
)

// trimBatch is how many records a transaction forgets. Each is an operation for its id.
const trimBatch = 1000

// Trim is that of a store.Root. The record of the head stays. It is done in several transactions; one that fails leaves a log that begins later than before.
func (r *Root) Trim(ctx context.Context, upto store.Version) error {
	c, err := r.running()
	if err != nil {
		return err
	}
	defer r.look() // there may be room now
	return c.trim(ctx, upto)
}

func (c *child) trim(ctx context.Context, upto store.Version) error {
	resp, err := c.client.Get(ctx, headKey)
	if err != nil {
		return fmt.Errorf("forgetting the log up to version %d: %w", upto, err)
	}
	head, err := headIn(resp.Kvs)
	if err != nil {
		return err
	}
	if upto = min(upto, max(head.Version, 1)-1); upto == 0 {
		return nil
	}
	end := recordFrom(upto + 1)
	for {
		keys, err := c.client.Get(ctx, recordFrom(0), clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(trimBatch))
		if err != nil {
			return fmt.Errorf("forgetting the log up to version %d: %w", upto, err)
		}
		if len(keys.Kvs) == 0 {
			return nil
		}
		ops := make([]clientv3.Op, 0, len(keys.Kvs)+1)
		last := string(keys.Kvs[len(keys.Kvs)-1].Key)
		ops = append(ops, clientv3.OpDelete(recordFrom(0), clientv3.WithRange(last+"\x00")))
		for _, kv := range keys.Kvs {
			_, id, err := parseRecordKey(string(kv.Key))
			if err != nil {
				return err
			}
			ops = append(ops, clientv3.OpDelete(commitKey(id)))
		}
		if _, err := c.client.Txn(ctx).Then(ops...).Commit(); err != nil {
			return fmt.Errorf("forgetting the log up to version %d: %w", upto, err)
		}
	}
}
