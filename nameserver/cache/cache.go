package cache

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/telemetry"
)

// Clock returns the boot time: time since an arbitrary start that goes on while the machine sleeps and is never set.
type Clock func() time.Duration

// Config is what a cache is made of; none of it changes while it lives.
type Config struct {
	// Bytes bounds all memory of the cache: entries, indexes and what it remembers of evicted ones. At least MinBytes. Memory
	// is taken as it is needed and never given back before Close.
	Bytes int64
	// Now is the clock for Get, Put and the rest.
	Now Clock
	// Seed keys the hash. It must be secret where strangers may ask; tests repeat from it.
	Seed uint64
	// Table is the settings to begin with; nil: those of Defaults.
	Table *Table
	// Metrics may be nil.
	Metrics *telemetry.Metrics
	// Shards is how many parts with a lock of their own there are, rounded up to a power of two; 0: one for each 32 MiB, at
	// most 1024.
	Shards int
}

// MinBytes is the smallest cache. Below it, segments would be too small for the larger answers (MaxEntry).
const MinBytes = 1 << 20

const (
	bytesPerShard = 32 << 20
	maxShards     = 1024
	// A shard has some 64 segments, so that the small queue is six and losing a half of an open one does not matter; but a
	// segment must hold the largest entry and need not be larger than two of those.
	segmentsPerShard = 64
	minSegment       = 16 << 10
	maxSegment       = 128 << 10
	// MaxEntry is the size of the largest entry in a cache of 8 MiB a shard or more: 64 KiB, the largest message, and the same
	// again for names that were compressed in it; in smaller ones it is the size of a segment.
	MaxEntry = maxSegment - unit
	// ghostBytes is how many octets of log stand for one fingerprint: about the size of a small entry, so that the ghost is
	// about as long as the main queue.
	ghostBytes = 96
	// proofsShare is the part of the memory for the ordered index of proofs: at 64 octets for an owner of 30, 256 MiB hold
	// 131,072.
	proofsShare = 32
)

// Cache keeps RRsets and denials. All methods may be called from any goroutine.
type Cache struct {
	now       Clock
	table     atomic.Pointer[Table]
	key       hashKey
	shardBits uint8
	shards    []shard
	arena     arena
	proofs    proofs
	purges    purgeLog
	m         metrics
	capacity  int64
	maxEntry  int
	release   []func() error
	closing   sync.Once
	readers   readers
	changes   [changeStripes]atomic.Uint32
}

// shard is a part of the cache with a lock of its own.
type shard struct {
	// What readers without the lock go by, on lines that are hardly ever written.
	dir   []uint32      // of the index; nil once closed
	depth atomic.Uint32 // the first 1<<depth entries of dir are in use
	_     [2*cacheLine - 32]byte

	mu sync.Mutex // guards all below, the segments and pages that the shard holds, and is held to write what is above
	c  *Cache
	a  *arena

	// Index
	nextPage      uint32 // of the segment cut up last
	pagesLeft     uint32
	indexSegments int

	// Log
	small, main  queue
	free         uint32 // segments given back
	freeSegments int
	taken, quota int    // segments taken from the arena, and how many there may be
	victim       uint32 // the segment that is being evicted, of no queue any more; 0: none
	cursor       uint32 // how far it is evicted
	ghost        ghost

	n counts
	_ [2 * cacheLine]byte // the next shard's lock is on no line of this one
}

// counts is what a shard counts under its lock.
type counts struct {
	hits, misses, stale                   uint64
	denialHits, denialMisses, denialStale uint64
	ghostHits, damaged                    uint64
	entries                               [kindEnd]int64
	liveUnits                             int64
}

