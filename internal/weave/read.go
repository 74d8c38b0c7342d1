package weave

import (
	"errors"
	"fmt"
)

var errShort = errors.New("the module ends in the middle of it")

// reader reads a module's octets. The first mistake stays in err; what is read after it is zero.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.b)
}

func (r *reader) failf(format string, args ...any) { r.fail(fmt.Errorf(format, args...)) }

// more tells whether there is something left to read.
func (r *reader) more() bool { return r.at < len(r.b) }

func (r *reader) octet() byte {
	if !r.more() {
		r.fail(errShort)
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.at) {
		r.fail(errShort)
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}

// leb reads a number of at most bits bits in LEB128 (core specification, 5.2.2), without its sign.
func (r *reader) leb(bits uint) (v uint64) {
	for shift := uint(0); shift < bits; shift += 7 {
		o := r.octet()
		v |= uint64(o&0x7f) << shift
		if o < 0x80 {
			return v
		}
	}
	r.failf("a number of more than %d bits", bits)
	return 0
}

func (r *reader) u32() uint32 { return uint32(r.leb(32)) }

func (r *reader) name() string { return string(r.take(r.u32())) }

// count reads how many entries follow. Each takes an octet at least, so that a number that the module can not hold is refused before anything is kept for it.
func (r *reader) count() int {
	n := r.u32()
	if uint64(n) > uint64(len(r.b)-r.at) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

// put appends a number in LEB128.
func put(b []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// putSigned appends a number that is not negative as signed LEB128, as constants are written.
func putSigned(b []byte, v uint64) []byte {
	for ; v >= 0x40; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func putName(b []byte, s string) []byte { return append(put(b, uint64(len(s))), s...) }
