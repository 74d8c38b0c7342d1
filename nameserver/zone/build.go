package zone

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ananas-edge/ananas/dns"
)

// Reasons not to make a zone of records.
var (
	errNoSOA     = errors.New("there is no SOA record at its apex")
	errManySOA   = errors.New("there is more than one SOA record at its apex")
	errNoNS      = errors.New("there are no NS records at its apex")
	errNSEC3     = errors.New("it is signed with NSEC3, which is not served here")
	errManyTypes = errors.New("a name has more than 65,535 types")
)

// Parse makes a zone of a zone file (RFC 1035 section 5; see [dns.ParseZone]); file is named in errors.
func Parse(text, file string, apex dns.Name) (*Zone, error) {
	if len(text) > maxOctets {
		return nil, fmt.Errorf("reading zone %v from %q: %w", apex, file, limitOctets)
	}
	rrs, err := dns.ParseZone(text, file, apex, maxRecords)
	if err != nil {
		return nil, err
	}
	z, err := build(apex, rrs)
	if err != nil {
		return nil, fmt.Errorf("reading zone %v from %q: %w", apex, file, err)
	}
	return z, nil
}

// record is a record on its way into a zone.
type record struct {
	dns.RR        // owner in lower case
	order  int    // of its owner, in canonical order
	canon  []byte // its data in canonical form
}

// build makes a zone of records in any order. Records that are there twice, in canonical form, count once; those of other names are left out.
// The error is the end of a sentence about the zone.
func build(apex dns.Name, rrs []dns.RR) (*Zone, error) {
	z := &Zone{apex: apex.Lower()}
	records, err := z.sort(rrs)
	if err != nil {
		return nil, err
	}
	z.records = len(records)
	if err := z.readApex(records); err != nil {
		return nil, err
	}
	z.digest(records)
	return z, z.lay(records)
}

// sort puts the records into canonical order (RFC 4034 section 6.1, RFC 8976 section 3.3.1: by owner, type and data), each once.
func (z *Zone) sort(rrs []dns.RR) ([]record, error) {
	if len(rrs) > maxRecords {
		return nil, limitRecords
	}
	order := make(map[dns.Name]int)
	records := make([]record, 0, len(rrs))
	var names []dns.Name
	for _, rr := range rrs {
		rr.Name = rr.Name.Lower()
		switch {
		case rr.Class != dns.ClassINET:
			return nil, fmt.Errorf("its %v record of %v is of class %v", rr.Type, rr.Name, rr.Class)
		case rr.Type.IsMeta():
			return nil, fmt.Errorf("it has a record of type %v, which no zone has", rr.Type)
		case !rr.Name.IsWithin(z.apex):
			z.outside++
			continue
		}
		if err := dns.CheckRdata(rr.Type, rr.Data); err != nil {
			return nil, fmt.Errorf("its record of %v: %w", rr.Name, err)
		}
		if _, ok := order[rr.Name]; !ok {
			order[rr.Name] = 0
			names = append(names, rr.Name)
		}
		records = append(records, record{RR: rr})
	}
	slices.SortFunc(names, dns.Name.Compare)
	for i, n := range names {
		order[n] = i
	}
	for i := range records {
		r := &records[i]
		r.order = order[r.Name]
		r.canon = dns.AppendCanonical(make([]byte, 0, len(r.Data)), r.Type, r.Data)
		r.Name = names[r.order] // one copy of each
	}
	slices.SortStableFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Type, b.Type), bytes.Compare(a.canon, b.canon))
	})
	return slices.CompactFunc(records, func(a, b record) bool {
		return a.order == b.order && a.Type == b.Type && bytes.Equal(a.canon, b.canon)
	}), nil
}

// readApex finds what every zone has.
func (z *Zone) readApex(records []record) error {
	soa, ns, nsec, nsec3 := 0, 0, false, false
	for i := range records {
		r := &records[i]
		if r.Name != z.apex {
			break // it comes first
		}
		switch r.Type {
		case dns.TypeSOA:
			var err error
			if z.soa, err = dns.ParseSOA(r.Data); err != nil {
				return err
			}
			soa++
		case dns.TypeNS:
			ns++
		case dns.TypeNSEC:
			nsec = true
		case dns.TypeNSEC3PARAM:
			nsec3 = true
		}
	}
	switch {
	case soa == 0:
		return errNoSOA
	case soa > 1:
		return errManySOA
	case ns == 0:
		return errNoNS
	case nsec3 && !nsec:
		return errNSEC3
	}
	return nil
}

// lay writes the records into nodes. Signatures go to the set that they cover; those that cover nothing are not served.
func (z *Zone) lay(records []record) error {
	var data []byte
	for from := 0; from < len(records); {
		to := from + 1
		for to < len(records) && records[to].order == records[from].order {
			to++
		}
		n, denies, err := z.layNode(&data, records[from:to])
		if err != nil {
			return err
		}
		if denies {
			z.nsec = append(z.nsec, uint32(len(z.nodes)))
		}
		if n.sets > 0 {
			z.nodes = append(z.nodes, n)
		}
		from = to
	}
	// No room for growth is kept: the zone does not grow.
	z.data, z.nodes, z.nsec = slices.Clone(data), slices.Clone(z.nodes), slices.Clone(z.nsec)
	return nil
}

// layNode writes the sets of one name; denies tells whether it owns an NSEC record.
func (z *Zone) layNode(data *[]byte, records []record) (n node, denies bool, err error) {
	n = node{name: records[0].Name, at: uint32(len(*data))}
	// In canonical order signatures stand together, ordered by the type that they cover, which comes first in their data.
	sigs := records[len(records):]
	for i := range records {
		if records[i].Type == dns.TypeRRSIG {
			end := i
			for end < len(records) && records[end].Type == dns.TypeRRSIG {
				end++
			}
			sigs = records[i:end]
			break
		}
	}
	for from := 0; from < len(records); {
		set := dns.RRset{Type: records[from].Type, TTL: records[from].TTL}
		to := from
		for ; to < len(records) && records[to].Type == set.Type; to++ {
			set.Data = set.Data.Append(records[to].Data)
			set.TTL = min(set.TTL, records[to].TTL) // RFC 2181 section 5.2
		}
		from = to
		if set.Type == dns.TypeRRSIG {
			continue
		}
		for len(sigs) > 0 && dns.CoveredType(sigs[0].Data) <= set.Type {
			if dns.CoveredType(sigs[0].Data) == set.Type {
				set.Sigs = set.Sigs.Append(sigs[0].Data)
			}
			sigs = sigs[1:]
		}
		if n.sets == 1<<16-1 {
			return n, false, errManyTypes
		}
		*data = appendSet(*data, &set)
		n.sets++
		n.cut = n.cut || set.Type == dns.TypeNS && n.name != z.apex
		denies = denies || set.Type == dns.TypeNSEC
	}
	return n, denies, nil
}
