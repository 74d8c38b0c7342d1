package replica

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/ananas-edge/ananas/store"
)

// Load commits what a proposal wants, on a node whose file is the truth, and returns the record; nil if there was nothing to change. The first one begins a lineage. It is refused on a copy
// that follows a store.
func (r *Replica) Load(p store.Proposal) (*store.Record, error) {
	if err := r.begin(context.Background()); err != nil {
		return nil, err
	}
	defer r.end()
	if err := r.settle(); err != nil {
		return nil, err
	}
	b := r.batch()
	if b.state.head.Lineage != (store.Lineage{}) && !b.state.own {
		return nil, &FollowsError{b.state.head.Lineage}
	}
	var failed error
	random := func(b []byte) {
		if _, err := io.ReadFull(r.opt.Random, b); err != nil {
			failed = cmp.Or(failed, fmt.Errorf("reading random octets: %w", err))
		}
	}
	if !b.state.own {
		random(b.state.head.Lineage[:])
		b.state.own = true
	}
	if p.ID == (store.ID{}) {
		random(p.ID[:])
	}
	if p.Make != nil {
		if err := p.Make(r.View(), &p); err != nil {
			return nil, err
		}
	}
	salt := func() (s store.Salt) { random(s[:]); return s }
	rec, err := store.Prepare(b.state.head, p, r.View().Entry, b.now, salt)
	if err = cmp.Or(failed, err); err != nil || rec == nil {
		return nil, err
	}
	if err := b.add(rec); err != nil {
		return nil, err
	}
	if err := r.commit(b); err != nil {
		return nil, err
	}
	r.metrics.records.Inc()
	return rec, nil
}
