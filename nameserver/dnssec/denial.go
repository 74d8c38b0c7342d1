package dnssec

import (
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Denial is what one zone denies in one reply: its NSEC and NSEC3 records, each verified. Questions to it are methods, each safe
// by itself; what one does not prove, another may:
//
//	reply                            ask
//	NXDOMAIN                         NXDomain; if that is bogus, NoData: servers mistake the response code, and it is not signed
//	no records                       NoData; NXDomain tells whether the name itself does not exist (RFC 9824)
//	an answer with Result.Wildcard   Expanded
//	a referral without DS            Unsigned
//	no DS, and no referral           Unsigned, then NoCut: is it a delegation, or still the same zone?
//
// Secure says that it is proved; Insecure that it may be so (opt-out, too many iterations); Bogus that it is not proved. A Denial must not be
// used from several goroutines at a time.
type Denial struct {
	zone   dns.Name // lower case
	nsec   []nsec
	groups []nsec3Group
	high   uint16 // the least count of iterations that was too high; 0: none

	looked  int       // sets, good or not
	records int       // of those that were added
	ignored error     // why the first record that was ignored was
	limit   Limit     // why a record could not be checked that may have been good
	until   time.Time // of the one that ends first
	ttl     uint32
}

// NewDenial begins a collection of what a zone denies.
func NewDenial(zone dns.Name) *Denial { return &Denial{zone: zone.Lower(), ttl: ^uint32(0)} }

// Errors of [Denial.Add].
var (
	errNotDenial   = errors.New("is neither NSEC nor NSEC3")
	errNotSecure   = errors.New("is not secure")
	errOtherZone   = errors.New("is of another zone")
	errExpandedSet = errors.New("was expanded from a wildcard, so that its owner name means nothing")
	errManyProofs  = errors.New("is more than are looked at")
)

// Look tells whether a set more may be looked at, and counts it. It is to be asked before the signatures of the set are checked: a reply of 64 KiB has
// room for hundreds of sets that are all signed well and prove nothing.
func (d *Denial) Look(w *Work) bool {
	if d.looked++; d.looked <= w.table.limits.Proofs {
		return true
	}
	w.reach(LimitProofs)
	if d.ignored == nil {
		d.ignored = fmt.Errorf("what comes after %d sets %w", w.table.limits.Proofs, errManyProofs)
	}
	return false
}

// Add takes an NSEC or NSEC3 RRset, with what [CheckSet] said of it. The error says why records are ignored, with their name; what they would have
// proved is then not proved. It aliases set.
func (d *Denial) Add(set *dns.RRset, checked Result, w *Work) error {
	err := d.add(set, checked, w)
	if err != nil {
		err = fmt.Errorf("%v of %v: %w", set.Type, set.Name, err)
		if d.ignored == nil {
			d.ignored = err
		}
	}
	return err
}

func (d *Denial) add(set *dns.RRset, checked Result, w *Work) error {
	switch {
	case set.Type != dns.TypeNSEC && set.Type != dns.TypeNSEC3:
		return errNotDenial
	case !checked.Secure():
		if checked.Limit == LimitSignatureWork || checked.Limit == LimitFailedWork {
			d.limit = checked.Limit
		}
		return errNotSecure
	case !checked.Zone.Equal(d.zone) || !set.Name.IsWithin(d.zone):
		return errOtherZone
	case !checked.Wildcard.IsZero():
		return errExpandedSet
	}
	var first error
	for rdata := range set.Data.All() {
		if d.records >= w.table.limits.Proofs {
			w.reach(LimitProofs)
			return errManyProofs
		}
		d.records++
		var err error
		if set.Type == dns.TypeNSEC {
			err = d.addNSEC(set.Name, rdata)
		} else {
			err = d.addNSEC3(set.Name, rdata, w)
		}
		if first == nil {
			first = err
		}
	}
	d.ttl = min(d.ttl, checked.TTL)
	if !checked.Until.IsZero() && (d.until.IsZero() || checked.Until.Before(d.until)) {
		d.until = checked.Until
	}
	return first
}

// NXDomain tells whether name is proved not to exist, nor any wildcard that would stand for it (RFC 4035 section 5.4, RFC 5155
// section 8.4, RFC 9824).
func (d *Denial) NXDomain(name dns.Name, w *Work) Result {
	return d.prove(name, w, func(p prover) Result { return p.nxDomain(name) })
}

// NoData tells whether name is proved to have no records of a type, nor a CNAME: because it has others, because names are below it only, or
// because a wildcard stands for it that has none (RFC 4035 section 5.4, RFC 5155 sections 8.5 to 8.7, RFC 6840 section 4.3).
// For type DS it is the answer to a question for it; for what lies below a delegation, ask Unsigned.
func (d *Denial) NoData(name dns.Name, t dns.Type, w *Work) Result {
	return d.prove(name, w, func(p prover) Result { return p.noData(name, t) })
}

// Expanded tells whether it is proved that an RRset at name, which came from the wildcard below encloser, came from the right one: that neither
// name nor a wildcard closer to it exists (RFC 4035 section 5.3.4, RFC 5155 section 8.8). encloser is [Result.Wildcard].
func (d *Denial) Expanded(name, encloser dns.Name, w *Work) Result {
	if encloser.Labels() >= name.Labels() || !name.IsWithin(encloser) || !encloser.IsWithin(d.zone) {
		return d.done(bogus(dns.EDEBogus, "%v does not come from a wildcard at %v", name, encloser))
	}
	return d.prove(name, w, func(p prover) Result { return p.expanded(name, encloser) })
}

// Unsigned tells whether cut is proved to be a delegation without DS (RFC 4035 section 5.2, RFC 5155 section 8.9, RFC 6840 section 4.4). Secure
// and Insecure both make what lies below insecure: Insecure is a span in which such delegations may have been left out. A name that is no
// delegation is Bogus here, so that a forged referral can't use its denial.
func (d *Denial) Unsigned(cut dns.Name, w *Work) Result {
	return d.prove(cut, w, func(p prover) Result { return p.unsigned(cut) })
}

// NoCut tells whether it is proved that no delegation is at name, so that name, if it exists, belongs to this zone.
func (d *Denial) NoCut(name dns.Name, w *Work) Result {
	return d.prove(name, w, func(p prover) Result { return p.noCut(name) })
}

// prover is one complete chain of records: the NSEC records of a zone, or its NSEC3 records with the same parameters.
type prover interface {
	nxDomain(name dns.Name) Result
	noData(name dns.Name, t dns.Type) Result
	expanded(name, encloser dns.Name) Result
	unsigned(cut dns.Name) Result
	noCut(name dns.Name) Result
}

// prove asks one chain after the other; the best result wins. A proof must be complete in one: a zone that changes its parameters has each name
// in both (RFC 5155 section 8.2 lets a validator refuse such replies as a whole).
func (d *Denial) prove(name dns.Name, w *Work, ask func(prover) Result) Result {
	if !name.IsWithin(d.zone) {
		return d.done(bogus(dns.EDEBogus, "%v is not in the zone %v, and can't be denied by it", name, d.zone))
	}
	var best Result
	better := func(r Result) bool {
		if best.Security == cache.Unchecked || best.Security == cache.Bogus && r.Security != cache.Bogus || r.Secure() {
			best = r
		}
		return best.Secure()
	}
	if len(d.nsec) > 0 && better(ask(&nsecProver{d.zone, d.nsec})) {
		return d.done(best)
	}
	for i := range d.groups {
		if better(ask(&nsec3Prover{d.zone, &d.groups[i], w})) {
			return d.done(best)
		}
	}
	if d.high > 0 {
		better(d.tooManyIterations(w))
	}
	if best.Security == cache.Unchecked {
		best = bogus(dns.EDENSECMissing, "no NSEC or NSEC3 of %v is there to deny %v", d.zone, name)
	}
	if best.Security == cache.Bogus && best.Limit == NoLimit && d.limit != NoLimit {
		return d.done(exceeded(d.limit, "checking the signatures of what denies %v takes too much work", name))
	}
	if best.EDE.Code == dns.EDENSECMissing && d.ignored != nil {
		best.EDE.Text = text("%s; ignored: %v", best.EDE.Text, d.ignored)
	}
	return d.done(best)
}

// tooManyIterations is what RFC 9276 section 3.2 lets a validator do. The signatures of the records were checked, so the zone does say so.
func (d *Denial) tooManyIterations(w *Work) Result {
	l := w.table.limits
	if int(d.high) > l.NSEC3Bogus {
		w.reach(LimitNSEC3Bogus)
		return bogus(dns.EDENSEC3Iterations, "NSEC3 of %v has %d iterations, more than %d", d.zone, d.high, l.NSEC3Bogus)
	}
	w.reach(LimitNSEC3Insecure)
	return insecure(dns.EDENSEC3Iterations, "NSEC3 of %v has %d iterations, more than the %d that are checked", d.zone, d.high, l.NSEC3Insecure)
}

// done adds what all results of a denial have.
func (d *Denial) done(r Result) Result {
	r.Zone, r.Until = d.zone, d.until
	if r.Security != cache.Bogus {
		r.TTL = d.ttl
	}
	return r
}

// denies tells whether the types that exist at a name leave out t. A refusal names the owner as who.
func denies(types dns.TypeBitmap, t dns.Type, who fmt.Stringer, root bool) (Result, bool) {
	refuse := func(format string, args ...any) (Result, bool) {
		return bogus(dns.EDEBogus, "%v %s", who, text(format, args...)), false
	}
	switch ns, soa := types.Has(dns.TypeNS), types.Has(dns.TypeSOA); {
	case t == dns.TypeDS && soa && !root:
		return refuse("is the zone's own; its parent has to deny DS (RFC 4035 section 5.2)")
	case t != dns.TypeDS && ns && !soa:
		return refuse("is the parent's of a delegation, and can only deny DS (RFC 6840 section 4.1)")
	case t == dns.TypeANY:
		for have := range types.All() {
			if have != dns.TypeRRSIG && have != dns.TypeNSEC && have != dns.TypeNXNAME {
				return refuse("says that %v is there", have)
			}
		}
	case types.Has(t):
		return refuse("says that %v is there", t)
	case types.Has(dns.TypeCNAME):
		return refuse("says that a CNAME is there (RFC 6840 section 4.3)")
	}
	return Result{}, true
}

// hidesBelow tells whether the owner of a record with these types is a delegation or has a DNAME, so that the record says nothing of names
// below (RFC 6840 section 4.1).
func hidesBelow(types dns.TypeBitmap) bool {
	return types.Has(dns.TypeDNAME) || types.Has(dns.TypeNS) && !types.Has(dns.TypeSOA)
}

// proved is a proof without reservations.
func proved() Result { return Result{Security: cache.Secure} }
