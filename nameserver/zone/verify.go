package zone

import (
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// Policy is what has to be proved of a zone before it is used.
type Policy struct {
	Table  *recurse.Table  // trust anchors, negative ones, and what is supported
	ZONEMD recurse.ZONEMD  // what its digest is for
	At     time.Time       // wall time; the zero time: not known, and then the times of signatures are not checked
	Checks *dnssec.Metrics // of the signatures that are checked; may be nil
}

// Verified is what was proved of a zone.
type Verified struct {
	Signed bool      // its SOA record is secure by the trust anchors
	Digest Digest    // what its ZONEMD records say; DigestNone too if they were not to be looked at
	Until  time.Time // wall time at which the first of the signatures that were relied on ends; zero: none was, or time is not known

	// Warning says what an operator should know although the zone is used; "" is nothing.
	Warning string
}

// Reasons to refuse a zone that no single record is to blame for.
var (
	errNoDigest     = errors.New("it has no ZONEMD record, and recursion.local_root.zonemd is required")
	errHiddenDigest = errors.New("its NSEC record says that it has a ZONEMD record, and there is none: somebody has taken it out")
)

// Verify tells whether the zone is what its owner has published (RFC 8976 section 4). The error is the end of a sentence about the zone.
//
// Where the trust anchors say that the zone is signed, its keys and SOA record must be secure in any case: a zone that is not would have each of
// its answers fail validation. Its ZONEMD records must be so too, or else the lack of them proved by the apex' NSEC record: then a
// digest that fits means that all records are those that the owner signed for, glue and delegations included, which have no signatures of their own.
// Where it is not expected to be signed, a digest guards against accidents only.
func (z *Zone) Verify(p Policy) (Verified, error) {
	c := check{z: z, p: p}
	if err := c.signatures(); err != nil {
		return Verified{}, err
	}
	if err := c.digest(); err != nil {
		return Verified{}, err
	}
	return c.v, nil
}

// check is one verification.
type check struct {
	z    *Zone
	p    Policy
	v    Verified
	work *dnssec.Work
	keys *dnssec.Keys // nil: no signatures are expected
}

// signatures checks the zone's keys and its SOA record, if the zone is to be signed (steps 1 and 3).
func (c *check) signatures() error {
	t, apex := c.p.Table, c.z.apex
	if !t.Validates() {
		c.v.Warning = "validation is off, so that nothing proves whose copy this is"
		return nil
	}
	anchor, ok := t.Anchor(apex)
	_, _, negative := t.NegativeAnchor(apex, c.p.At)
	switch {
	case !ok || anchor.Zone != apex:
		c.v.Warning = fmt.Sprintf("there is no trust anchor for %v, so that nothing proves whose copy this is", apex)
		return nil
	case negative:
		c.v.Warning = fmt.Sprintf("a negative trust anchor stands at %v, so that nothing proves whose copy this is", apex)
		return nil
	}
	if ok, why := t.Validation().Usable(apex, anchor.DS, anchor.DNSKEY); !ok {
		c.v.Warning = why.Text + ", so that nothing proves whose copy this is"
		return nil
	}
	c.work = t.Validation().Work(c.p.Checks)
	var keySet *dns.RRset
	if s, ok := c.z.Set(apex, dns.TypeDNSKEY); ok {
		keySet = &s
	}
	keys, r := dnssec.CheckKeys(apex, keySet, anchor.DS, anchor.DNSKEY, c.p.At, c.work)
	if !r.Secure() {
		return fmt.Errorf("%s", r.EDE.Text)
	}
	c.keys = keys
	c.rely(r)
	c.v.Signed = true
	soa, _ := c.z.Set(apex, dns.TypeSOA) // every zone has one
	return c.secure(&soa)
}

// secure checks a set by the zone's keys.
func (c *check) secure(s *dns.RRset) error {
	r := dnssec.CheckSet(s, c.keys, c.p.At, c.work)
	if !r.Secure() {
		return fmt.Errorf("%s", r.EDE.Text)
	}
	c.rely(r)
	return nil
}

// rely notes that a signature was relied on.
func (c *check) rely(r dnssec.Result) {
	if !r.Until.IsZero() && (c.v.Until.IsZero() || r.Until.Before(c.v.Until)) {
		c.v.Until = r.Until
	}
}

// digest checks the ZONEMD records (steps 2, 3 and 5).
func (c *check) digest() error {
	if c.p.ZONEMD == recurse.ZONEMDOff {
		return nil
	}
	digest, why := c.z.Digest()
	set, there := c.z.Set(c.z.apex, dns.TypeZONEMD)
	if c.keys != nil {
		if !there {
			if err := c.denied(); err != nil {
				return err
			}
		} else if err := c.secure(&set); err != nil {
			return err
		}
	}
	switch digest {
	case DigestWrong:
		return fmt.Errorf("its digest does not fit: %s", why)
	case DigestNone:
		if c.p.ZONEMD == recurse.ZONEMDRequired {
			return errNoDigest
		}
		c.warn("it has no ZONEMD record, so that its glue and delegations are as trustworthy as where they came from")
	case DigestUnsupported:
		// As the root zone's own was in 2023, for its first months: of a private algorithm, so that nobody should rely on it yet.
		if c.p.ZONEMD == recurse.ZONEMDRequired {
			return fmt.Errorf("its digest can't be checked: %s, and recursion.local_root.zonemd is required", why)
		}
		c.warn("its digest can't be checked: " + why)
	}
	c.v.Digest = digest
	return nil
}

// warn adds to what an operator should know.
func (c *check) warn(text string) {
	if c.v.Warning != "" {
		c.v.Warning += "; "
	}
	c.v.Warning += text
}

// denied checks that the zone itself says that it has no ZONEMD record (step 2).
func (c *check) denied() error {
	set, ok := c.z.Set(c.z.apex, dns.TypeNSEC)
	if !ok {
		return fmt.Errorf("it has neither a ZONEMD record nor an NSEC record of %v that would say so", c.z.apex)
	}
	if err := c.secure(&set); err != nil {
		return err
	}
	n, err := dns.ParseNSEC(set.Data.First())
	if err != nil {
		return err
	}
	if n.Types.Has(dns.TypeZONEMD) || set.Data.Len() > 1 {
		return errHiddenDigest
	}
	return nil
}
