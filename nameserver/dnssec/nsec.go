package dnssec

import (
	"errors"

	"github.com/ananas-edge/ananas/dns"
)

// nsec is one NSEC record.
type nsec struct {
	owner, next dns.Name
	types       dns.TypeBitmap
}

// String names the record.
func (n *nsec) String() string { return "NSEC of " + n.owner.String() }

var errNextElsewhere = errors.New("names a next name that is not in the zone")

func (d *Denial) addNSEC(owner dns.Name, rdata []byte) error {
	n, err := dns.ParseNSEC(rdata)
	if err != nil {
		return err
	}
	if !n.NextName.IsWithin(d.zone) {
		return errNextElsewhere
	}
	d.nsec = append(d.nsec, nsec{owner, n.NextName, n.Types})
	return nil
}

// nsecProver proves by NSEC records (RFC 4035 section 5.4).
type nsecProver struct {
	zone    dns.Name
	records []nsec
}

// match returns the record that name owns.
func (p *nsecProver) match(name dns.Name) *nsec {
	for i := range p.records {
		if p.records[i].owner.Equal(name) {
			return &p.records[i]
		}
	}
	return nil
}

// cover returns a record between whose owner and next name lies name: name has no records. It may have names below it.
//
// The last record of a zone names the apex as next, and covers all that comes after its owner (RFC 4034 section 4.1.1); in a zone of one name it
// is the apex's own. No other record goes around the end.
func (p *nsecProver) cover(name dns.Name) *nsec {
	for i := range p.records {
		n := &p.records[i]
		if n.owner.Compare(name) >= 0 || name.Compare(n.next) >= 0 && !n.next.Equal(p.zone) {
			continue
		}
		if name.IsWithin(n.owner) && hidesBelow(n.types) {
			continue
		}
		return n
	}
	return nil
}

// absent returns the record that proves that nothing is at name nor below it: that name is no empty non-terminal either.
func (p *nsecProver) absent(name dns.Name) (*nsec, Result) {
	if n := p.match(name); n != nil && !n.types.Has(dns.TypeNXNAME) {
		return nil, bogus(dns.EDEBogus, "%v says that the name exists", n)
	}
	n := p.cover(name)
	if n == nil {
		return nil, bogus(dns.EDENSECMissing, "no NSEC covers %v", name)
	}
	if n.next.IsWithin(name) {
		return nil, bogus(dns.EDEBogus, "%v says that %v exists, and so does %v", n, n.next, name)
	}
	return n, proved()
}

// encloser is the closest ancestor of name that exists: n covers name, so what exists next to it is n's owner or next name.
func (n *nsec) encloser(name dns.Name) dns.Name {
	return name.Ancestor(max(name.CommonLabels(n.owner), name.CommonLabels(n.next)))
}

// wildcard returns the name of the wildcard below encloser; ok is false if there can be none.
func wildcard(encloser dns.Name) (star dns.Name, ok bool) {
	star, err := encloser.Child("*")
	return star, err == nil
}

func (p *nsecProver) nxDomain(name dns.Name) Result {
	if n := p.match(name); n != nil && n.types.Has(dns.TypeNXNAME) {
		return proved() // RFC 9824 section 3.1: no wildcard stands for it either, or the record would be another
	}
	n, r := p.absent(name)
	if n == nil {
		return r
	}
	star, ok := wildcard(n.encloser(name))
	if !ok || star.Equal(name) {
		return proved()
	}
	if _, r := p.absent(star); !r.Secure() {
		r.EDE.Text = text("wildcard of %v: %s", name, r.EDE.Text)
		return r
	}
	return proved()
}

func (p *nsecProver) noData(name dns.Name, t dns.Type) Result {
	if n := p.match(name); n != nil {
		if r, ok := denies(n.types, t, n, name.IsRoot()); !ok {
			return r
		}
		return proved()
	}
	n := p.cover(name)
	if n == nil {
		return bogus(dns.EDENSECMissing, "no NSEC matches %v or covers it", name)
	}
	if n.next.IsWithin(name) {
		return proved() // an empty non-terminal
	}
	star, ok := wildcard(n.encloser(name))
	if !ok {
		return bogus(dns.EDENSECMissing, "%v covers %v, which can have no wildcard", n, name)
	}
	if w := p.match(star); w != nil {
		if r, ok := denies(w.types, t, w, false); !ok {
			return r
		}
		return proved()
	}
	if w := p.cover(star); w != nil && w.next.IsWithin(star) {
		return proved() // the wildcard is an empty non-terminal
	}
	return bogus(dns.EDENSECMissing, "%v covers %v, and no NSEC matches %v", n, name, star)
}

func (p *nsecProver) expanded(name, encloser dns.Name) Result {
	_, r := p.absent(name.Ancestor(encloser.Labels() + 1))
	return r
}

func (p *nsecProver) unsigned(cut dns.Name) Result {
	n := p.match(cut)
	if n == nil {
		return bogus(dns.EDENSECMissing, "no NSEC matches %v", cut)
	}
	return unsignedAt(n.types, n)
}

// unsignedAt tells whether the types at a name are those of a delegation without DS. who names the record.
func unsignedAt(types dns.TypeBitmap, who interface{ String() string }) Result {
	switch {
	case types.Has(dns.TypeDS):
		return bogus(dns.EDEBogus, "%v says that DS is there", who)
	case types.Has(dns.TypeSOA):
		return bogus(dns.EDEBogus, "%v is the zone's own; its parent has to deny DS", who)
	case !types.Has(dns.TypeNS):
		return bogus(dns.EDEBogus, "%v says that there is no delegation (RFC 6840 section 4.4)", who)
	}
	return proved()
}

func (p *nsecProver) noCut(name dns.Name) Result {
	if n := p.match(name); n != nil {
		return noCutAt(n.types, n, name.Equal(p.zone))
	}
	if p.cover(name) == nil {
		return bogus(dns.EDENSECMissing, "no NSEC matches %v or covers it", name)
	}
	return proved()
}

// noCutAt tells whether the types at a name are not those of a delegation.
func noCutAt(types dns.TypeBitmap, who interface{ String() string }, apex bool) Result {
	switch soa := types.Has(dns.TypeSOA); {
	case soa != apex:
		return bogus(dns.EDEBogus, "%v is not of the zone that is asked for", who)
	case types.Has(dns.TypeNS) && !soa, types.Has(dns.TypeDS):
		return bogus(dns.EDEBogus, "%v says that there is a delegation", who)
	}
	return proved()
}