// New makes an empty cache.
func New(c Config) (*Cache, error) {
	switch {
	case c.Now == nil:
		return nil, errors.New("making a cache: it has no clock")
	case c.Bytes < MinBytes:
		return nil, fmt.Errorf("making a cache of %d bytes: the least is %d; write node.cache: 1MiB, or more", c.Bytes, MinBytes)
	case c.Bytes > maxBytes:
		return nil, fmt.Errorf("making a cache of %d bytes: the most is %d; write node.cache: %dGiB, or less", c.Bytes, int64(maxBytes), maxBytes>>30)
	}
	table := c.Table
	if table == nil {
		table, _ = Compile(Defaults())
	}
	n := int64(c.Shards)
	if n <= 0 {
		n = min(max(1, c.Bytes/bytesPerShard), maxShards)
		n = 1 << (bits.Len64(uint64(n)) - 1)
	}
	n = 1 << bits.Len64(uint64(min(n, maxShards)-1))
	for n > 1 && c.Bytes/n < MinBytes {
		n /= 2
	}
	segment := int64(minSegment)
	for segment < maxSegment && c.Bytes/n/segment > segmentsPerShard {
		segment *= 2
	}

	k := &Cache{
		now: c.Now, key: newHashKey(c.Seed), shardBits: uint8(bits.Len64(uint64(n) - 1)), shards: make([]shard, n), capacity: c.Bytes,
		maxEntry: int(segment) - unit,
	}
	k.table.Store(table)
	if err := k.layOut(segment, c.Seed); err != nil {
		return nil, fmt.Errorf("making a cache of %d bytes: %w", c.Bytes, err)
	}
	k.m.register(c.Metrics, k)
	k.proofs.gaveUp = k.m.proofsGivenUp
	return k, nil
}

// layOut takes the memory and gives each part its own.
func (c *Cache) layOut(segment int64, seed uint64) error {
	shards := int64(len(c.shards))
	fixed := shards * int64(unsafe.Sizeof(shard{}))
	quota := (c.capacity - fixed) / shards / segment
	var tables carver
	for {
		tables = carver{}
		c.carve(&tables, quota, segment)
		if fixed+tables.used+shards*quota*segment <= c.capacity {
			break
		}
		quota--
	}
	mem, release, err := mapMemory(tables.used, false) // tables are small, or hardly touched
	if err != nil {
		return err
	}
	c.release = append(c.release, release)
	tables = carver{rest: mem}
	c.carve(&tables, quota, segment)

	if mem, release, err = mapMemory(shards*quota*segment, true); err != nil {
		return errors.Join(err, c.Close())
	}
	c.release = append(c.release, release)
	c.arena.bytes, c.arena.words, c.arena.segUnits = mem, wordsOf(mem), uint32(segment/unit)
	c.proofs.set = newOrdered(c.proofs.set.mem, seed)
	for i := range c.shards {
		s := &c.shards[i]
		s.c, s.a, s.quota = c, &c.arena, int(quota)
	}
	return nil
}

// carve cuts the tables: what is touched from the start first, what is only touched once something is evicted last.
func (c *Cache) carve(from *carver, quota, segment int64) {
	shards := int64(len(c.shards))
	c.arena.segments = carve[segmentState](from, shards*quota)
	c.arena.pages = carve[pageState](from, shards*quota*segment/pageBytes)
	dir := int64(1) << min(maxDepth, bits.Len64(uint64(quota*segment/pageBytes)))
	for i := range c.shards {
		c.shards[i].dir = carve[uint32](from, dir)
	}
	c.proofs.set.mem = carve[byte](from, c.capacity/proofsShare)
	for i := range c.shards {
		c.shards[i].ghost = carve[uint16](from, (quota*segment/ghostBytes/ghostRoom+1)*ghostBucket)
	}
}

// Close gives the memory back. Whoever asks afterwards finds nothing.
func (c *Cache) Close() (err error) {
	c.closing.Do(func() {
		c.readers.close()
		for i := range c.shards {
			s := &c.shards[i]
			s.mu.Lock()
			s.dir, s.ghost = nil, nil
			s.n.entries, s.n.liveUnits = [kindEnd]int64{}, 0
			s.mu.Unlock()
		}
		c.proofs.mu.Lock()
		c.proofs.set = ordered{}
		c.proofs.mu.Unlock()
		for _, f := range c.release {
			err = errors.Join(err, f())
		}
	})
	return err
}

// SetTable changes the settings; they apply to what is stored and asked from now on.
func (c *Cache) SetTable(t *Table) { c.table.Store(t) }

func (c *Cache) moment(now time.Duration) moment {
	return moment{now: now, dead: now - c.table.Load().Stale}
}

func (c *Cache) shardOf(hash uint64) *shard { return &c.shards[hash>>(64-c.shardBits)] }

func (c *Cache) ident(kind Kind, name dns.Name, typ dns.Type, partition uint32) ident {
	wire := octetsOf(name.Wire())
	return ident{hash: c.key.name(wire), kind: kind, typ: typ, partition: partition, name: wire}
}

