package node

import (
	"bytes"
	"context"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/feed"
)

// confirmEvery is how often a member of the root makes sure that a quorum still has it: each time is a beat for all who follow.
const confirmEvery = time.Second

// confirm asks the quorum for the head, and notes when it had it.
func (s *shared) confirm(ctx context.Context) (store.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, confirmEvery)
	defer cancel()
	at := s.n.clock.Boot()
	head, err := s.etcd.Head(ctx)
	if err == nil {
		s.confirmed.Store(int64(at) + 1)
	}
	return head, err
}

// sinceConfirmed is how long ago this member of the root was last confirmed; negative: never.
func (s *shared) sinceConfirmed() time.Duration {
	at := s.confirmed.Load()
	if at == 0 {
		return -1
	}
	return max(0, s.n.clock.Boot()-time.Duration(at-1))
}

// keepConfirmed asks once a second, until ctx is done.
func (s *shared) keepConfirmed(ctx context.Context) {
	for {
		if head, err := s.confirm(ctx); err == nil && s.feed != nil {
			s.feed.Beat(feed.Beat{Time: s.n.clock.Wall(), Lineage: head.Lineage, Version: head.Version})
		}
		if !sleep(ctx, confirmEvery) {
			return
		}
	}
}

// confirmedFile has the time at which a root last confirmed this node's copy, so that a node that was started anew without a root can say how old its copy is. It is written once a minute, and at the end.
const (
	confirmedFile = "confirmed"
	noteEvery     = time.Minute
)

func (s *shared) readConfirmed() time.Time {
	b, err := readWhole(filepath.Join(s.folder, confirmedFile), 64)
	if err == nil && b != nil {
		var t time.Time
		if err = t.UnmarshalText(bytes.TrimSpace(b)); err == nil {
			return t
		}
	}
	if err != nil {
		s.n.log.Warn("it is not known when a root last confirmed this node's copy of the store", "error", err)
	}
	return time.Time{}
}

// noteConfirmed writes that time down, until ctx is done. A disk that takes nothing is told of by what follows the store.
func (s *shared) noteConfirmed(ctx context.Context) {
	for more := true; more; {
		more = sleep(ctx, noteEvery)
		age := s.heard()
		if age < 0 {
			continue
		}
		text, err := s.n.clock.Wall().Add(-age).UTC().Truncate(time.Second).MarshalText()
		if err == nil {
			err = wholefile.Write(wholefile.OS{}, filepath.Join(s.folder, confirmedFile), append(text, '\n'))
		}
		if err != nil {
			s.n.log.Debug("writing down when a root has confirmed this node's copy", "error", err)
		}
	}
}

// trimEvery is how often the log in etcd is cut to what this node's copy keeps of it. It is looked for by members whose copies are behind, and by nobody else.
const trimEvery = time.Minute

// keepTrimmed cuts the log in etcd while this member drives, until ctx is done.
func (s *shared) keepTrimmed(ctx context.Context) {
	for sleep(ctx, trimEvery) {
		if s.drives.Load() == nil {
			continue
		}
		if err := s.etcd.Trim(ctx, s.copy.Floor()); err != nil && ctx.Err() == nil {
			s.n.log.Warn("the log of the root could not be cut", "error", err)
		}
	}
}
