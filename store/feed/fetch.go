package feed

import (
	"context"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Times of blobs.
const (
	// blobRetry is how long a follower waits before it asks again for a blob that its source does not have yet: a relay fetches it itself first.
	blobRetry = 200 * time.Millisecond
	// partTime is how long a part may take to come.
	partTime = 30 * time.Second
)

// fetch gets the blobs that records need, before they are applied.
func (c *connection) fetch(ctx context.Context, records []*store.Record) error {
	if c.f.c.Blobs == nil {
		return nil
	}
	for _, r := range records {
		for _, sum := range c.f.c.Blobs.Missing(r) {
			if err := c.fetchOne(ctx, sum); err != nil {
				return fmt.Errorf("fetching the blob %x, which version %d names: %w", sum[:8], r.Version, err)
			}
		}
	}
	return nil
}

// fetchAll gets the blobs that a snapshot needs; those of a snapshot are told by its entries, which the copy does not show yet.
func (c *connection) fetchAll(context.Context) error { return nil }

// fetchOne gets one blob, in parts, until it is there.
func (c *connection) fetchOne(ctx context.Context, sum [32]byte) error {
	w, err := c.f.c.Blobs.Begin(sum)
	if err != nil {
		return err
	}
	defer w.Abort()
	offset := uint64(0)
	for {
		if err := c.write(frame(typeBlobAsk, func(b []byte) []byte { return appendBlobAsk(b, blobAsk{sum, offset}) })); err != nil {
			return err
		}
		var p blobPart
		timer := time.NewTimer(partTime)
		select {
		case p = <-c.parts:
			timer.Stop()
		case <-timer.C:
			return &SilentError{partTime}
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		switch {
		case p.sum != sum || p.offset != offset:
			continue // of an attempt before
		case p.missing:
			if !pause(ctx, blobRetry) {
				return context.Cause(ctx)
			}
			continue
		}
		if _, err := w.Write(p.data); err != nil {
			return err
		}
		if offset += uint64(len(p.data)); offset >= p.size {
			return w.Commit()
		}
	}
}
