package recurse

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Warning is something in the settings that is allowed, and hardly ever meant.
type Warning struct {
	Zone dns.Name
	Text string
	Hint string // what to do
}

// Warnings tells of zones with servers of their own that lie below a trust anchor, and of which nothing says that they are not signed: if the zone
// above, as the world knows it, is signed and does not delegate them, as with zones that exist inside a network only, all of their names are bogus. Whether
// it does can only be told by asking, so the warning is for all of them but those that IANA delegates, without a signature, for this (RFC 6303
// section 4, RFC 8375 section 7).
func (t *Table) Warnings() []Warning {
	var out []Warning
	for _, zone := range slices.SortedFunc(maps.Keys(t.upstreams), dns.Name.Compare) {
		anchor, ok := t.Anchor(zone)
		if !ok || anchor.Zone == zone || delegatedUnsigned(zone) {
			continue
		}
		if negative, _, ok := t.NegativeAnchor(zone, time.Time{}); ok && negative.Labels() >= anchor.Zone.Labels() {
			continue
		}
		out = append(out, Warning{
			Zone: zone,
			Text: fmt.Sprintf("the %v zone %v lies below the trust anchor of %v: if the zone above it is signed and does not delegate it, all of its names will be bogus",
				t.upstreams[zone].kind, zone, anchor.Zone),
			Hint: fmt.Sprintf("if it exists in your network only, add it to recursion.negative_trust_anchors, or its key to recursion.trust_anchors (%v)", zone),
		})
	}
	return out
}

// delegatedUnsigned tells whether a name lies in a special zone that the signed zone above delegates without DS. The others, such as test or onion, do
// not exist there.
func delegatedUnsigned(zone dns.Name) bool {
	arpa := dns.MustParseName("arpa")
	for n := zone; !n.IsRoot(); n = n.Parent() {
		if localZones[n] != 0 && n.IsWithin(arpa) {
			return true
		}
	}
	return false
}
