package dataset

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"unsafe"
)

// compiler gathers names and prefixes and makes the compiled form of them. Names lie in blocks, so that gathering never copies what is there.
type compiler struct {
	blocks  [][]byte
	records [][]record
	count   int // names, duplicates included
	v4, v6  []prefix
	line    int // of the source, for the order of prefixes
}

// record is a name as it was read: where its octets are (block and place in it), how many, and what it stands for.
type record struct {
	at           uint32
	len          uint8
	scope, value uint8
}

const (
	blockBits    = 20 // blocks of 1 MiB, 4,096 of them at most: 4 GiB, where the source has 1
	recordsBlock = 1 << 16
)

// addName adds a name in wire form without its root label, in lower case.
func (c *compiler) addName(name []byte, scope, value byte) {
	last := len(c.blocks) - 1
	if last < 0 || len(c.blocks[last])+len(name) > 1<<blockBits {
		c.blocks = append(c.blocks, make([]byte, 0, 1<<blockBits))
		last++
	}
	if c.count%recordsBlock == 0 {
		c.records = append(c.records, make([]record, 0, recordsBlock))
	}
	b := &c.blocks[last]
	r := &c.records[len(c.records)-1]
	*r = append(*r, record{uint32(last)<<blockBits | uint32(len(*b)), uint8(len(name)), scope, value})
	*b = append(*b, name...)
	c.count++
}

func (c *compiler) record(i int) record { return c.records[i/recordsBlock][i%recordsBlock] }

// name returns the octets of a record, without a copy.
func (c *compiler) name(r record) string {
	if r.len == 0 {
		return ""
	}
	b := c.blocks[r.at>>blockBits]
	return unsafe.String(&b[r.at&(1<<blockBits-1)], int(r.len))
}

// compiledNames is the part of the compiled form that holds names.
type compiledNames struct {
	seed          uint64
	table         *symbols
	buckets, more []byte
	depths        uint64
	deepest       int
	kept          int // entries
	duplicates    int
}

// errCrowded says that the names of a list meet in one bucket, whatever the seed.
var errCrowded = errors.New("more than 64 of its names have the same hash for each of 4 seeds: they were made to")

// seeds is how often a list whose names crowd is tried with another seed. By chance it does not happen: see bucketLimit.
const seeds = 4

func (c *compiler) compileNames(seed uint64) (compiledNames, error) {
	for range seeds {
		if out, ok := c.tryNames(seed); ok {
			return out, nil
		}
		seed = fold(seed)
	}
	return compiledNames{}, errCrowded
}

// tryNames sorts the names into buckets and encodes them there. Hashes are reckoned three times rather than kept: 8 octets a name for a fifth of a
// second.
func (c *compiler) tryNames(seed uint64) (out compiledNames, ok bool) {
	sample := c.sample()
	out = compiledNames{seed: seed, deepest: -1, table: train(sample)}
	e := newEncoder(out.table)
	buckets := bucketsFor(c.count, sample, e)
	begin := make([]uint32, buckets+1)
	for i := range c.count {
		yield(i)
		h, _ := hashName(seed, c.name(c.record(i)))
		b, _ := place(h, buckets)
		begin[b+1]++
	}
	for b := range buckets {
		begin[b+1] += begin[b]
	}
	order := make([]uint32, c.count)
	for i := range c.count {
		yield(i)
		h, _ := hashName(seed, c.name(c.record(i)))
		b, _ := place(h, buckets)
		order[begin[b]] = uint32(i) // moves begin[b] to where the next bucket begins, in the order of the source
		begin[b]++
	}
	out.buckets = make([]byte, 0, bucketLen*buckets)
	var inBucket []record
	var names []named
	var codes, rows []byte
	first := uint32(0)
	for b := range buckets {
		yield(int(b) * bucketNames)
		inBucket = inBucket[:0]
		for _, i := range order[first:begin[b]] {
			r := c.record(int(i))
			if merge(&inBucket, r, c.name) {
				out.duplicates++
			}
			if len(inBucket) > bucketLimit {
				return out, false
			}
		}
		first = begin[b]
		names, rows = names[:0], rows[:0]
		for _, r := range inBucket {
			name := c.name(r)
			h, labels := hashName(seed, name)
			_, tag := place(h, buckets)
			out.depths |= 1 << min(labels, 63)
			out.deepest = max(out.deepest, labels)
			codes = e.append(codes[:0], name)
			at := len(rows)
			rows = appendEntry(rows, listed{r.scope, r.value, codes})
			names = append(names, named{tag, rows[at:]})
		}
		slices.SortStableFunc(names, func(a, b named) int { return cmp.Compare(len(a.row), len(b.row)) })
		out.buckets, out.more = appendBucket(out.buckets, out.more, names)
		out.kept += len(names)
	}
	return out, true
}

// bucketNames is about how many names are in a bucket.
const bucketNames = 8

// yield lets others have the processor once in 1,024 names, some 300 us: the loops that answer queries may wait for it.
func yield(names int) {
	if names%1024 == 0 {
		runtime.Gosched()
	}
}

// bucketsFor is how many buckets n names like those of the sample get.
func bucketsFor(n int, sample []string, e *encoder) uint64 {
	octets := 0
	var codes []byte
	for _, s := range sample {
		codes = e.append(codes[:0], s)
		octets += 1 + len(appendEntry(nil, listed{codes: codes}))
	}
	each := octets / max(1, len(sample)) // rounded down, which is less than a fifteenth
	return max(1, uint64(n)*uint64(each)*100/(fill*(bucketLen-bucketFrame)))
}

// merge adds r to the names of a bucket. What was listed first stays: of a name that is listed again, only the scopes that it did not have are taken,
// and it is a duplicate if there are none.
func merge(list *[]record, r record, name func(record) string) (duplicate bool) {
	s := name(r)
	same := -1
	for i, o := range *list {
		if o.len == r.len && name(o) == s {
			r.scope &^= o.scope
			if o.value == r.value {
				same = i
			}
		}
	}
	switch {
	case r.scope == 0:
		return true
	case same >= 0:
		(*list)[same].scope |= r.scope
		return false
	}
	*list = append(*list, r)
	return false
}

// sample takes names evenly from the whole list.
func (c *compiler) sample() (sample []string) {
	step := max(1, c.count/(sampleOctets/20)) // names have some 20 octets
	octets := 0
	for i := 0; i < c.count && octets < 2*sampleOctets; i += step {
		s := c.name(c.record(i))
		sample = append(sample, s)
		octets += len(s)
	}
	return sample
}

// addPrefix adds a prefix, which is masked and not IPv4 in IPv6 form.
func (c *compiler) addPrefix(p netip.Prefix, value byte) {
	out := prefix{bits: uint8(p.Bits()), value: value, line: uint32(c.line)}
	if p.Addr().Is4() {
		b := p.Addr().As4()
		out.lo = uint64(binary.BigEndian.Uint32(b[:]))
		c.v4 = append(c.v4, out)
		return
	}
	b := p.Addr().As16()
	out.hi, out.lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	c.v6 = append(c.v6, out)
}
