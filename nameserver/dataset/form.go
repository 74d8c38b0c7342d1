package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
)

// The compiled form: a header of 256 octets, then six sections, each beginning at a multiple of 128 octets. Numbers are little-endian but for the keys
// of ranges.
//
//	  0  "AnanasDS"
//	  8  version of the form, 4 octets
//	 12  CRC-32C of the header, as if these four octets were zero
//	 16  SHA-256 of the source
//	 48  octets of the source, 8
//	 56  format that was asked for, format that was found, value, zero; lines tolerated, 4
//	 64  names, prefixes, taken, skipped, other triggers, duplicates, bad lines: 8 each
//	120  seed, depths: 8 each; deepest plus one, 4; ranges of IPv4 and IPv6, 4 each; zero, 4
//	152  for each section its octets, 8, CRC-32C, 4, and zero, 4: symbols, buckets, names that are elsewhere, IPv4, IPv6, notes
//	248  zero
const (
	magic       = "AnanasDS"
	formVersion = 3
	headerLen   = 256
	sections    = 6
	alignment   = bucketLen // of sections, so that a bucket is two lines of a cache, a pair that processors fetch at once
)

const (
	symbolSection = iota
	bucketSection
	moreSection
	v4Section
	v6Section
	noteSection
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DamagedError says that a compiled data set is not what was written: refused, whatever it is.
type DamagedError struct{ Why string }

func (e *DamagedError) Error() string { return "compiled data set: " + e.Why }

// Hint tells what to do now.
func (*DamagedError) Hint() string { return "remove the file; it is compiled again from its source" }

func damaged(format string, args ...any) error { return &DamagedError{fmt.Sprintf(format, args...)} }

// header is what stands before the sections.
type header struct {
	info    Info
	seed    uint64
	depths  uint64
	deepest int
	v4, v6  int
	lens    [sections]uint64
	sums    [sections]uint32
}

func (h *header) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = le.AppendUint32(b, formVersion)
	b = le.AppendUint32(b, 0)
	b = append(b, h.info.Source[:]...)
	b = le.AppendUint64(b, uint64(h.info.SourceOctets))
	b = append(b, byte(h.info.Asked), byte(h.info.Format), h.info.Value, 0)
	b = le.AppendUint32(b, uint32(h.info.Tolerate))
	for _, n := range h.info.counts() {
		b = le.AppendUint64(b, uint64(*n))
	}
	b = le.AppendUint64(b, h.seed)
	b = le.AppendUint64(b, h.depths)
	b = le.AppendUint32(b, uint32(h.deepest+1))
	b = le.AppendUint32(b, uint32(h.v4))
	b = le.AppendUint32(b, uint32(h.v6))
	b = le.AppendUint32(b, 0)
	for i := range sections {
		b = le.AppendUint64(b, h.lens[i])
		b = le.AppendUint32(b, h.sums[i])
		b = le.AppendUint32(b, 0)
	}
	b = append(b, make([]byte, headerLen-(len(b)-start))...)
	le.PutUint32(b[start+12:], crc32.Checksum(b[start:], castagnoli))
	return b
}

func readHeader(b []byte) (h header, err error) {
	if len(b) < headerLen || string(b[:8]) != magic {
		return h, damaged("this is none")
	}
	if v := le.Uint32(b[8:]); v != formVersion {
		return h, damaged("it has version %d of the form, and this program reads %d", v, formVersion)
	}
	var whole [headerLen]byte
	copy(whole[:], b)
	clear(whole[12:16])
	if crc32.Checksum(whole[:], castagnoli) != le.Uint32(b[12:]) {
		return h, damaged("its header does not have its checksum")
	}
	h.info.Source = [sha256.Size]byte(b[16:48])
	h.info.SourceOctets = int64(le.Uint64(b[48:]))
	h.info.Asked, h.info.Format, h.info.Value = Format(b[56]), Format(b[57]), b[58]
	h.info.Tolerate = int(le.Uint32(b[60:]))
	for i, n := range h.info.counts() {
		*n = int(le.Uint64(b[64+8*i:]))
	}
	h.seed, h.depths = le.Uint64(b[120:]), le.Uint64(b[128:])
	h.deepest = int(le.Uint32(b[136:])) - 1
	h.v4, h.v6 = int(le.Uint32(b[140:])), int(le.Uint32(b[144:]))
	for i := range sections {
		h.lens[i], h.sums[i] = le.Uint64(b[152+16*i:]), le.Uint32(b[160+16*i:])
	}
	return h, nil
}

