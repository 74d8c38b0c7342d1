package recurse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/prefixset"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Table is [Settings] compiled: checked, with the files read. It is immutable and may be used by any number of goroutines; a
// change of settings makes a new one.
type Table struct {
	Limits       Limits
	Minimisation Minimisation
	IPv4, IPv6   bool
	ErrorReports bool

	// TrustAnchorUpdates tells whether the anchors are to follow the zones' keys (RFC 5011); see [Table.WithAnchors].
	TrustAnchorUpdates bool

	// LocalRoot is where a copy of the root zone comes from, if one is to be used.
	LocalRoot LocalRootSettings

	// How long what was found may be kept and given: bounds of TTLs, and how long after its end an answer may be given if nothing
	// better is to be had. From the section cache.
	MaxTTL, MinTTL, NegativeMaxTTL, Stale time.Duration

	hints      []Hint
	validate   bool
	builtin    bool // the anchors came with the program
	validation *dnssec.Table
	agreed     string                  // the settings of validation, in words
	terms      [16]byte                // names all on which the trust in a zone depends
	anchors    map[dns.Name]Anchor     // by zone, lower case
	negative   map[dns.Name]time.Time  // by zone, lower case; wall time of the end, zero: none
	upstreams  map[dns.Name]upstream   // by zone, lower case
	above      map[dns.Name]struct{}   // zones of anchors and upstreams, and all names above them, lower case
	never      prefixset.Set           // name servers are never there,
	exempt     map[netip.Addr]struct{} // but here they may be,
	own        map[netip.Addr]struct{} // and here we are
	implicit   bool                    // never is the default, so own belongs to it
	groups     []*Table                // of each group, by name: this table, but with the group
	group      *group                  // nil: none
}

// Hint is one server of the root.
type Hint struct {
	Name  dns.Name // lower case
	Addrs []netip.Addr
}

// Anchor holds the keys that are trusted for a zone: digests of keys, or keys.
type Anchor struct {
	Zone       dns.Name // lower case
	DS, DNSKEY dns.Records
}

// SourceKind says how the servers of a zone that the settings name are asked.
type SourceKind uint8

const (
	KindStub    SourceKind = iota + 1 // iteratively
	KindForward                       // recursively
)

// String returns the name of the section that makes such zones.
func (k SourceKind) String() string {
	switch k {
	case KindStub:
		return "stub"
	case KindForward:
		return "forward"
	}
	return "delegation"
}

type upstream struct {
	kind    SourceKind
	servers []netip.AddrPort
}

// WithListeners returns the table of a node that answers at these addresses: unless never_query is set, what a zone says of
// its servers never leads back to us. Stub and forward are the operator's word and stay as they are. The addresses are those
// of interfaces; one that stands for all of them (0.0.0.0, [::]) does nothing.
func (t *Table) WithListeners(listeners []netip.AddrPort) *Table {
	n := *t
	n.own = make(map[netip.Addr]struct{})
	for _, l := range listeners {
		if a := l.Addr(); l.Port() == dnsPort && !a.IsUnspecified() {
			n.own[a.Unmap().WithZone("")] = struct{}{}
		}
	}
	n.regroup()
	return &n
}

// Anchors returns all trust anchors, by zone. The caller must not change them.
func (t *Table) Anchors() []Anchor {
	all := make([]Anchor, 0, len(t.anchors))
	for _, z := range slices.SortedFunc(maps.Keys(t.anchors), dns.Name.Compare) {
		all = append(all, t.anchors[z])
	}
	return all
}

// WithAnchors returns the table with other trust anchors for these zones, which have some in t: what RFC 5011 says that they are now. An
// Anchor without records takes those of its zone away, which then counts as one that never had any (RFC 5011 section 5).
func (t *Table) WithAnchors(anchors ...Anchor) *Table {
	n := *t
	n.anchors = maps.Clone(t.anchors)
	for _, a := range anchors {
		if a.DS.Len() == 0 && a.DNSKEY.Len() == 0 {
			delete(n.anchors, a.Zone)
		} else {
			n.anchors[a.Zone] = a
		}
	}
	n.agree()
	n.regroup()
	return &n
}

