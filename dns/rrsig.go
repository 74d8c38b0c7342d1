package dns

import (
	"encoding/binary"
	"fmt"
)

// RRSIG is the data of a signature (RFC 4034 section 3.1).
type RRSIG struct {
	TypeCovered Type
	Algorithm   uint8
	Labels      uint8  // of the owner that was signed, without the root's and a leading "*" (section 3.1.3)
	OriginalTTL uint32 // seconds
	Expiration  uint32 // seconds since 1970 modulo 2^32, to be compared in serial number arithmetic (section 3.1.5)
	Inception   uint32 // likewise
	KeyTag      uint16
	SignerName  Name   // case as it came
	Signature   []byte // aliases the data that was read
}

const rrsigFixedLen = 18 // octets before the signer's name

// ParseRRSIG reads uncompressed RRSIG data.
func ParseRRSIG(rdata []byte) (RRSIG, error) {
	if len(rdata) < rrsigFixedLen {
		return RRSIG{}, fmt.Errorf("reading RRSIG of %d octets: %w", len(rdata), ErrShort)
	}
	end, err := skipName(rdata, rrsigFixedLen)
	if err != nil {
		return RRSIG{}, fmt.Errorf("reading signer's name of RRSIG: %w", err)
	}
	return RRSIG{
		TypeCovered: Type(binary.BigEndian.Uint16(rdata)),
		Algorithm:   rdata[2],
		Labels:      rdata[3],
		OriginalTTL: binary.BigEndian.Uint32(rdata[4:]),
		Expiration:  binary.BigEndian.Uint32(rdata[8:]),
		Inception:   binary.BigEndian.Uint32(rdata[12:]),
		KeyTag:      binary.BigEndian.Uint16(rdata[16:]),
		SignerName:  Name{string(rdata[rrsigFixedLen:end])},
		Signature:   rdata[end:len(rdata):len(rdata)],
	}, nil
}

// AppendSigned appends what the signature covers ahead of the records: the data without the signature, the signer's name in lower
// case (RFC 4034 section 3.1.8.1).
func (s *RRSIG) AppendSigned(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(s.TypeCovered))
	b = append(b, s.Algorithm, s.Labels)
	b = binary.BigEndian.AppendUint32(b, s.OriginalTTL)
	b = binary.BigEndian.AppendUint32(b, s.Expiration)
	b = binary.BigEndian.AppendUint32(b, s.Inception)
	b = binary.BigEndian.AppendUint16(b, s.KeyTag)
	at := len(b)
	b = append(b, s.SignerName.wire...)
	lowerInPlace(b[at:])
	return b
}
