package dnssec

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// canonicalSet is the data of an RRset in canonical form (RFC 4034 section 6.2), in canonical order, each record once (section 6.3).
type canonicalSet struct {
	octets []byte
	spans  []span // of the records in octets
}

type span struct{ from, to int }

// canonicalOf takes no more than the data is long, and time to sort it.
func canonicalOf(set *dns.RRset) canonicalSet {
	c := canonicalSet{octets: make([]byte, 0, len(set.Data)), spans: make([]span, 0, set.Data.Len())}
	for rdata := range set.Data.All() {
		from := len(c.octets)
		c.octets = dns.AppendCanonical(c.octets, set.Type, rdata)
		c.spans = append(c.spans, span{from, len(c.octets)})
	}
	if len(c.spans) < 2 {
		return c
	}
	slices.SortFunc(c.spans, func(a, b span) int { return bytes.Compare(c.record(a), c.record(b)) })
	c.spans = slices.CompactFunc(c.spans, func(a, b span) bool { return bytes.Equal(c.record(a), c.record(b)) })
	return c
}

func (c *canonicalSet) record(s span) []byte { return c.octets[s.from:s.to] }

const (
	rrsigFixed = 18 // octets of RRSIG data before the signer's name
	rrFixed    = 10 // octets of a record beside its owner and data
)

// signedLen returns the octets of what a signature covers.
func (c *canonicalSet) signedLen(sig *dns.RRSIG, owner dns.Name) int {
	return rrsigFixed + sig.SignerName.Len() + len(c.spans)*(owner.Len()+rrFixed) + len(c.octets)
}

// signed returns what a signature covers (RFC 4034 section 3.1.8.1); owner is in lower case, and a wildcard if the set was expanded from it.
func (c *canonicalSet) signed(sig *dns.RRSIG, owner dns.Name, set *dns.RRset) []byte {
	b := sig.AppendSigned(make([]byte, 0, c.signedLen(sig, owner)))
	for _, s := range c.spans {
		b = append(b, owner.Wire()...)
		b = binary.BigEndian.AppendUint16(b, uint16(set.Type))
		b = binary.BigEndian.AppendUint16(b, uint16(set.Class))
		b = binary.BigEndian.AppendUint32(b, sig.OriginalTTL)
		b = binary.BigEndian.AppendUint16(b, uint16(s.to-s.from))
		b = append(b, c.record(s)...)
	}
	return b
}
