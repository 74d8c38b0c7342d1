package cache

import "github.com/ananas-edge/ananas/telemetry"

// metrics are the counters that are too seldom touched to be kept by the shard.
type metrics struct {
	evicted       [causeEnd]*telemetry.Counter
	refused       [verdictEnd]*telemetry.Counter
	ttlsCut       *telemetry.Counter
	purges        *telemetry.Counter
	purged        *telemetry.Counter
	proofsGivenUp *telemetry.Counter
}

func (m *metrics) register(t *telemetry.Metrics, c *Cache) {
	evicted := t.CounterVec("ananas_cache_evictions_total",
		"Entries evicted: cold (hardly asked for), aged (not asked for any more), expired (past the stale window), index (its page of the index was full), crowded (in use, but there was no room).", "cause")
	for i := range notEvicted {
		m.evicted[i] = evicted.With(causeNames[i])
	}
	refused := t.CounterVec("ananas_cache_refused_total",
		"Entries that were not stored, by reason: rank, security (something better is there), purged, forgotten (the work began before a purge), expired, size, form, closed, changed (a finished answer was overtaken by something newer).", "reason")
	for v := Stored + 1; v < verdictEnd; v++ {
		m.refused[v] = refused.With(v.String())
	}
	m.ttlsCut = t.Counter("ananas_cache_ttls_cut_total", "Entries whose time was cut to max_ttl or negative_max_ttl by the cache.")
	m.purges = t.Counter("ananas_cache_purges_total", "Purges by operators.")
	m.purged = t.Counter("ananas_cache_purged_entries_total", "Entries that purges removed.")
	m.proofsGivenUp = t.Counter("ananas_cache_proofs_given_up_total", "NSEC and NSEC3 owners that left the ordered index because it was full.")

	sum := func(f func(*counts) uint64) func() float64 {
		return func() float64 {
			var n uint64
			c.eachCounts(func(k *counts) { n += f(k) })
			return float64(n)
		}
	}
	t.CounterFunc("ananas_cache_hits_total", "RRset look-ups for clients that found a live entry.", sum(func(k *counts) uint64 { return k.hits }))
	t.CounterFunc("ananas_cache_misses_total", "RRset look-ups for clients that found nothing; a denial may have been found next.", sum(func(k *counts) uint64 { return k.misses }))
	t.CounterFunc("ananas_cache_stale_hits_total", "RRset look-ups for clients that found an expired entry in its stale window.", sum(func(k *counts) uint64 { return k.stale }))
	t.CounterFunc("ananas_cache_denial_hits_total", "Denial look-ups that found a live one.", sum(func(k *counts) uint64 { return k.denialHits }))
	t.CounterFunc("ananas_cache_denial_misses_total", "Denial look-ups that found nothing.", sum(func(k *counts) uint64 { return k.denialMisses }))
	t.CounterFunc("ananas_cache_denial_stale_hits_total", "Denial look-ups that found an expired one in its stale window.", sum(func(k *counts) uint64 { return k.denialStale }))
	t.CounterFunc("ananas_cache_image_hits_total", "Look-ups of finished answers that found one.", func() float64 {
		hits, _ := c.readers.count()
		return float64(hits)
	})
	t.CounterFunc("ananas_cache_image_misses_total", "Look-ups of finished answers that found none, or one that has expired or was made under other settings.", func() float64 {
		_, misses := c.readers.count()
		return float64(misses)
	})
	t.CounterFunc("ananas_cache_ghost_hits_total", "Entries stored again soon after they were evicted as cold.", sum(func(k *counts) uint64 { return k.ghostHits }))
	t.CounterFunc("ananas_cache_damaged_total", "Entries found damaged in memory and dropped; not 0 is a mistake of ours or faulty memory.", sum(func(k *counts) uint64 { return k.damaged }))

	t.GaugeFunc("ananas_cache_entries", "Entries, expired ones included.", func() float64 {
		s := c.Stats()
		return float64(s.RRsets + s.Denials + s.Proofs)
	})
	t.GaugeFunc("ananas_cache_images", "Finished answers, expired ones included.", func() float64 { return float64(c.Stats().Images) })
	t.GaugeFunc("ananas_cache_bytes", "Bytes in use: by logs of entries and pages of the index.", func() float64 { return float64(c.Stats().Used) })
	t.GaugeFunc("ananas_cache_live_bytes", "Bytes of the entries that can be found; the rest of the logs is replaced ones and gaps.", func() float64 { return float64(c.Stats().Live) })
	t.GaugeFunc("ananas_cache_capacity_bytes", "Bytes that the cache may take (node.cache).", func() float64 { return float64(c.capacity) })
	t.GaugeFunc("ananas_cache_proof_owners", "NSEC and NSEC3 owners in the ordered index.", func() float64 { return float64(c.Stats().ProofOwners) })
}

// eachCounts calls f with the counts of each shard, under its lock.
func (c *Cache) eachCounts(f func(*counts)) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		f(&s.n)
		s.mu.Unlock()
	}
}

// Stats is the state of a cache at about one moment.
type Stats struct {
	Capacity int64 // bytes the cache may take
	Used     int64 // bytes of segments in use, by logs and index, and of the ordered index
	Live     int64 // bytes of entries that can be found
	Index    int64 // bytes of pages in use

	RRsets, Denials, Proofs int64 // entries, expired ones included
	Images                  int64 // finished answers
	ProofOwners             int64 // in the ordered index

	Hits, Misses, Stale                   uint64 // RRset look-ups for clients
	DenialHits, DenialMisses, DenialStale uint64
	GhostHits                             uint64
	Evicted                               uint64 // for room or age; not what was replaced or purged
	Damaged                               uint64
}

// Stats returns the state of c.
func (c *Cache) Stats() Stats {
	st := Stats{Capacity: c.capacity}
	segment := int64(c.arena.segUnits) * unit
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		k := &s.n
		st.Used += int64(s.taken-s.freeSegments) * segment
		st.Live += k.liveUnits * unit
		st.Index += int64(s.indexSegments)*segment - int64(s.pagesLeft)*pageBytes
		st.RRsets += k.entries[KindRRset]
		st.Denials += k.entries[KindDenial]
		st.Proofs += k.entries[KindProof]
		st.Images += k.entries[KindImage]
		st.Hits, st.Misses, st.Stale = st.Hits+k.hits, st.Misses+k.misses, st.Stale+k.stale
		st.DenialHits, st.DenialMisses, st.DenialStale = st.DenialHits+k.denialHits, st.DenialMisses+k.denialMisses, st.DenialStale+k.denialStale
		st.GhostHits += k.ghostHits
		st.Damaged += k.damaged
		s.mu.Unlock()
	}
	c.proofs.mu.RLock()
	st.ProofOwners = int64(c.proofs.set.len)
	st.Used += int64(c.proofs.set.used) * unit
	c.proofs.mu.RUnlock()
	for i := range notEvicted {
		st.Evicted += c.m.evicted[i].Value()
	}
	return st
}
