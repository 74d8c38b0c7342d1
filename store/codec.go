package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// The form of records on disk, in etcd and on the way. The first octet is the format, so that a node reads those of earlier releases; a change of the
// form takes the next number. Numbers are unsigned varints (LEB128) unless said otherwise, texts and documents have their length before them.
//
//	format   1 octet, 1
//	version  varint
//	id       16 octets
//	time     8 octets, little endian, microseconds since 1970
//	kind, author, reason  texts
//	sum      4 times 8 octets, little endian
//	hash     32 octets
//	changes  varint, then for each: flags (1 octet), then what the flags say, in this order:
//	         key (text), old digest, new digest, salt and document after, salt and document before
const recordFormat = 1

const (
	hasKey = 1 << iota
	hasOld
	hasNew
	hasEntry
	hasWas
)

// MaxRecord is the length of an encoded record in octets: all keys and documents, those before them, for each change two digests, two salts, three lengths and
// flags, and the texts of the commit.
const MaxRecord = 2*MaxCommit + MaxChanges*(2*32+2*16+3*3+1) + 4096

// AppendRecord appends r to b.
func AppendRecord(b []byte, r *Record) []byte {
	b = append(b, recordFormat)
	b = binary.AppendUvarint(b, uint64(r.Version))
	b = append(b, r.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time.UnixMicro()))
	b = appendText(b, string(r.Kind))
	b = appendText(b, r.Author)
	b = appendText(b, r.Reason)
	for _, lane := range r.Sum {
		b = binary.LittleEndian.AppendUint64(b, lane)
	}
	b = append(b, r.Hash[:]...)
	b = binary.AppendUvarint(b, uint64(len(r.Changes)))
	for i := range r.Changes {
		b = appendChange(b, &r.Changes[i])
	}
	return b
}

func appendChange(b []byte, c *Change) []byte {
	var flags byte
	for _, f := range []struct {
		set  bool
		flag byte
	}{
		{!c.Hidden(), hasKey}, {c.Old != Digest{}, hasOld}, {c.New != Digest{}, hasNew},
		{c.Entry.Value != nil, hasEntry}, {c.Was.Value != nil, hasWas},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	b = append(b, flags)
	if flags&hasKey != 0 {
		b = appendText(b, c.Key)
	}
	if flags&hasOld != 0 {
		b = append(b, c.Old[:]...)
	}
	if flags&hasNew != 0 {
		b = append(b, c.New[:]...)
	}
	if flags&hasEntry != 0 {
		b = AppendEntry(b, c.Entry)
	}
	if flags&hasWas != 0 {
		b = AppendEntry(b, c.Was)
	}
	return b
}

// AppendEntry appends an entry: its salt, and its document with the length before it.
func AppendEntry(b []byte, e Entry) []byte {
	b = append(b, e.Salt[:]...)
	b = binary.AppendUvarint(b, uint64(len(e.Value)))
	return append(b, e.Value...)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// ParseRecord reads a record that AppendRecord wrote; nothing may follow it. It checks the form and the limits, not the hash: [Head.Next] does. The
// documents share the memory of b.
func ParseRecord(b []byte) (*Record, error) {
	d := decoder{b: b}
	if f := d.octet(); d.err == nil && f != recordFormat {
		return nil, fmt.Errorf("reading a record: its format is %d; this release reads %d: it is from a later one", f, recordFormat)
	}
	r := &Record{Version: Version(d.number())}
	d.fixed(r.ID[:])
	r.Time = time.UnixMicro(int64(d.uint64())).UTC()
	r.Kind = Kind(d.text(maxKind))
	r.Author = d.text(MaxAuthor)
	r.Reason = d.text(MaxReason)
	for i := range r.Sum {
		r.Sum[i] = d.uint64()
	}
	d.fixed(r.Hash[:])
	n := d.number()
	if n > MaxChanges {
		d.fail("it has %d changes, more than %d", n, MaxChanges)
	}
	if d.err == nil {
		r.Changes = make([]Change, 0, min(int(n), len(d.b))) // each takes an octet at least
	}
	for range n {
		if d.err != nil {
			break
		}
		r.Changes = append(r.Changes, d.change())
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d octets follow it", len(d.b))
	}
	if d.err != nil {
		return nil, fmt.Errorf("reading a record: %w", d.err)
	}
	return r, nil
}

// ParseEntry reads an entry that AppendEntry wrote, and returns what follows it.
func ParseEntry(b []byte) (Entry, []byte, error) {
	d := decoder{b: b}
	e := d.entry()
	if d.err != nil {
		return Entry{}, nil, fmt.Errorf("reading an entry: %w", d.err)
	}
	return e, d.b, nil
}

// decoder reads values one after another, and remembers the first thing that was wrong.
type decoder struct {
	b   []byte
	err error
}

var errShort = errors.New("it ends too early")

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// take returns the next n octets; nil after an error.
func (d *decoder) take(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	if n > uint64(len(d.b)) {
		d.err = errShort
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) octet() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) fixed(into []byte) { copy(into, d.take(uint64(len(into)))) }

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) number() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	switch {
	case n == 0:
		d.err = errShort
	case n < 0 || n > 1 && d.b[n-1] == 0:
		d.fail("a number is written in a form that is none of ours") // one value has one form
	default:
		d.b = d.b[n:]
		return v
	}
	return 0
}

