package zone

import (
	"encoding/binary"
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// Zone is all records of a zone, immutable once it was made, so that any number of goroutines may read it.
//
// Names are in canonical order, 32 octets and the name each; record data lies in one run of octets, so that the collector has nothing to look
// at in it. What is handed out are slices of that run: they must not be changed.
type Zone struct {
	apex    dns.Name // lower case
	soa     dns.SOA
	nodes   []node   // in canonical order, without empty non-terminals
	nsec    []uint32 // of the nodes, those that own an NSEC record
	data    []byte
	records int // signatures included
	outside int // records that were left out, because their owner is not in the zone

	digests []digestResult // of the ZONEMD records at the apex
}

// node is a name that owns records.
type node struct {
	name dns.Name // lower case
	at   uint32   // of its first set in data
	sets uint16
	cut  bool // a delegation: NS records, below the apex
}

// setHead is what stands ahead of a set in data: type (2 octets), TTL (4), length of the data (4), length of the signatures (4).
const setHead = 14

// Apex returns the name of the zone, in lower case.
func (z *Zone) Apex() dns.Name { return z.apex }

// SOA returns the data of the zone's SOA record.
func (z *Zone) SOA() dns.SOA { return z.soa }

// Records counts the records, signatures included and each once.
func (z *Zone) Records() int { return z.records }

// Outside counts the records that came with the zone and are not in it, by their owner's name. They are not served.
func (z *Zone) Outside() int { return z.outside }

// Size returns the octets of memory that the zone takes, but for what the allocator adds.
func (z *Zone) Size() int {
	const nodeSize = 24
	n := cap(z.data) + cap(z.nodes)*nodeSize + cap(z.nsec)*4
	for i := range z.nodes {
		n += z.nodes[i].name.Len()
	}
	return n
}

// find returns the place of a name, in lower case, or where it would stand.
func (z *Zone) find(n dns.Name) (int, bool) {
	return slices.BinarySearchFunc(z.nodes, n, func(e node, n dns.Name) int { return e.name.Compare(n) })
}

// node returns what is at a name, in lower case; nil if it owns nothing. empty tells that names exist below it.
func (z *Zone) node(n dns.Name) (found *node, empty bool) {
	i, ok := z.find(n)
	if ok {
		return &z.nodes[i], false
	}
	return nil, i < len(z.nodes) && z.nodes[i].name.IsWithin(n)
}

// each calls f with the sets of a node, by type, until it returns false.
func (z *Zone) each(n *node, f func(*dns.RRset) bool) {
	at := int(n.at)
	for range n.sets {
		set, next := z.setAt(n.name, at)
		if !f(&set) {
			return
		}
		at = next
	}
}

func (z *Zone) setAt(owner dns.Name, at int) (set dns.RRset, next int) {
	h := z.data[at:]
	records := int(binary.BigEndian.Uint32(h[6:]))
	sigs := int(binary.BigEndian.Uint32(h[10:]))
	from, mid := at+setHead, at+setHead+records
	next = mid + sigs
	set = dns.RRset{Name: owner, Type: dns.Type(binary.BigEndian.Uint16(h)), Class: dns.ClassINET, TTL: binary.BigEndian.Uint32(h[2:])}
	set.Data = dns.Records(z.data[from:mid:mid])
	if sigs > 0 {
		set.Sigs = dns.Records(z.data[mid:next:next])
	}
	return set, next
}

// set returns a set of a node; ok is false if it has none of that type.
func (z *Zone) set(n *node, t dns.Type) (found dns.RRset, ok bool) {
	if n == nil {
		return found, false
	}
	z.each(n, func(s *dns.RRset) bool {
		if s.Type == t {
			found, ok = *s, true
		}
		return !ok
	})
	return found, ok
}

// Set returns the records of a name and type; ok is false if there are none, or another zone has them.
func (z *Zone) Set(n dns.Name, t dns.Type) (dns.RRset, bool) {
	found, _ := z.node(n.Lower())
	return z.set(found, t)
}

// appendSet writes a set in the form in which a zone keeps it.
func appendSet(b []byte, s *dns.RRset) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(s.Type))
	b = binary.BigEndian.AppendUint32(b, s.TTL)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Data)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Sigs)))
	return append(append(b, s.Data...), s.Sigs...)
}
