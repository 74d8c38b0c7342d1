package cache

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ananas-edge/ananas/dns"
)

const (
	// maxRecentPurges is how many purges are remembered by name. Work takes seconds; an operator who purges more than 64 names
	// in that time loses what else was being resolved then from the cache, not from answers.
	maxRecentPurges = 64
	// MaxPurgeNames is how many names a report lists: as many as one looks through.
	MaxPurgeNames = 100
)

// purgeLog is the epoch and the purges that raised it.
type purgeLog struct {
	epoch atomic.Uint64 // 1 + how many purges there were

	mu     sync.Mutex               // taken after a shard's, never before it
	recent [maxRecentPurges]purging // purge number n, which raised the epoch from n to n+1, is at n % maxRecentPurges
	one    sync.Mutex               // one purge at a time
}

// purging is what a purge is for.
type purging struct {
	name    dns.Name
	subtree bool
}

func (p *purging) covers(name dns.Name) bool {
	return p.subtree && name.IsWithin(p.name) || !p.subtree && name.Equal(p.name)
}

// hits tells whether something that is cached would answer for what is purged, by its kind, name, type and zone.
func (p *purging) hits(kind Kind, name dns.Name, typ dns.Type, zone dns.Name) bool {
	switch {
	case p.covers(name):
		return true
	case kind == KindDenial && typ == dns.TypeNone: // denies what is below it, too (RFC 8020)
		return p.name.IsWithin(name)
	case kind == KindProof: // may deny any name of its zone
		return p.name.IsWithin(zone)
	}
	return false
}

// Epoch returns the purge epoch: to be taken when work begins whose results will be stored, and given to Put.
func (c *Cache) Epoch() uint64 { return c.purges.epoch.Load() + 1 }

// check tells whether r, found by work begun at epoch, may be stored.
func (p *purgeLog) check(r *record, name dns.Name, epoch uint64) Verdict {
	current := p.epoch.Load() + 1
	if epoch >= current {
		return Stored
	}
	if current-epoch > maxRecentPurges {
		return RefusedForgotten
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := epoch; n < current; n++ {
		if p.recent[n%maxRecentPurges].hits(r.kind, name, r.typ, r.zone) {
			return RefusedPurged
		}
	}
	return Stored
}

// raise notes a purge and raises the epoch.
func (p *purgeLog) raise(what purging) (epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[(p.epoch.Load()+1)%maxRecentPurges] = what
	return p.epoch.Add(1) + 1
}

// PurgeReport says what a purge did.
type PurgeReport struct {
	Epoch                   uint64     // since this purge
	RRsets, Denials, Proofs int        // entries removed. Proofs are NSEC and NSEC3 RRsets, kept apart to deny other names with
	Names                   []dns.Name // whose entries were removed, each once, in canonical order, at most MaxPurgeNames
	MoreNames               bool       // there were more
	Left                    int        // entries that a second look found still there; not 0 is a mistake of ours, and comes with an error
}

// Purge removes what is cached of a name, or of it and all below it, and whatever else would deny it: NXDOMAIN above it, and
// proofs whose interval may hold it. What work begun before it finds is not stored afterwards. Live entries are looked for a
// second time; those that work begun after the purge stored are not counted as left.
func (c *Cache) Purge(name dns.Name, subtree bool) (PurgeReport, error) {
	if name.IsZero() {
		return PurgeReport{}, errors.New("purging the cache: no name; for everything, purge the subtree of the root")
	}
	c.purges.one.Lock()
	defer c.purges.one.Unlock()
	what := purging{name.Lower(), subtree}
	p := purge{c: c, what: what, names: map[dns.Name]struct{}{}}
	p.report.Epoch = c.purges.raise(what)
	c.m.purges.Inc()
	// A store that was let through just before the epoch rose ends before its shard's lock is had here. The sweep over shards
	// would wait for it anyway, but the one over the ordered index takes no shard's lock before it has found a proof.
	c.eachCounts(func(*counts) {})

	p.sweep(p.remove)
	p.sweep(p.count)

	for n := range p.names {
		p.report.Names = append(p.report.Names, n)
	}
	slices.SortFunc(p.report.Names, dns.Name.Compare)
	c.m.purged.Add(uint64(p.report.RRsets + p.report.Denials + p.report.Proofs))
	if p.report.Left > 0 {
		return p.report, fmt.Errorf("purging %q: %d entries are still there; restart the node to be rid of them, and report this", name, p.report.Left)
	}
	return p.report, nil
}
