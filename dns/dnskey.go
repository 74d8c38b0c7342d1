package dns

import (
	"encoding/binary"
	"fmt"
)

// Flags of a DNSKEY, and the only value that its protocol field may have (RFC 4034 section 2.1).
const (
	DNSKEYFlagSEP    uint16 = 1 << 0 // secure entry point; a hint for people, nothing that a validator goes by
	DNSKEYFlagRevoke uint16 = 1 << 7 // revoked (RFC 5011 section 2.1)
	DNSKEYFlagZone   uint16 = 1 << 8 // a key of the zone: no other may verify the zone's records

	DNSKEYProtocol uint8 = 3
)

// DNSKEY is the data of a public key (RFC 4034 section 2.1), also that of CDNSKEY.
type DNSKEY struct {
	Flags     uint16
	Protocol  uint8
	Algorithm uint8
	PublicKey []byte // aliases the data that was read
}

const dnskeyFixedLen = 4 // octets before the key

// ParseDNSKEY reads DNSKEY or CDNSKEY data.
func ParseDNSKEY(rdata []byte) (DNSKEY, error) {
	if len(rdata) < dnskeyFixedLen {
		return DNSKEY{}, fmt.Errorf("reading DNSKEY of %d octets: %w", len(rdata), ErrShort)
	}
	return DNSKEY{
		Flags:     binary.BigEndian.Uint16(rdata),
		Protocol:  rdata[2],
		Algorithm: rdata[3],
		PublicKey: rdata[dnskeyFixedLen:len(rdata):len(rdata)],
	}, nil
}

// KeyTag returns the number by which signatures and DS records refer to the key (RFC 4034 appendix B). It names no one key: others may
// have the same. RSA/MD5 has a rule of its own (B.1), by which a key of fewer than three octets has the tag 0.
func (k *DNSKEY) KeyTag() uint16 {
	const rsaMD5 = 1
	if k.Algorithm == rsaMD5 {
		n := len(k.PublicKey)
		if n < 3 {
			return 0
		}
		return binary.BigEndian.Uint16(k.PublicKey[n-3:])
	}
	sum := uint32(k.Flags) + uint32(k.Protocol)<<8 + uint32(k.Algorithm)
	for i, c := range k.PublicKey { // at most 65,531 octets: the sum stays below 2^32
		if i&1 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	sum += sum >> 16 & 0xFFFF
	return uint16(sum)
}
