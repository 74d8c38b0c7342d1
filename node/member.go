package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/replica"
)

// Waits between two attempts of a member of the root to go on with what has failed: short, for a commit is felt at once, and etcd is on this machine.
const (
	memberRetry    = 100 * time.Millisecond
	memberMaxRetry = 2 * time.Second
)

// feedCopy has a copy follow the root of which this node is a member, until ctx is done. The log is read from etcd, and where it does not reach so far, all entries are.
func (s *shared) feedCopy(ctx context.Context) {
	wait := memberRetry
	for ctx.Err() == nil {
		err := s.followRoot(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			wait = memberRetry
			continue
		}
		s.trouble(err)
		if !sleep(ctx, wait) {
			return
		}
		wait = min(2*wait, memberMaxRetry)
	}
}

// followRoot takes over what the root decides, until something fails.
func (s *shared) followRoot(ctx context.Context) error {
	if err := s.etcd.Ready(ctx); err != nil {
		return err
	}
	head, err := s.etcd.Head(ctx)
	switch {
	case errors.Is(err, etcd.ErrEmpty):
		head, err = s.found(ctx)
	case err == nil:
		err = s.finishRestore(head.Lineage) // if it was restored, and this node killed right then
	}
	if err != nil {
		return err
	}
	if err := s.signLineage(head.Lineage); err != nil {
		return err
	}
	at := s.copy.View().Head()
	if at.Lineage != head.Lineage || at.Version > head.Version {
		if at.Lineage == head.Lineage {
			// The copy has what the root has lost. That is never taken back in silence.
			return hinted{fmt.Errorf("the root is at version %d, and this node's copy at version %d already", head.Version, at.Version),
				"was etcd's folder replaced by an older one? ananas snapshot restore begins a new lineage, which all nodes take over"}
		}
		if err := s.copyEntries(ctx); err != nil {
			return err
		}
	}
	s.trouble(nil)
	err = s.etcd.Follow(ctx, s.copy.View().Head().Version, func(r *store.Record) error {
		if err := s.applyRecord(ctx, r); err != nil {
			return err
		}
		s.trouble(nil)
		return nil
	})
	if mendedByEntries(err) {
		s.n.log.Warn("this node's copy can't go on from where it is; all of it is read anew", "why", err)
		return s.copyEntries(ctx)
	}
	return err
}

// mendedByEntries tells whether a copy that could not go on needs all entries anew: the log does not reach it, it has strayed, or its file is spoilt, which nothing else mends while the node runs.
func mendedByEntries(err error) bool {
	var floor *store.FloorError
	var strayed *store.DivergenceError
	var broken *replica.BrokenError
	return errors.As(err, &floor) || errors.As(err, &strayed) || errors.As(err, &broken)
}

// copyEntries makes the copy anew from all that is in etcd.
func (s *shared) copyEntries(ctx context.Context) error {
	// The head is known only when all was read, and the copy has to know it first: so it is read for the head alone, then once more.
	for {
		head, err := s.etcd.Head(ctx)
		if err != nil {
			return err
		}
		in, err := s.copy.BeginSnapshot(head)
		if err != nil {
			return err
		}
		var missing [][32]byte
		read, err := s.etcd.Entries(ctx, func(key string, e store.Entry) error {
			missing = append(missing, feedBlobs{s.blobs}.Missing(key, e.Value)...)
			return in.Add(key, e)
		})
		switch {
		case err != nil:
			in.Abort()
			return err
		case read == head:
			if err := s.fetchBlobs(ctx, missing); err != nil {
				in.Abort()
				return fmt.Errorf("taking over version %d: %w", head.Version, err)
			}
			return in.Commit()
		}
		in.Abort() // another commit came in between
	}
}

// sleep waits, and tells whether ctx was not done before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
