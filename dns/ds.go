package dns

import (
	"encoding/binary"
	"fmt"
)

// DS is the data of a delegation signer record (RFC 4034 section 5.1), also that of CDS.
type DS struct {
	KeyTag     uint16
	Algorithm  uint8
	DigestType uint8
	Digest     []byte // aliases the data that was read
}

const dsFixedLen = 4 // octets before the digest

// ParseDS reads DS or CDS data.
func ParseDS(rdata []byte) (DS, error) {
	if len(rdata) < dsFixedLen {
		return DS{}, fmt.Errorf("reading DS of %d octets: %w", len(rdata), ErrShort)
	}
	return DS{
		KeyTag:     binary.BigEndian.Uint16(rdata),
		Algorithm:  rdata[2],
		DigestType: rdata[3],
		Digest:     rdata[dsFixedLen:len(rdata):len(rdata)],
	}, nil
}