// Validation returns what signatures are checked with.
func (t *Table) Validation() *dnssec.Table { return t.validation }

// Hints returns the servers of the root that the settings name. The caller must not change them.
func (t *Table) Hints() []Hint { return t.hints }

// Lookup returns the deepest zone at or above name that has servers in the settings, and how those are asked: with a group, whatever lies in its zone is its servers'. A DS record
// belongs to the parent's side of a cut: look up its name's parent.
func (t *Table) Lookup(name dns.Name) (zone dns.Name, servers []netip.AddrPort, kind SourceKind, ok bool) {
	if g := t.group; g != nil && name.Lower().IsWithin(g.zone) {
		return g.zone, g.servers, g.kind, true
	}
	if len(t.upstreams) == 0 {
		return dns.Name{}, nil, 0, false
	}
	for n := name.Lower(); ; n = n.Parent() {
		if u, ok := t.upstreams[n]; ok {
			return n, u.servers, u.kind, true
		}
		if n.IsRoot() || n.IsZero() {
			return dns.Name{}, nil, 0, false
		}
	}
}

// NeverQuery tells whether no name server may be asked at this address, on port 53, because a zone says that it is one. It is not
// for the servers that [Table.Lookup] returns.
func (t *Table) NeverQuery(a netip.Addr) bool {
	a = a.Unmap()
	if _, ok := t.exempt[a]; ok {
		return false
	}
	if t.group != nil && t.group.has(a) {
		return false
	}
	if t.never.Contains(a) {
		return true
	}
	if !t.implicit || len(t.own) == 0 {
		return false
	}
	_, ok := t.own[a.WithZone("")]
	return ok
}

// Overrides tells whether a stub, a forward or a trust anchor is at name or below it, so that a special name (RFC 6303, RFC 6761) there
// is meant to be resolved.
func (t *Table) Overrides(name dns.Name) bool {
	name = name.Lower()
	if t.group != nil && t.group.zone.IsWithin(name) {
		return true
	}
	_, ok := t.above[name]
	return ok
}

// Validates tells whether answers are validated at all.
func (t *Table) Validates() bool { return t.validate }

// BuiltInAnchors tells whether the anchors are those that came with the program.
func (t *Table) BuiltInAnchors() bool { return t.builtin }

// NegativeAnchors returns the zones that are not to be validated, by name, those that have ended included.
func (t *Table) NegativeAnchors() []NegativeTrustAnchor {
	var out []NegativeTrustAnchor
	for _, zone := range slices.SortedFunc(maps.Keys(t.negative), dns.Name.Compare) {
		out = append(out, NegativeTrustAnchor{zone, t.negative[zone]})
	}
	return out
}

// Anchor returns the anchor of the deepest zone at or above name that has one.
func (t *Table) Anchor(name dns.Name) (Anchor, bool) {
	for n := name.Lower(); len(t.anchors) > 0; n = n.Parent() {
		if a, ok := t.anchors[n]; ok {
			return a, true
		}
		if n.IsRoot() || n.IsZero() {
			break
		}
	}
	return Anchor{}, false
}

// NegativeAnchor returns the deepest zone at or above name that is not to be validated at this wall time, and until when that is so; the zero
// time is for ever.
func (t *Table) NegativeAnchor(name dns.Name, now time.Time) (zone dns.Name, until time.Time, ok bool) {
	for n := name.Lower(); len(t.negative) > 0; n = n.Parent() {
		if until, ok := t.negative[n]; ok && (until.IsZero() || now.Before(until)) {
			return n, until, true
		}
		if n.IsRoot() || n.IsZero() {
			break
		}
	}
	return dns.Name{}, time.Time{}, false
}

