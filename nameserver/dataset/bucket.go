package dataset

import "math/bits"

// A bucket has the names that a part of all hashes leads to, in two lines of a processor's cache, so that a look-up waits for memory once:
//
//	number of names; a tag of eight bits of the hash for each of them; the heads of those that are here; where those are that are elsewhere (4 octets,
//	if there are any); value and codes of each name that is here; and in the last octet, the number of those
//
// A head has the scope of a name (the two high bits) and the number of its codes. Heads lie side by side, so that where a name begins is a sum and no walk.
// Those that are not here, the longest, lie in one row elsewhere. Their tags are here all the same: for a name that is not listed, memory is
// touched once in all but 3 % of the cases.
const (
	bucketLen = 128

	// fill is how full buckets are to be, were all as full as the others, in hundredths. By chance they are not: at 79, 7 % of the names lie
	// elsewhere, in a second wait for memory, at 85 it is 11 %. With less there are fewer of those and more that is empty.
	fill = 79

	// bucketLimit bounds the work of a look-up. Of 10,000,000 names by chance the fullest of the buckets has 30; more than 64 are made on purpose. It
	// leaves room for a word of tags after the last one.
	bucketLimit = 64

	bucketFrame = 2 // octets of a bucket that count
)

// place tells to which bucket a hash belongs, by its high bits, and its tag, by the low ones.
func place(h, buckets uint64) (bucket uint64, tag byte) {
	bucket, _ = bits.Mul64(h, buckets)
	return bucket, byte(h)
}

// probe is a bucket that has been touched.
type probe struct {
	at      uint64
	n, here uint8
	tag     uint8
}

// touch begins to look for the name whose hash is h. It reads an octet of both lines of its bucket, so that memory brings them at the same time.
func (s *Set) touch(h uint64) probe {
	i, tag := place(h, s.count)
	b := s.buckets[i*bucketLen:][:bucketLen:bucketLen]
	return probe{i * bucketLen, b[0], b[bucketLen-1], tag}
}

// find looks for the name wire[from:] with this scope. It expects nothing of what is in the memory, and goes over at most the names of one bucket.
func (s *Set) find(p probe, wire string, from int, scope byte) (value uint8, ok bool) {
	b := s.buckets[p.at:][:bucketLen:bucketLen]
	n := int(p.n)
	// Sixteen tags at once, whatever n is: how many names a bucket has is a toss-up, and so no branch.
	m := (tagged(le.Uint64(b[1:]), p.tag) | tagged(le.Uint64(b[9:]), p.tag)<<8) & (1<<uint(n) - 1)
	if m == 0 && n <= 16 || n > bucketLimit {
		return 0, false
	}
	for first := 0; ; {
		for ; m != 0; m &= m - 1 {
			e, ok := s.entry(b, p, first+bits.TrailingZeros64(m))
			if ok && e.scope&scope != 0 && s.table.equal(e.codes, wire, from, len(wire)-1) {
				return e.value, true
			}
		}
		if first += 16; first >= n {
			return 0, false
		}
		m = (tagged(le.Uint64(b[1+first:]), p.tag) | tagged(le.Uint64(b[9+first:]), p.tag)<<8) & (1<<uint(n-first) - 1)
	}
}

// tagged has bit i for octet i of w if it is tag, and perhaps for some above one that is.
func tagged(w uint64, tag byte) uint64 {
	const low, high = 0x0101010101010101, 0x8080808080808080
	x := w ^ uint64(tag)*low
	return ((x - low) &^ x & high) * 0x0002040810204081 >> 56 // the high bits of all octets, side by side
}

// entry returns name j of a bucket of at most bucketLimit names.
func (s *Set) entry(b []byte, p probe, j int) (e listed, ok bool) {
	heads := 1 + int(p.n)
	at := heads + int(p.here) // where what follows the heads begins
	if at >= bucketLen {
		return e, false
	}
	if j >= int(p.here) {
		return s.elsewhere(b, at, j-int(p.here))
	}
	if p.here < p.n {
		at += 4
	}
	at += j + codesOf(le.Uint64(b[heads:]), j) + codesOf(le.Uint64(b[heads+8:]), max(j, 8)-8)
	for i := 16; i < j; i++ { // names with hardly any octets
		at += int(b[heads+i] & 63)
	}
	head := b[heads+j]
	end := at + 1 + int(head&63)
	if end >= bucketLen {
		return e, false
	}
	return listed{head >> 6, b[at], b[at+1 : end]}, true
}

