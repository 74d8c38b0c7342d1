package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/blobs"
)

// Times of blobs.
const (
	// blobRetry is how long a follower waits before it asks again for a blob that its source does not have, and blobTries how often it asks: what a source sends names
	// blobs that it has, so one that it lacks was lost, and it gets it from elsewhere itself. After 10 s the next source is asked.
	blobRetry = 200 * time.Millisecond
	blobTries = 50

	// partTime is how long a part may take to come.
	partTime = 30 * time.Second

	// blobDiskRetry is how long a follower waits before it gets a blob again that its disk has refused: all of it comes again.
	blobDiskRetry = 15 * time.Second
)

// fetch gets the blobs that records name, before they are applied.
func (c *connection) fetch(ctx context.Context, records []*store.Record) error {
	if c.f.c.Blobs == nil {
		return nil
	}
	for _, r := range records {
		for i := range r.Changes {
			for _, sum := range c.f.c.Blobs.Missing(r.Changes[i].Key, r.Changes[i].Entry.Value) {
				if err := c.fetchOne(ctx, sum); err != nil {
					return fmt.Errorf("fetching the blob %x, which version %d names: %w", sum[:8], r.Version, err)
				}
			}
		}
	}
	return nil
}

// name notes the blobs that an entry of a snapshot names.
func (c *connection) name(key string, doc []byte) {
	if c.f.c.Blobs == nil {
		return
	}
	for _, sum := range c.f.c.Blobs.Missing(key, doc) {
		if c.named == nil {
			c.named = make(map[[32]byte]bool)
		}
		c.named[sum] = true
	}
}

// fetchAll gets the blobs that a snapshot names, before it takes the place of the copy.
func (c *connection) fetchAll(ctx context.Context) error {
	for sum := range c.named {
		if err := c.fetchOne(ctx, sum); err != nil {
			return fmt.Errorf("fetching the blob %x, which a snapshot of version %d names: %w", sum[:8], c.begun.head.Version, err)
		}
	}
	c.named = nil
	return nil
}

// fetchOne gets one blob. What the disk refuses is got again, until ctx is done.
func (c *connection) fetchOne(ctx context.Context, sum [32]byte) error {
	told := false
	for {
		err := fetchBlob(ctx, c.f.c.Blobs, sum, c.askPart)
		var disk *blobs.DiskError
		var full *blobs.LimitError
		if !errors.As(err, &disk) && !(errors.As(err, &full) && full.Name != "max_blob") {
			if err == nil {
				c.f.m.blobs.Inc()
				if told {
					c.f.set(func(s *State) { s.Err = nil })
				}
			}
			return err
		}
		if !told {
			args := []any{"error", err}
			var h interface{ Hint() string }
			if errors.As(err, &h) {
				args = append(args, "hint", h.Hint())
			}
			c.f.c.Log.Error("a blob of the store can't be written down; it is tried again", args...)
			told = true
		}
		c.f.set(func(s *State) { s.Err = err })
		if !pause(ctx, blobDiskRetry) {
			return context.Cause(ctx)
		}
	}
}

// askPart asks the source for a part, and waits for it.
func (c *connection) askPart(ctx context.Context, a blobAsk) (blobPart, error) {
	if err := c.write(frame(typeBlobAsk, func(b []byte) []byte { return appendBlobAsk(b, a) })); err != nil {
		return blobPart{}, err
	}
	timer := time.NewTimer(partTime)
	defer timer.Stop()
	for {
		select {
		case p := <-c.parts:
			if p.sum == a.sum && p.offset == a.offset { // else of an attempt before
				return p, nil
			}
		case <-timer.C:
			return blobPart{}, &SilentError{partTime}
		case <-ctx.Done():
			return blobPart{}, context.Cause(ctx)
		}
	}
}

// fetchBlob gets a blob in parts, until it is there.
func fetchBlob(ctx context.Context, into Blobs, sum [32]byte, ask func(context.Context, blobAsk) (blobPart, error)) error {
	w, err := into.Begin(sum)
	if err != nil {
		return err
	}
	defer w.Abort()
	offset, tries := uint64(0), 0
	for {
		p, err := ask(ctx, blobAsk{sum, offset})
		if err != nil {
			return err
		}
		if p.missing {
			if tries++; tries == blobTries {
				return &AbsentError{sum}
			}
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

// AbsentError says that a node does not have a blob that it should have.
type AbsentError struct{ Sum [32]byte }

func (e *AbsentError) Error() string {
	return fmt.Sprintf("the other side does not have the blob %x", e.Sum[:8])
}

// Hint says what to do.
func (*AbsentError) Hint() string {
	return "apply the file that it is the content of once more, on the root: it is there again then"
}
