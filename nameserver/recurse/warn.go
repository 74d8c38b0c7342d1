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
	Path string   // of the setting, as within the part "settings" of a file
	Zone dns.Name // that it is about; the zero name: none
	Text string
	Hint string // what to do
}

// Warnings tells of all that; now is wall time.
func (t *Table) Warnings(now time.Time) []Warning {
	return slices.Concat(t.warnUpstreams(), t.warnNegative(now), t.warnLocalRoot())
}

// warnNegative tells of negative trust anchors that have ended, and of one at the zone of a trust anchor itself.
func (t *Table) warnNegative(now time.Time) []Warning {
	const path = "recursion.negative_trust_anchors"
	var out []Warning
	for _, n := range t.NegativeAnchors() {
		anchor, ok := t.Anchor(n.Zone)
		switch {
		case n.Ended(now):
			out = append(out, Warning{
				Path: path, Zone: n.Zone,
				Text: fmt.Sprintf("the negative trust anchor of %v has ended at %s, so that the zone is validated again", n.Zone, n.Until.UTC().Format(time.RFC3339)),
				Hint: "remove it, or give it a later end if the zone is still broken",
			})
		case ok && anchor.Zone == n.Zone:
			out = append(out, Warning{
				Path: path, Zone: n.Zone,
				Text: fmt.Sprintf("the negative trust anchor of %v is at a zone with a trust anchor: no name in it is validated", n.Zone),
				Hint: "name the zones that are broken instead; recursion.trust_anchors: none turns validation off",
			})
		}
	}
	return out
}

// warnLocalRoot tells of what is said of a copy of the root that nobody has.
func (t *Table) warnLocalRoot() []Warning {
	s, key := &t.LocalRoot, ""
	switch {
	case s.On():
		return nil
	case s.ZONEMD != ZONEMDIfPresent:
		key = "zonemd"
	case s.MaxAge != 0:
		key = "max_age"
	default:
		return nil
	}
	return []Warning{{
		Path: "recursion.local_root." + key,
		Text: fmt.Sprintf("recursion.local_root.%s is set, and there is no local root: it names neither file nor axfr", key),
		Hint: "name a source of the root zone, as in axfr: [192.5.5.241], or remove it",
	}}
}

// warnUpstreams tells of zones with servers of their own that lie below a trust anchor, and of which nothing says that they are not signed: if the zone
// above, as the world knows it, is signed and does not delegate them, as with zones that exist inside a network only, all of their names are bogus. Whether
// it does can only be told by asking, so the warning is for all of them but those that IANA delegates, without a signature, for this (RFC 6303
// section 4, RFC 8375 section 7).
func (t *Table) warnUpstreams() []Warning {
	var out []Warning
	check := func(path, what string, zone dns.Name) {
		anchor, ok := t.Anchor(zone)
		if !ok || anchor.Zone == zone || delegatedUnsigned(zone) {
			return
		}
		if negative, _, ok := t.NegativeAnchor(zone, time.Time{}); ok && negative.Labels() >= anchor.Zone.Labels() {
			return
		}
		out = append(out, Warning{
			Path: path, Zone: zone,
			Text: fmt.Sprintf("the %s zone %v lies below the trust anchor of %v: if the zone above it is signed and does not delegate it, all of its names will be bogus", what, zone, anchor.Zone),
			Hint: fmt.Sprintf("if it exists in your network only, add it to recursion.negative_trust_anchors, or its key to recursion.trust_anchors (%v)", zone),
		})
	}
	for _, zone := range slices.SortedFunc(maps.Keys(t.upstreams), dns.Name.Compare) {
		kind := t.upstreams[zone].kind.String()
		check(kind, kind, zone)
	}
	for _, g := range t.groups {
		check("groups", "group "+g.group.name+"'s", g.group.zone)
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
