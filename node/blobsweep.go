package node

import (
	"context"
	"errors"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Times of keeping blobs.
const (
	// blobSweep is how often it is looked for blobs that no version names any more, and for such as are named and were lost.
	blobSweep = time.Hour

	// blobRetry is how long a node waits before it asks again for blobs that it has lost, doubled up to blobMaxRetry.
	blobRetry    = time.Second
	blobMaxRetry = time.Minute
)

// keepBlobs gets anew what was lost, and sweeps what no version names any more, until ctx is done.
func (s *shared) keepBlobs(ctx context.Context) {
	log := blobLog{last: make(map[[32]byte]store.Version)}
	wait := blobRetry
	for {
		lost := s.lostBlobs()
		next := blobSweep
		if len(lost) > 0 {
			if err := s.fetchBlobs(ctx, lost); err != nil {
				args := []any{"error", err}
				var h interface{ Hint() string }
				if errors.As(err, &h) {
					args = append(args, "hint", h.Hint())
				}
				s.n.log.Error("a blob that the settings name was lost and is not to be had now; it is tried again", args...)
				next, wait = wait, min(2*wait, blobMaxRetry)
			} else {
				s.n.log.Info("blobs that were lost are here again", "blobs", len(lost))
				wait = blobRetry
				s.use.again.Store(true)
			}
		} else if err := s.sweepBlobs(&log); err != nil && ctx.Err() == nil {
			s.n.log.Warn("blobs that no version names any more could not be removed", "error", err)
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-s.lost:
			if next < blobSweep { // it is known
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
			}
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// lostBlobs returns the blobs that the last version names and that are not here.
func (s *shared) lostBlobs() (lost [][32]byte) {
	for key, doc := range s.copy.View().Under("") {
		lost = append(lost, feedBlobs{s.blobs}.Missing(key, doc)...)
	}
	return lost
}

// blobLog remembers which blobs the records name that a copy has in its log, so that each is read once.
type blobLog struct {
	lineage store.Lineage
	read    store.Version
	last    map[[32]byte]store.Version // by blob: the last version whose record names it, after it or before
}

// blobBatch is about how many octets of records are in memory while the log is read.
const blobBatch = 1 << 20

// advance reads the records that have come, and forgets those that are gone.
func (l *blobLog) advance(s *shared, view store.View) error {
	head := view.Head()
	if l.lineage != head.Lineage || l.read > head.Version {
		*l = blobLog{lineage: head.Lineage, last: make(map[[32]byte]store.Version)}
	}
	for l.read < head.Version {
		l.read = max(l.read, s.copy.Floor())
		records, err := s.copy.Records(l.read, blobBatch)
		var floor *store.FloorError
		if errors.As(err, &floor) {
			continue // it was cut meanwhile
		}
		if err != nil {
			return err
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			for i := range r.Changes {
				c := &r.Changes[i]
				for _, sum := range append(blobsOf(c.Key, c.Entry.Value), blobsOf(c.Key, c.Was.Value)...) {
					l.last[sum] = r.Version
				}
			}
			l.read = r.Version
		}
	}
	floor := s.copy.Floor()
	for sum, v := range l.last {
		if v <= floor {
			delete(l.last, sum)
		}
	}
	return nil
}

// sweepBlobs removes the blobs that neither the last version names nor one that can be gone back to. What is being committed right now names only blobs that were asked for a moment ago.
func (s *shared) sweepBlobs(l *blobLog) error {
	if s.blobs.Len() == 0 {
		return nil
	}
	view := s.copy.View()
	if err := l.advance(s, view); err != nil {
		return err
	}
	live := make(map[[32]byte]bool)
	for key, doc := range view.Under("") {
		for _, sum := range blobsOf(key, doc) {
			live[sum] = true
		}
	}
	removed, err := s.blobs.Sweep(func(sum [32]byte) bool { return live[sum] || l.last[sum] > 0 })
	if removed > 0 {
		s.n.log.Info("blobs that no version names any more were removed", "blobs", removed)
	}
	return err
}