// Fingerprint names what the table says: two tables that act alike have the same one. It reads the whole table.
func (t *Table) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%x %+v %v %v %v %v %v %v %v %v %v %v\n", t.terms, t.Limits, t.Minimisation, t.IPv4, t.IPv6, t.ErrorReports, t.TrustAnchorUpdates, t.MaxTTL, t.MinTTL, t.NegativeMaxTTL, t.Stale, t.validate)
	for _, hint := range t.hints {
		fmt.Fprintf(h, "hint %v %v\n", hint.Name, hint.Addrs)
	}
	for _, z := range slices.SortedFunc(maps.Keys(t.upstreams), dns.Name.Compare) {
		fmt.Fprintf(h, "upstream %v %v\n", z, t.upstreams[z])
	}
	for _, g := range t.groups {
		fmt.Fprintf(h, "group %s\n", g.group.print)
	}
	fmt.Fprintf(h, "local root %+v\n", t.LocalRoot)
	fmt.Fprintf(h, "never %v %v", t.never.String(), t.implicit)
	if t.implicit {
		fmt.Fprintf(h, " own %v", slices.SortedFunc(maps.Keys(t.own), netip.Addr.Compare))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// agree makes the name of what the trust in a zone depends on.
func (t *Table) agree() {
	h := sha256.New()
	fmt.Fprintf(h, "%v %s\n", t.validate, t.agreed)
	for _, z := range slices.SortedFunc(maps.Keys(t.anchors), dns.Name.Compare) {
		fmt.Fprintf(h, "anchor %v %x %x\n", z, t.anchors[z].DS, t.anchors[z].DNSKEY)
	}
	for _, z := range slices.SortedFunc(maps.Keys(t.negative), dns.Name.Compare) {
		fmt.Fprintf(h, "negative %v %d\n", z, t.negative[z].UnixNano())
	}
	t.terms = [16]byte(h.Sum(nil))
}

// Elsewhere returns what tells whether a name belongs to another stub or forward than name does; nil if there are none.
func (t *Table) Elsewhere(name dns.Name) func(dns.Name) bool {
	if len(t.upstreams) == 0 && t.group == nil {
		return nil
	}
	own, _, _, _ := t.Lookup(name)
	return func(n dns.Name) bool {
		zone, _, _, _ := t.Lookup(n)
		return zone != own
	}
}

// Moved returns the zones of which what was learned does not hold under next as it did under t: stubs and forwards that came, went or have
// other servers, so that it came from somebody who is not asked any more; zones whose trust anchors, positive or negative, are others; and all of them,
// if validation comes to other verdicts.
func (t *Table) Moved(next *Table) []dns.Name {
	var out []dns.Name
	for zone, u := range t.upstreams {
		if v, ok := next.upstreams[zone]; !ok || u.kind != v.kind || !slices.Equal(u.servers, v.servers) {
			out = append(out, zone)
		}
	}
	for zone := range next.upstreams {
		if _, ok := t.upstreams[zone]; !ok {
			out = append(out, zone)
		}
	}
	if !slices.EqualFunc(t.hints, next.hints, func(a, b Hint) bool { return a.Name == b.Name && slices.Equal(a.Addrs, b.Addrs) }) {
		out = append(out, dns.Root) // another root is another internet
	}
	if t.validate && next.validate && !t.validation.Agrees(next.validation) {
		out = append(out, dns.Root) // what was secure may not be any more
	}
	for zone, a := range t.anchors {
		if b, ok := next.anchors[zone]; !ok || string(a.DS) != string(b.DS) || string(a.DNSKEY) != string(b.DNSKEY) {
			out = append(out, zone)
		}
	}
	for zone := range next.anchors {
		if _, ok := t.anchors[zone]; !ok {
			out = append(out, zone)
		}
	}
	for zone := range t.negative {
		if until, ok := next.negative[zone]; !ok || !until.Equal(t.negative[zone]) {
			out = append(out, zone)
		}
	}
	for zone := range next.negative {
		if _, ok := t.negative[zone]; !ok {
			out = append(out, zone)
		}
	}
	slices.SortFunc(out, dns.Name.Compare)
	return slices.Compact(out)
}
