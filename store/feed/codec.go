package feed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ananas-edge/ananas/store"
)

func appendHead(b []byte, h store.Head) []byte {
	b = append(b, h.Lineage[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Version))
	b = append(b, h.Hash[:]...)
	b = appendSum(b, h.Sum)
	var t uint64
	if !h.Time.IsZero() {
		t = uint64(h.Time.UnixMicro())
	}
	b = binary.LittleEndian.AppendUint64(b, t)
	return append(b, h.ID[:]...)
}

func appendSum(b []byte, s store.Sum) []byte {
	for _, lane := range s {
		b = binary.LittleEndian.AppendUint64(b, lane)
	}
	return b
}

func appendPath(b []byte, path []string) []byte {
	b = append(b, byte(len(path)))
	for _, name := range path {
		b = append(append(b, byte(len(name))), name...)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(v))), v...)
}

// appendText appends a text; what is beyond its limit is cut off.
func appendText(b []byte, text string, most int) []byte {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > most {
		text = text[:most]
		for !utf8.ValidString(text) && len(text) > most-utf8.UTFMax {
			text = text[:len(text)-1]
		}
	}
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(text))), text...)
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

// close returns what was wrong with what was read; something behind it is wrong too. After open it is not.
func (d *decoder) close(what string) error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d octets follow it", len(d.b))
	}
	return d.open(what)
}

func (d *decoder) open(what string) error {
	if d.err != nil {
		return fmt.Errorf("reading %s: %w", what, d.err)
	}
	return nil
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.b) {
		d.err = errShort
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) fixed(into []byte) { copy(into, d.take(len(into))) }

func (d *decoder) octet() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) bytes(most int) []byte {
	n := int(d.uint16())
	if n > most {
		d.fail("it has %d octets, more than %d", n, most)
	}
	return append([]byte(nil), d.take(n)...)
}

func (d *decoder) text(most int) string {
	s := string(d.bytes(most))
	if !utf8.ValidString(s) {
		d.fail("a text is not UTF-8")
	}
	return s
}

func (d *decoder) sum() (s store.Sum) {
	for i := range s {
		s[i] = d.uint64()
	}
	return s
}

func (d *decoder) head() (h store.Head) {
	d.fixed(h.Lineage[:])
	h.Version = store.Version(d.uint64())
	d.fixed(h.Hash[:])
	h.Sum = d.sum()
	if t := int64(d.uint64()); t != 0 {
		h.Time = time.UnixMicro(t).UTC()
	}
	d.fixed(h.ID[:])
	return h
}

func (d *decoder) path() []string {
	n := int(d.octet())
	if n > MaxPath {
		d.fail("its path has %d names, more than %d", n, MaxPath)
		return nil
	}
	var out []string
	for range n {
		name := string(d.take(int(d.octet())))
		if d.err == nil && (name == "" || len(name) > maxName || !utf8.ValidString(name)) {
			d.fail("its path has a name that is none")
		}
		out = append(out, name)
	}
	return out
}
