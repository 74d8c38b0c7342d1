package recurse

import (
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// negated returns the negative trust anchor by which a name is not validated, whose deepest trust anchor is that one: one that is as deep.
func (t *Table) negated(anchor Anchor, name dns.Name, now time.Time) (NegativeTrustAnchor, bool) {
	zone, until, ok := t.NegativeAnchor(name, now)
	return NegativeTrustAnchor{zone, until}, ok && zone.Labels() >= anchor.Zone.Labels()
}

// Negated returns the negative trust anchor (RFC 7646) by which records of a name and type are not validated at this wall time, if that is why. It is for who tells people.
func (t *Table) Negated(name dns.Name, typ dns.Type, now time.Time) (NegativeTrustAnchor, bool) {
	name = ownerZoneOf(name, typ)
	anchor, ok := t.Anchor(name)
	if !ok {
		return NegativeTrustAnchor{}, false // below no trust anchor, nothing is validated anyhow
	}
	return t.negated(anchor, name, now)
}
