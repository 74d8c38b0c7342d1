package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
)

// tree is the content of a zone that was written out as zone-file text.
type tree struct {
	apex  dns.Name
	nodes map[dns.Name]*node
	alone bool // gets no delegations beside those written
}

func newTree(apex dns.Name) *tree {
	return &tree{apex: apex, nodes: map[dns.Name]*node{apex: {empty: true}}}
}

func (t *tree) node(n dns.Name) node {
	if nd := t.nodes[n]; nd != nil {
		return *nd
	}
	return node{}
}

func (t *tree) glue(host dns.Name) []dns.RRset {
	var sets []dns.RRset
	for _, s := range t.node(host).sets {
		if s.Type == dns.TypeA || s.Type == dns.TypeAAAA {
			sets = append(sets, s)
		}
	}
	return sets
}

func (t *tree) chain() []dns.Name {
	names := make([]dns.Name, 0, len(t.nodes))
	for n := range t.nodes {
		if !t.below(n) {
			names = append(names, n)
		}
	}
	return names
}

// below tells whether n is below a cut: glue, which is no part of the zone.
func (t *tree) below(n dns.Name) bool {
	for i := t.apex.Labels() + 1; i < n.Labels(); i++ {
		if nd := t.nodes[n.Ancestor(i)]; nd != nil && nd.cut {
			return true
		}
	}
	return false
}

// add puts a record into the tree, and empty non-terminals above it.
func (t *tree) add(rr dns.RR) {
	owner := rr.Name.Lower()
	nd := t.at(owner)
	for i := range nd.sets {
		if s := &nd.sets[i]; s.Type == rr.Type {
			if !s.Data.Contains(rr.Data) {
				s.Data = s.Data.Append(rr.Data)
			}
			return
		}
	}
	s := newSet(owner, rr.Type, rr.TTL, rr.Data)
	nd.sets = append(nd.sets, s)
	if rr.Type == dns.TypeNS && owner != t.apex {
		nd.cut = true
	}
}

func (t *tree) at(owner dns.Name) *node {
	if nd := t.nodes[owner]; nd != nil {
		return nd
	}
	for i := t.apex.Labels() + 1; i < owner.Labels(); i++ {
		if up := owner.Ancestor(i); t.nodes[up] == nil {
			t.nodes[up] = &node{empty: true}
		}
	}
	t.nodes[owner] = &node{empty: true}
	return t.nodes[owner]
}

// addSignature keeps an RRSIG that was written out with the set that it covers.
func (t *tree) addSignature(rr dns.RR) error {
	nd := t.at(rr.Name.Lower())
	for i := range nd.sets {
		if s := &nd.sets[i]; s.Type == dns.CoveredType(rr.Data) {
			s.Sigs = s.Sigs.Append(rr.Data)
			return nil
		}
	}
	return fmt.Errorf("an RRSIG at %q covers %v records, and there are none before it", rr.Name, dns.CoveredType(rr.Data))
}

// fromMiekg takes a record over from the library that parses zone files.
func fromMiekg(rr miekg.RR) (dns.RR, error) {
	buf := make([]byte, miekg.Len(rr)+dns.MaxNameLen)
	n, err := miekg.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return dns.RR{}, err
	}
	owner, off, err := dns.UnpackName(buf[:n], 0)
	if err != nil {
		return dns.RR{}, err
	}
	h := rr.Header()
	if off+10 > n { // a record without data, as in an update
		return dns.RR{}, errors.New("record has no data")
	}
	return dns.RR{Name: owner, Type: dns.Type(h.Rrtype), Class: dns.Class(h.Class), TTL: h.Ttl, Data: buf[off+10 : n]}, nil
}

