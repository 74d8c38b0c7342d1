package dns

import (
	"encoding/binary"
	"iter"
)

// Records is the data of the records of one RRset: for each record two octets of length, big endian, then its data,
// uncompressed. One run of octets is what a cache can copy and an answer can be written from.
type Records []byte

// Len counts the records.
func (r Records) Len() int {
	n := 0
	for len(r) >= 2 {
		l := 2 + int(binary.BigEndian.Uint16(r))
		if l > len(r) {
			break
		}
		r = r[l:]
		n++
	}
	return n
}

// All yields the data of each record, as slices of r.
func (r Records) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(r) >= 2 {
			l := 2 + int(binary.BigEndian.Uint16(r))
			if l > len(r) || !yield(r[2:l:l]) {
				return
			}
			r = r[l:]
		}
	}
}

// First returns the data of the first record, nil if there is none.
func (r Records) First() []byte {
	for d := range r.All() {
		return d
	}
	return nil
}

// Append adds one record. The data is copied; it must be shorter than 64 KiB, as all record data is.
func (r Records) Append(rdata []byte) Records {
	r = binary.BigEndian.AppendUint16(r, uint16(len(rdata)))
	return append(r, rdata...)
}

// Contains tells whether a record with exactly this data is there.
func (r Records) Contains(rdata []byte) bool {
	for d := range r.All() {
		if string(d) == string(rdata) {
			return true
		}
	}
	return false
}

// RRset is all records of one name, type and class (RFC 2181 section 5), with the data of the RRSIG records that cover it.
type RRset struct {
	Name  Name
	Type  Type
	Class Class
	TTL   uint32 // seconds
	Data  Records
	Sigs  Records
}

// RR is one record. Data is uncompressed.
type RR struct {
	Name  Name
	Type  Type
	Class Class
	TTL   uint32 // seconds
	Data  []byte
}

// RRs yields the records of the set, without the signatures.
func (s RRset) RRs() iter.Seq[RR] {
	return func(yield func(RR) bool) {
		for d := range s.Data.All() {
			if !yield(RR{s.Name, s.Type, s.Class, s.TTL, d}) {
				return
			}
		}
	}
}

// CoveredType returns the type that an RRSIG's data covers (RFC 4034 section 3.1.1); TypeNone if it is too short.
func CoveredType(rrsig []byte) Type {
	if len(rrsig) < 2 {
		return TypeNone
	}
	return Type(binary.BigEndian.Uint16(rrsig))
}