func (d *decoder) text(most uint64) string {
	n := d.number()
	if n > most {
		d.fail("a text has %d octets, more than %d", n, most)
	}
	s := string(d.take(n))
	if !utf8.ValidString(s) {
		d.fail("a text is not UTF-8")
	}
	return s
}

func (d *decoder) entry() Entry {
	var e Entry
	d.fixed(e.Salt[:])
	n := d.number()
	if n > MaxValue {
		d.fail("a document has %d octets, more than %d", n, MaxValue)
	}
	if e.Value = d.take(n); e.Value == nil {
		e.Value = []byte{} // nil is no document
	}
	return e
}

func (d *decoder) change() Change {
	var c Change
	flags := d.octet()
	if flags >= hasWas<<1 {
		d.fail("a change has unknown flags %#x", flags)
	}
	if flags&hasKey != 0 {
		c.Key = d.text(MaxKey)
		if d.err == nil {
			d.err = CheckKey(c.Key)
		}
	}
	if flags&hasOld != 0 {
		d.fixed(c.Old[:])
	}
	if flags&hasNew != 0 {
		d.fixed(c.New[:])
	}
	if flags&hasEntry != 0 {
		c.Entry = d.entry()
	}
	if flags&hasWas != 0 {
		c.Was = d.entry()
	}
	if d.err == nil {
		switch {
		case flags&hasKey == 0 && flags&(hasEntry|hasWas) != 0:
			d.fail("a change without a key has a document")
		case flags&hasKey != 0 && (flags&hasNew != 0) != (flags&hasEntry != 0):
			d.fail("the change of %q has a document or a digest after it, and not both", c.Key)
		case flags&hasWas != 0 && flags&hasOld == 0:
			d.fail("the change of %q has a document before it and no digest", c.Key)
		case flags&hasOld != 0 && c.Old == Digest{}, flags&hasNew != 0 && c.New == Digest{}:
			d.fail("a digest is zero")
		}
	}
	return c
}

// headFormat is the first octet of a head: as recordFormat.
const headFormat = 1

// AppendHead appends h to b: format, lineage, version, hash, sum, time, id; numbers in 8 octets, little endian, time in microseconds since 1970. Equal heads are equal octets.
func AppendHead(b []byte, h Head) []byte {
	b = append(b, headFormat)
	b = append(b, h.Lineage[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Version))
	b = append(b, h.Hash[:]...)
	for _, lane := range h.Sum {
		b = binary.LittleEndian.AppendUint64(b, lane)
	}
	var micros int64
	if !h.Time.IsZero() {
		micros = h.Time.UnixMicro()
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(micros))
	return append(b, h.ID[:]...)
}

// ParseHead reads a head that AppendHead wrote; nothing may follow it.
func ParseHead(b []byte) (Head, error) {
	d := decoder{b: b}
	if f := d.octet(); d.err == nil && f != headFormat {
		return Head{}, fmt.Errorf("reading a head: its format is %d; this release reads %d: it is from a later one", f, headFormat)
	}
	var h Head
	d.fixed(h.Lineage[:])
	h.Version = Version(d.uint64())
	d.fixed(h.Hash[:])
	for i := range h.Sum {
		h.Sum[i] = d.uint64()
	}
	if micros := int64(d.uint64()); micros != 0 {
		h.Time = time.UnixMicro(micros).UTC()
	}
	d.fixed(h.ID[:])
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d octets follow it", len(d.b))
	}
	if d.err != nil {
		return Head{}, fmt.Errorf("reading a head: %w", d.err)
	}
	return h, nil
}