// parseRecord reads one record in presentation form. Names without a final dot are relative to origin.
func parseRecord(text string, origin dns.Name) (dns.RR, error) {
	p := miekg.NewZoneParser(strings.NewReader(text+"\n"), origin.String(), "")
	p.SetDefaultTTL(defaultTTL)
	rr, ok := p.Next()
	if err := p.Err(); err != nil {
		return dns.RR{}, fmt.Errorf("reading record %q: %w", text, err)
	}
	if !ok {
		return dns.RR{}, fmt.Errorf("reading record %q: no record", text)
	}
	out, err := fromMiekg(rr)
	if err != nil {
		return dns.RR{}, fmt.Errorf("reading record %q: %w", text, err)
	}
	return out, nil
}

const (
	defaultTTL     = 3600  // seconds, of records written without one
	maxZoneRecords = 50000 // of one written zone; larger ones are what generating is for
)

var zoneErrorPlace = regexp.MustCompile(` at line: (\d+):\d+$`)

// parseZone reads zone-file text that begins on the given line of the world file.
func parseZone(apex dns.Name, text string, line int) (*tree, error) {
	t := newTree(apex)
	p := miekg.NewZoneParser(strings.NewReader(text), apex.String(), "")
	p.SetDefaultTTL(defaultTTL)
	count := 0
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		r, err := fromMiekg(rr)
		if err != nil {
			return nil, at(line, "reading record %q: %w", rr.String(), err)
		}
		if count++; count > maxZoneRecords {
			return nil, at(line, "zone %q has more than %d records", apex, maxZoneRecords)
		}
		switch {
		case !r.Name.IsWithin(apex):
			return nil, at(line, "record %q is not within zone %q", rr.String(), apex)
		case r.Class != dns.ClassINET:
			return nil, at(line, "record %q is of class %v; the lab serves IN only", rr.String(), r.Class)
		case r.Type == dns.TypeNSEC || r.Type == dns.TypeNSEC3 || r.Type == dns.TypeNSEC3PARAM:
			return nil, at(line, "record %q: the lab makes denials itself; use sign=nsec or sign=nsec3", rr.String())
		case r.Type == dns.TypeRRSIG:
			if err := t.addSignature(r); err != nil {
				return nil, at(line, "%w", err)
			}
		default:
			t.add(r)
		}
	}
	if err := p.Err(); err != nil {
		cause := strings.TrimPrefix(err.Error(), "dns: ")
		if m := zoneErrorPlace.FindStringSubmatchIndex(cause); m != nil {
			if n, err := strconv.Atoi(cause[m[2]:m[3]]); err == nil {
				line, cause = line+n-1, cause[:m[0]]
			}
		}
		return nil, at(line, "reading zone %q: %s", apex, cause)
	}
	t.settle()
	return t, nil
}

// settle marks nodes that have sets as not empty. (add leaves the mark, so that a node that gets its first record last is right too.)
func (t *tree) settle() {
	for _, nd := range t.nodes {
		nd.empty = len(nd.sets) == 0
	}
}

// complete adds what a zone needs and a terse world file leaves out: SOA, and NS records with addresses.
func (t *tree) complete(servers []netip.Addr) {
	apex := t.nodes[t.apex]
	if _, ok := apex.set(dns.TypeNS); !ok {
		for i, a := range servers {
			host := child(fmt.Sprintf("ns%d", i+1), t.apex)
			t.add(dns.RR{Name: t.apex, Type: dns.TypeNS, TTL: defaultTTL, Data: []byte(host.Wire())})
			t.addAddress(host, a)
		}
	}
	if _, ok := apex.set(dns.TypeSOA); !ok {
		t.add(dns.RR{Name: t.apex, Type: dns.TypeSOA, TTL: defaultTTL,
			Data: soaData(child("ns1", t.apex), child("hostmaster", t.apex), 1, 7200, 3600, 1209600, 300)})
	}
	t.settle()
}

func (t *tree) addAddress(host dns.Name, a netip.Addr) {
	typ := dns.TypeAAAA
	if a.Is4() {
		typ = dns.TypeA
	}
	t.add(dns.RR{Name: host, Type: typ, TTL: defaultTTL, Data: a.AsSlice()})
}
