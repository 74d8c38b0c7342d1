package dns

import (
	"errors"
	"fmt"
	"iter"
)

// TypeBitmap is a set of types as NSEC, NSEC3 and CSYNC records have it (RFC 4034 section 4.1.2): for each window of 256 types its
// number, the length of its bits and the bits.
type TypeBitmap []byte

// ErrBitmap says that a type bitmap is not made of windows of 1 to 32 octets in ascending order.
var ErrBitmap = errors.New("malformed type bitmap")

// Check tells whether the bitmap is well formed. Zero octets at the end of a window, which must not be sent, are let in: they
// say nothing. The empty bitmap is well formed; NSEC3 records of empty non-terminals have it.
func (m TypeBitmap) Check() error {
	for last := -1; len(m) > 0; {
		if len(m) < 2 {
			return ErrBitmap
		}
		window, n := int(m[0]), int(m[1])
		if window <= last || n < 1 || n > 32 || 2+n > len(m) {
			return ErrBitmap
		}
		last, m = window, m[2+n:]
	}
	return nil
}

// Has tells whether t is in the set. A malformed bitmap has nothing from the malformed place on.
func (m TypeBitmap) Has(t Type) bool {
	for len(m) >= 2 {
		n := int(m[1])
		if 2+n > len(m) {
			return false
		}
		if m[0] == byte(t>>8) {
			at := int(t&0xFF) / 8
			return at < n && m[2+at]&(0x80>>(t&7)) != 0
		}
		m = m[2+n:]
	}
	return false
}

// All yields the types in ascending order.
func (m TypeBitmap) All() iter.Seq[Type] {
	return func(yield func(Type) bool) {
		for len(m) >= 2 {
			n := int(m[1])
			if 2+n > len(m) || n > 32 {
				return
			}
			for i, bits := range m[2 : 2+n] {
				for k := range 8 {
					if bits&(0x80>>k) != 0 && !yield(Type(m[0])<<8|Type(8*i+k)) {
						return
					}
				}
			}
			m = m[2+n:]
		}
	}
}

// NSEC is the data of a denial record (RFC 4034 section 4.1).
type NSEC struct {
	NextName Name       // case as it came
	Types    TypeBitmap // aliases the data that was read
}

// ParseNSEC reads uncompressed NSEC data. A malformed bitmap is an error: what it denies can't be known.
func ParseNSEC(rdata []byte) (NSEC, error) {
	end, err := skipName(rdata, 0)
	if err != nil {
		return NSEC{}, fmt.Errorf("reading next name of NSEC: %w", err)
	}
	m := TypeBitmap(rdata[end:len(rdata):len(rdata)])
	if err := m.Check(); err != nil {
		return NSEC{}, fmt.Errorf("reading NSEC: %w", err)
	}
	return NSEC{Name{string(rdata[:end])}, m}, nil
}
