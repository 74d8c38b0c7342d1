package zone

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"

	"github.com/ananas-edge/ananas/dns"
)

// The digest of a zone (RFC 8976). It is computed while a zone is made, because each record counts with the TTL that it came with, and a zone
// keeps one for each set.

// schemeSimple is the scheme that digests all records of the zone (RFC 8976 section 2.2.2).
const schemeSimple = 1

// zonemdHead is the fixed part of ZONEMD data: serial, scheme, hash algorithm (RFC 8976 section 2.1).
const zonemdHead = 6

// digestHash returns the hash of an algorithm (RFC 8976 section 2.2.3); nil if it is not supported.
func digestHash(algorithm uint8) hash.Hash {
	switch algorithm {
	case 1:
		return sha512.New384()
	case 2:
		return sha512.New()
	}
	return nil
}

// digestResult is what came of one ZONEMD record.
type digestResult struct {
	serial            uint32
	scheme, algorithm uint8
	outcome           digestOutcome
}

type digestOutcome uint8

const (
	digestGood        digestOutcome = iota
	digestUnsupported               // of a scheme or an algorithm that is not known here
	digestWrong
	digestOtherSerial
	digestTwice // another one has the same scheme and algorithm
	digestMalformed
)

var digestOutcomes = [...]string{"is right", "is not supported", "is wrong", "is of another serial", "is there twice", "is malformed"}

// String says what came of it, for people.
func (r digestResult) String() string {
	return fmt.Sprintf("ZONEMD %d %d %d %s", r.serial, r.scheme, r.algorithm, digestOutcomes[r.outcome])
}

// digest checks the ZONEMD records at the apex against the records (RFC 8976 section 4, steps 4 and 5).
func (z *Zone) digest(records []record) {
	type kind struct{ scheme, algorithm uint8 }
	seen := make(map[kind]int)
	computed := make(map[uint8][]byte)
	for i := range records {
		r := &records[i]
		if r.Type != dns.TypeZONEMD || r.Name != z.apex {
			continue
		}
		if len(r.Data) < zonemdHead {
			z.digests = append(z.digests, digestResult{outcome: digestMalformed})
			continue
		}
		d := digestResult{binary.BigEndian.Uint32(r.Data), r.Data[4], r.Data[5], digestGood}
		h := digestHash(d.algorithm)
		k := kind{d.scheme, d.algorithm}
		first, twice := seen[k]
		switch {
		case twice:
			// "Digest verification for those MUST NOT be considered successful": neither is used.
			d.outcome = digestTwice
			z.digests[first].outcome = digestTwice
		case d.serial != z.soa.Serial:
			d.outcome = digestOtherSerial
		case d.scheme != schemeSimple || h == nil:
			d.outcome = digestUnsupported
		case len(r.Data)-zonemdHead != h.Size():
			d.outcome = digestMalformed
		default:
			if computed[d.algorithm] == nil {
				computed[d.algorithm] = z.simple(records, h)
			}
			if !bytes.Equal(computed[d.algorithm], r.Data[zonemdHead:]) {
				d.outcome = digestWrong
			}
		}
		seen[k] = len(z.digests)
		z.digests = append(z.digests, d)
	}
}

// simple is the digest of the scheme SIMPLE (RFC 8976 section 3.3): all records in canonical order and form, each once, without the ZONEMD
// records at the apex and the signatures over them.
func (z *Zone) simple(records []record, h hash.Hash) []byte {
	var b []byte
	for i := range records {
		r := &records[i]
		if r.Name == z.apex && (r.Type == dns.TypeZONEMD || r.Type == dns.TypeRRSIG && dns.CoveredType(r.Data) == dns.TypeZONEMD) {
			continue
		}
		b = append(b[:0], r.Name.Wire()...)
		b = binary.BigEndian.AppendUint16(b, uint16(r.Type))
		b = binary.BigEndian.AppendUint16(b, uint16(r.Class))
		b = binary.BigEndian.AppendUint32(b, r.TTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.canon)))
		b = append(b, r.canon...)
		h.Write(b)
	}
	return h.Sum(nil)
}

// Digest is what the ZONEMD records of a zone say of it.
type Digest uint8

const (
	DigestNone        Digest = iota // there are none
	DigestUnsupported               // there are only such as are not supported
	DigestWrong                     // none fits, though one could have
	DigestRight                     // one fits, which is enough (RFC 8976 section 4, step 5)
)

// Digest tells whether a ZONEMD record fits the zone; why names the records for which it does not. What the records are worth is
// [Zone.Verify]'s to say.
func (z *Zone) Digest() (d Digest, why string) {
	if len(z.digests) == 0 {
		return DigestNone, "there is no ZONEMD record"
	}
	d = DigestUnsupported
	var reasons []string
	for _, r := range z.digests {
		switch r.outcome {
		case digestGood:
			return DigestRight, ""
		case digestUnsupported:
		default:
			d = DigestWrong
		}
		if len(reasons) < 4 { // a log line has to be read
			reasons = append(reasons, r.String())
		}
	}
	return d, strings.Join(reasons, ", ")
}