// Get returns a copy of the RRset that key names, live or, within the stale window, expired: the caller looks at Expires. Data
// and signatures lie in buf if it is large enough (then nothing is allocated), else in new memory. It counts as a hit.
func (c *Cache) Get(key Key, buf []byte) (Entry, bool) { return c.GetAt(key, c.now(), buf) }

// GetAt is [Cache.Get] for who knows what time it is.
func (c *Cache) GetAt(key Key, now time.Duration, buf []byte) (Entry, bool) {
	return c.get(0, key, now, buf, true)
}

// Peek is [Cache.Get] for look-ups that are no question of a client (the addresses of name servers, delegations): they keep an
// entry from being evicted, but are in no metric and do not make it worth a refresh.
func (c *Cache) Peek(key Key) (Entry, bool) { return c.get(0, key, c.now(), nil, false) }

// PeekAt is [Cache.Peek] for who knows what time it is and has memory for the data, as [Cache.Get] uses it.
func (c *Cache) PeekAt(key Key, now time.Duration, buf []byte) (Entry, bool) {
	return c.get(0, key, now, buf, false)
}

func (c *Cache) get(space Space, key Key, now time.Duration, buf []byte, count bool) (Entry, bool) {
	if key.Name.IsZero() || key.Partition > partitionMask {
		return Entry{}, false
	}
	id := c.ident(KindRRset, key.Name, key.Type, space.of(key.Partition))
	s := c.shardOf(id.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	var e Entry
	v, b := s.look(&id, c.moment(now))
	ok := b != nil
	if ok {
		e, ok = v.entry(key.Name, buf)
	}
	if ok {
		e.Hits = b.touch(count)
	}
	if count {
		countLook(ok, ok && e.Live(now), &s.n.hits, &s.n.misses, &s.n.stale)
	}
	return e, ok
}

// GetDenial returns a copy of what denies that name and type: that the name does not exist, else that it has no such records.
// It may be expired, like what Get returns.
func (c *Cache) GetDenial(name dns.Name, typ dns.Type) (Denial, bool) {
	return c.GetDenialAt(name, typ, c.now())
}

// GetDenialAt is [Cache.GetDenial] for who knows what time it is.
func (c *Cache) GetDenialAt(name dns.Name, typ dns.Type, now time.Duration) (Denial, bool) {
	return c.getDenial(0, name, typ, now, true)
}

// PeekDenial is [Cache.GetDenial] for look-ups that are no question of a client, as [Cache.Peek] is [Cache.Get].
func (c *Cache) PeekDenial(name dns.Name, typ dns.Type) (Denial, bool) {
	return c.getDenial(0, name, typ, c.now(), false)
}

func (c *Cache) getDenial(space Space, name dns.Name, typ dns.Type, now time.Duration, count bool) (Denial, bool) {
	if name.IsZero() {
		return Denial{}, false
	}
	id := c.ident(KindDenial, name, dns.TypeNone, space.of(0))
	s := c.shardOf(id.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := c.moment(now)
	v, b := s.look(&id, t)
	if typ != dns.TypeNone && (b == nil || v.expires <= now) { // a live NODATA is worth more than an expired NXDOMAIN
		id.typ = typ
		if w, bb := s.look(&id, t); bb != nil && (b == nil || w.expires > v.expires) {
			v, b = w, bb
		}
	}
	var d Denial
	ok := b != nil
	if ok {
		d, ok = v.denial(name)
	}
	if ok {
		d.Hits = b.touch(count)
	}
	if !count {
		return d, ok
	}
	countLook(ok, ok && d.Live(now), &s.n.denialHits, &s.n.denialMisses, &s.n.denialStale)
	return d, ok
}

func countLook(found, live bool, hits, misses, stale *uint64) {
	switch {
	case live:
		*hits++
	case found:
		*stale++
	default:
		*misses++
	}
}

// look returns the entry of id unless it is past its stale window, or damaged; then it is dropped.
func (s *shard) look(id *ident, t moment) (v view, b blob) {
	page, slot, b := s.find(id)
	if b == nil {
		return v, nil
	}
	if b.expires() <= t.dead {
		s.drop(page, slot, evictedExpired)
		return v, nil
	}
	v, ok := b.view()
	if !ok {
		s.drop(page, slot, notEvicted)
		s.n.damaged++
		return v, nil
	}
	return v, b
}
