package cache

import (
	"encoding/binary"

	"github.com/ananas-edge/ananas/dns"
)

// The data of a denial: how many proofs there are in one octet, then the SOA RRset and the proofs. An RRset is
//
//	1  how many labels its name shares with the denied name
//	1  length of the labels before those, and these labels, in lower case
//	2  type
//	4  TTL
//	2  length of the records, and the records
//	2  length of the signatures, and the signatures
//
// A denial without a SOA (type 0 in its place) is possible; it has no TTL of its own and so is only ever kept when the caller
// gave it one.

// appendDenial appends the data of d; ok is false if an RRset is malformed or too long.
func appendDenial(b []byte, d *Denial) (_ []byte, ok bool) {
	if len(d.Proof) > MaxProofs {
		return b, false
	}
	b = append(b, byte(len(d.Proof)))
	if b, ok = appendSet(b, d.Name, &d.SOA); !ok {
		return b, false
	}
	for i := range d.Proof {
		if b, ok = appendSet(b, d.Name, &d.Proof[i]); !ok || len(d.Proof[i].Data) == 0 {
			return b, false
		}
	}
	return b, true
}

func appendSet(b []byte, relative dns.Name, s *dns.RRset) (_ []byte, ok bool) {
	if s.Name.IsZero() {
		s = &dns.RRset{Name: dns.Root}
	}
	if len(s.Data) > maxPartLen || len(s.Sigs) > maxPartLen || !wellFormed(s.Data) || !wellFormed(s.Sigs) {
		return b, false
	}
	shared := s.Name.CommonLabels(relative)
	own := s.Name.Len() - relative.Ancestor(shared).Len()
	b = append(b, byte(shared), byte(own))
	at := len(b)
	b = append(b, s.Name.Wire()[:own]...)
	putLower(b[at:], b[at:])
	b = binary.BigEndian.AppendUint16(b, uint16(s.Type))
	b = binary.BigEndian.AppendUint32(b, s.TTL)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.Data)))
	b = append(b, s.Data...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.Sigs)))
	return append(b, s.Sigs...), true
}

// parseDenial reads what appendDenial wrote, for the denied name, copying all of it.
func parseDenial(b []byte, name dns.Name) (soa dns.RRset, proofs []dns.RRset, ok bool) {
	if len(b) == 0 || int(b[0]) > MaxProofs {
		return soa, nil, false
	}
	n := int(b[0])
	b = append([]byte(nil), b[1:]...) // one copy for all
	if soa, b, ok = parseSet(b, name); !ok {
		return soa, nil, false
	}
	if soa.Type == dns.TypeNone {
		soa = dns.RRset{}
	}
	if n > 0 {
		proofs = make([]dns.RRset, n)
	}
	for i := range proofs {
		if proofs[i], b, ok = parseSet(b, name); !ok {
			return soa, nil, false
		}
	}
	return soa, proofs, len(b) == 0
}

// denial makes a Denial of v.
func (v *view) denial(name dns.Name) (Denial, bool) {
	zone, ok := v.zoneOf(name)
	if !ok {
		return Denial{}, false
	}
	d := Denial{
		Name: name, Type: v.typ, Zone: zone, Space: spaceOf(v.partition), Security: v.security, Rank: v.rank, Server: v.server, Stored: v.stored, Expires: v.expires,
	}
	if d.Type == dns.TypeNone {
		d.Kind = NXDomain
	}
	d.SOA, d.Proof, ok = parseDenial(v.data, name)
	return d, ok
}

func parseSet(b []byte, relative dns.Name) (s dns.RRset, rest []byte, ok bool) {
	if len(b) < 2 {
		return s, nil, false
	}
	shared, own := int(b[0]), int(b[1])
	if shared > relative.Labels() || len(b) < 2+own+6 {
		return s, nil, false
	}
	s.Name = relative.Ancestor(shared).Lower()
	if own > 0 {
		name, err := dns.NameFromWire(append(b[2:2+own:2+own], s.Name.Wire()...))
		if err != nil {
			return s, nil, false
		}
		s.Name = name
	}
	b = b[2+own:]
	s.Type, s.Class, s.TTL = dns.Type(binary.BigEndian.Uint16(b)), dns.ClassINET, binary.BigEndian.Uint32(b[2:])
	if s.Data, b, ok = cutRecords(b[6:]); !ok {
		return s, nil, false
	}
	s.Sigs, b, ok = cutRecords(b)
	return s, b, ok
}

func cutRecords(b []byte) (part dns.Records, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if n > len(b) {
		return nil, nil, false
	}
	if n > 2 {
		part = dns.Records(b[2:n:n])
	}
	return part, b[n:], true
}