// assemble writes header and sections one after the other.
func assemble(h header, parts [sections][]byte) []byte {
	size := headerLen
	for i, p := range parts {
		h.lens[i], h.sums[i] = uint64(len(p)), crc32.Checksum(p, castagnoli)
		size += aligned(len(p))
	}
	b := h.append(make([]byte, 0, size))
	for _, p := range parts {
		b = append(b, p...)
		b = append(b, make([]byte, aligned(len(p))-len(p))...)
	}
	return b
}

func aligned(n int) int { return (n + alignment - 1) &^ (alignment - 1) }

// Load makes a Set of the compiled form, which it keeps and nobody may change. It checks all sums and that the parts fit together, so that a damaged
// form is an error; look-ups check their bounds all the same.
func Load(b []byte) (*Set, error) {
	h, err := readHeader(b)
	if err != nil {
		return nil, err
	}
	rest := b[headerLen:]
	var parts [sections][]byte
	for i := range parts {
		if h.lens[i] > uint64(len(rest)) || aligned(int(h.lens[i])) > len(rest) {
			return nil, damaged("it ends early")
		}
		n := int(h.lens[i])
		parts[i] = rest[:n:n]
		rest = rest[aligned(n):]
		if checksum(parts[i]) != h.sums[i] {
			return nil, damaged("section %d does not have its checksum", i)
		}
	}
	if len(rest) > 0 {
		return nil, damaged("%d octets follow it", len(rest))
	}
	s := &Set{info: h.info, seed: h.seed, depths: h.depths, deepest: h.deepest, buckets: parts[bucketSection], more: parts[moreSection]}
	if !readNotes(parts[noteSection], &s.info.Notes) {
		return nil, damaged("its notes are none")
	}
	if s.deepest > maxLabels {
		return nil, damaged("it has names of %d labels", s.deepest)
	}
	if !s.table.read(parts[symbolSection]) {
		return nil, damaged("its table of symbols is none")
	}
	if n := len(s.buckets); n < bucketLen || n%bucketLen != 0 {
		return nil, damaged("its buckets have %d octets", n)
	}
	s.count = uint64(len(s.buckets) / bucketLen)
	if err := s.walk(func(listed) error { return nil }); err != nil {
		return nil, err
	}
	const most = 2*maxEntries + 1
	if h.v4 > most || h.v6 > most || len(parts[v4Section]) != rangesLen(h.v4, 4) || len(parts[v6Section]) != rangesLen(h.v6, 16) {
		return nil, damaged("%d and %d ranges of addresses do not fit their sections", h.v4, h.v6)
	}
	s.v4, s.v6 = readRanges(parts[v4Section], h.v4, 4), readRanges(parts[v6Section], h.v6, 16)
	return s, nil
}

// checksum is CRC-32C, in pieces: nothing else runs on a processor in between, and a list has 100 MB.
func checksum(b []byte) (sum uint32) {
	const piece = 1 << 20 // 50 us, or what the disk takes
	for len(b) > piece {
		sum, b = crc32.Update(sum, castagnoli, b[:piece]), b[piece:]
		runtime.Gosched()
	}
	return crc32.Update(sum, castagnoli, b)
}

const symbolOctets = 9 // length, piece

func (t *symbols) append(b []byte) []byte {
	for _, y := range t[:symbolLimit] {
		b = le.AppendUint64(append(b, byte(y.n)), y.word)
	}
	return b
}

// read takes a table that was written by append. What is beyond the length of a piece has to be zero, as equal expects.
func (t *symbols) read(b []byte) bool {
	if len(b) != symbolLimit*symbolOctets {
		return false
	}
	for c := range symbolLimit {
		y := symbol{binary.LittleEndian.Uint64(b[c*symbolOctets+1:]), uint64(b[c*symbolOctets])}
		if y.n > 8 || y.n < 8 && y.word>>(8*y.n) != 0 {
			return false
		}
		t[c] = y
	}
	return true
}