// codesOf sums the numbers of codes of the first j of eight heads, of all if there are fewer.
func codesOf(heads uint64, j int) int {
	return int(heads & 0x3f3f3f3f3f3f3f3f & (1<<(8*uint(j)) - 1) * 0x0101010101010101 >> 56)
}

// elsewhere returns name j of those that are not in their bucket, which says at b[at] where they are.
func (s *Set) elsewhere(b []byte, at, j int) (e listed, ok bool) {
	if at+4 >= bucketLen {
		return e, false
	}
	from := le.Uint32(b[at:])
	if uint64(from) > uint64(len(s.more)) {
		return e, false
	}
	row := s.more[from:]
	for {
		e, row, ok = entry(row)
		if !ok || j == 0 {
			return e, ok
		}
		j--
	}
}

// listed is a name. In a row it is a head, its value, and its codes. 63 and more codes come as 63 in the head, and as they are in the two octets after
// it, which is only elsewhere.
type listed struct {
	scope, value byte
	codes        []byte
}

const longCodes = 63

func entry(b []byte) (e listed, rest []byte, ok bool) {
	if len(b) < 2 {
		return e, nil, false
	}
	n, head := int(b[0]&63), 2
	if n == longCodes {
		if len(b) < 4 {
			return e, nil, false
		}
		n, head = int(le.Uint16(b[1:])), 4
	}
	if len(b) < head+n {
		return e, nil, false
	}
	return listed{b[0] >> 6, b[head-1], b[head : head+n]}, b[head+n:], true
}

func appendEntry(b []byte, e listed) []byte {
	if n := len(e.codes); n < longCodes {
		b = append(b, e.scope<<6|byte(n), e.value)
	} else {
		b = append(b, e.scope<<6|longCodes, byte(n), byte(n>>8), e.value)
	}
	return append(b, e.codes...)
}

// named is an entry and the tag of its name.
type named struct {
	tag byte
	row []byte
}

// appendBucket writes a bucket of these names, the shortest first, to buckets, and those that do not fit to more.
func appendBucket(buckets, more []byte, names []named) (_, _ []byte) {
	start := len(buckets)
	room := bucketLen - bucketFrame - len(names)
	here, used := 0, 0
	for here < len(names) && used+len(names[here].row) <= room && names[here].row[0]&63 != longCodes {
		used += len(names[here].row)
		here++
	}
	if here < len(names) {
		for used > room-4 { // for where the others are
			here--
			used -= len(names[here].row)
		}
	}
	buckets = append(buckets, byte(len(names)))
	for _, n := range names {
		buckets = append(buckets, n.tag)
	}
	for _, n := range names[:here] {
		buckets = append(buckets, n.row[0])
	}
	if here < len(names) {
		buckets = le.AppendUint32(buckets, uint32(len(more)))
	}
	for _, n := range names[:here] {
		buckets = append(buckets, n.row[1:]...)
	}
	for _, n := range names[here:] {
		more = append(more, n.row...)
	}
	buckets = append(buckets, make([]byte, bucketLen-1-(len(buckets)-start))...)
	return append(buckets, byte(here)), more
}

// walk goes over all names as they lie, and sees that each bucket is what appendBucket writes, that the rows elsewhere follow each other, and that
// there are as many names as the header says.
func (s *Set) walk(each func(listed) error) error {
	count := 0
	more := s.more
	for i := uint64(0); i < s.count; i++ {
		yield(int(i) * bucketNames)
		b := s.buckets[i*bucketLen:][:bucketLen]
		p := probe{at: i * bucketLen, n: b[0], here: b[bucketLen-1]}
		n, here := int(p.n), int(p.here)
		heads := 1 + n
		if n > bucketLimit || here > n || heads+here >= bucketLen-4 {
			return damaged("bucket %d has %d of %d names", i, here, n)
		}
		if here < n && int(le.Uint32(b[heads+here:])) != len(s.more)-len(more) {
			return damaged("bucket %d has no other place", i)
		}
		for j := range n {
			e, ok := listed{}, false
			if j < here {
				e, ok = s.entry(b, p, j)
			} else {
				e, more, ok = entry(more)
			}
			if !ok {
				return damaged("bucket %d is no row of names", i)
			}
			if err := each(e); err != nil {
				return err
			}
		}
		count += n
	}
	if len(more) > 0 || count != s.info.Names {
		return damaged("it has %d names and %d octets over, where its header says %d", count, len(more), s.info.Names)
	}
	return nil
}
