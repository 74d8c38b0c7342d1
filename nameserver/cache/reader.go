package cache

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Reader looks images up without a lock, for one goroutine. What it reads may be evicted, moved and overwritten meanwhile; then it finds nothing, or the
// whole of what was there before:
//
//   - an entry is never changed where it lies (but for `use`), and its slot leads to it only once it is whole;
//   - before memory is used again the slot is gone, and then the segment's count `freed` goes up;
//   - so a reader that sees `freed`, the slot, then copies the entry, and sees the same `freed`, has copied what the slot led to.
//
// Splits of pages and the closing of gaps between slots may hide an entry for a moment. That is a miss, which costs time and nothing else.
type Reader struct {
	c      *Cache
	inside atomic.Uint32 // 1 while memory is read, which Close waits for
	words  [(maxImageEntry + unit - 1) / unit]uint64
	tally
}

// tally counts on lines that only one goroutine writes to.
type tally struct {
	_            [2 * cacheLine]byte
	hits, misses atomic.Uint64
	_            [2 * cacheLine]byte
}

// maxImageEntry is the largest entry that a Reader copies.
const maxImageEntry = headLen + dns.MaxNameLen + 4 + imageHead + MaxImage + 4096

// Look is one question of a batch.
type Look struct {
	Name    []byte // wire form without pointers, any case
	Type    dns.Type
	Variant Variant
	Class   Space // of the client: answers of one are not given to another

	hash  uint64
	shard *shard
	page  uint32  // of the index, where it may be; 0: there is none
	slot  *uint64 // where it was found; nil: nowhere
	value uint64  // what stood there
}

// readers are all that may be reading.
type readers struct {
	mu     sync.Mutex
	all    []*Reader
	gone   tally // of readers that were closed
	closed atomic.Bool
}

// NewReader returns a reader of images. It may be used by one goroutine at a time; Close it.
func (c *Cache) NewReader() *Reader {
	r := &Reader{c: c}
	c.readers.mu.Lock()
	defer c.readers.mu.Unlock()
	c.readers.all = append(c.readers.all, r)
	return r
}

// Close ends a reader.
func (r *Reader) Close() {
	rs := &r.c.readers
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if i := slices.Index(rs.all, r); i >= 0 {
		rs.all = slices.Delete(rs.all, i, i+1)
		rs.gone.hits.Add(r.hits.Load())
		rs.gone.misses.Add(r.misses.Load())
	}
}

// close keeps readers out and waits until the last one is.
func (rs *readers) close() {
	rs.closed.Store(true)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		for r.inside.Load() != 0 { // for the time of a batch
			runtime.Gosched()
		}
	}
}

func (rs *readers) count() (hits, misses uint64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	hits, misses = rs.gone.hits.Load(), rs.gone.misses.Load()
	for _, r := range rs.all {
		hits, misses = hits+r.hits.Load(), misses+r.misses.Load()
	}
	return hits, misses
}

// Enter begins a batch: until Leave, the cache is not closed. It returns false if it is already.
func (r *Reader) Enter() bool {
	r.inside.Store(1)
	if r.c.readers.closed.Load() {
		r.inside.Store(0)
		return false
	}
	return true
}

// Leave ends a batch, of which so many looks were hits and misses.
func (r *Reader) Leave(hits, misses int) {
	// Only this goroutine writes them: a plain addition, made visible to who reads.
	if hits > 0 {
		r.hits.Store(r.hits.Load() + uint64(hits))
	}
	if misses > 0 {
		r.misses.Store(r.misses.Load() + uint64(misses))
	}
	r.inside.Store(0)
}

// Find looks for a batch in the index, between Enter and Leave. It goes through all of it step by step, so that the memory of one is on its way to the processor while another one
// is worked on: a look-up alone waits for its slot and then for its entry, some 80 ns each.
func (r *Reader) Find(looks []Look) {
	c := r.c
	for i := range looks {
		looks[i].hash = c.key.name(looks[i].Name)
	}
	var warm uint64
	for i := range looks {
		l := &looks[i]
		s := c.shardOf(l.hash)
		bits := s.nameBitsOf(l.hash)
		l.shard, l.slot, l.page = s, nil, atomic.LoadUint32(&s.dir[bits>>(nameBits-s.depth.Load())])
		if l.page != 0 {
			warm += atomic.LoadUint64(&c.arena.slots(l.page)[homeOf(bits)])
		}
	}
	for i := range looks {
		if l := &looks[i]; l.page != 0 && l.probe(c) {
			at := l.value & locMask
			warm += atomic.LoadUint64(&c.arena.words[at])
			warm += atomic.LoadUint64(&c.arena.words[min(at+cacheLine/unit, uint64(len(c.arena.words)-1))])
		}
	}
	r.words[0] = warm // so that the reads are not left out
}

// probe finds the slot in the page, and tells whether there is one.
func (l *Look) probe(c *Cache) bool {
	id := ident{hash: l.hash, kind: KindImage, typ: l.Type, partition: l.Variant.partition(l.Class)}
	want := l.shard.tagOf(&id)
	slots := c.arena.slots(l.page)
	i := homeOf(want >> keyBits)
	for range pageSlots {
		v := atomic.LoadUint64(&slots[i])
		if v == 0 {
			break
		}
		if v>>locBits == want && v&locMask < uint64(len(c.arena.words)) {
			l.slot, l.value = &slots[i], v
			return true
		}
		i = (i + 1) % pageSlots
	}
	return false
}

// Image returns what Find found for a look: an image of that generation that has not expired. It lies in the reader's memory, until the next call.
func (r *Reader) Image(l *Look, generation uint32, now time.Duration) (m Image, ok bool) {
	if l.slot == nil {
		return m, false
	}
	a := &r.c.arena
	loc := l.value & locMask
	freed := &a.segments[loc/uint64(a.segUnits)].freed
	before := atomic.LoadUint32(freed)
	if atomic.LoadUint64(l.slot) != l.value {
		return m, false
	}
	head := atomic.LoadUint64(&a.words[loc])
	n := head & 0xffff
	if n < (headLen+unit-1)/unit || n > uint64(len(r.words)) || loc%uint64(a.segUnits)+n > uint64(a.segUnits) {
		return m, false
	}
	from := a.words[loc : loc+n]
	to := r.words[:len(from)]
	for i := range from {
		to[i] = atomic.LoadUint64(&from[i])
	}
	if atomic.LoadUint32(freed) != before {
		return m, false
	}
	b := blob(bytesOf(to))
	id := ident{kind: KindImage, typ: l.Type, partition: l.Variant.partition(l.Class), name: l.Name}
	if !b.is(&id) || b.expires() <= now {
		return m, false
	}
	if m, ok = imageOf(b, generation); ok && uint32(head>>32)&useCount < useCount {
		r.touch(l)
	}
	return m, ok
}

// touch counts an access for eviction, of the image and of what else is kept of its name and would be asked for instead. An entry in steady use has the
// highest count, so this is seldom; and if the lock is not free, the next access will count.
func (r *Reader) touch(l *Look) {
	s := l.shard
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	var buf [16]uint64
	for _, loc := range s.ofName(l.hash, l.Name, buf[:0]) {
		b := s.a.blob(loc)
		if b == nil {
			continue
		}
		if typ := b.typ(); typ == l.Type || typ == dns.TypeNone || typ == dns.TypeCNAME {
			b.touch(false)
		}
	}
}
