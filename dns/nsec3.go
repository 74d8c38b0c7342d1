package dns

import (
	"encoding/binary"
	"fmt"
)

// NSEC3 is the data of a hashed denial record (RFC 5155 section 3.2). Its slices alias the data that was read.
type NSEC3 struct {
	HashAlgorithm uint8 // 1 is SHA-1, the only one there is
	Flags         uint8
	Iterations    uint16 // of the hash beyond the first
	Salt          []byte
	NextHashed    []byte // hash of the next owner, not encoded
	Types         TypeBitmap
}

// NSEC3FlagOptOut says that there may be delegations without DS between the record and the next (RFC 5155 section 3.1.2.1).
const NSEC3FlagOptOut uint8 = 1

const nsec3FixedLen = 4 // octets before the length of the salt

// ParseNSEC3 reads NSEC3 data.
func ParseNSEC3(rdata []byte) (NSEC3, error) {
	fail := func(err error) (NSEC3, error) {
		return NSEC3{}, fmt.Errorf("reading NSEC3 of %d octets: %w", len(rdata), err)
	}
	if len(rdata) < nsec3FixedLen {
		return fail(ErrShort)
	}
	salt, rest, ok := cutString(rdata[nsec3FixedLen:])
	if !ok {
		return fail(ErrShort)
	}
	next, rest, ok := cutString(rest)
	if !ok || len(next) == 0 { // no hash is of no octets
		return fail(ErrShort)
	}
	m := TypeBitmap(rest)
	if err := m.Check(); err != nil {
		return fail(err)
	}
	return NSEC3{
		HashAlgorithm: rdata[0],
		Flags:         rdata[1],
		Iterations:    binary.BigEndian.Uint16(rdata[2:]),
		Salt:          salt,
		NextHashed:    next,
		Types:         m,
	}, nil
}

// cutString takes the character string off the front of d.
func cutString(d []byte) (s, rest []byte, ok bool) {
	if len(d) == 0 || 1+int(d[0]) > len(d) {
		return nil, nil, false
	}
	n := 1 + int(d[0])
	return d[1:n:n], d[n:len(d):len(d)], true
}
