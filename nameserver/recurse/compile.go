package recurse

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/prefixset"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Limits of what settings may hold.
const (
	maxHintRecords   = 1000   // the root has 39: 13 names with two addresses each
	maxAnchorRecords = 10_000 // one or two a zone
	maxUpstreams     = 100_000
)

var (
	//go:embed root.hints
	builtinHints []byte
	//go:embed root.ds
	builtinAnchors []byte

	errNoMinimisation = errors.New("neither relaxed nor strict nor off")
	errNoGroupKind    = errors.New("neither forward nor stub")
)

// Compile checks the settings and makes a table of them. c is the section cache,
// compiled; files reads a file that the settings name. The error is a
// [*strictyaml.Errors] with all that is wrong, its paths as within the part "settings" of a file: recursion.root_hints,
// stub[0].zone.
func Compile(s Settings, c *cache.Table, stub []Stub, forward []Forward, groups []Group, files func(path string) ([]byte, error)) (*Table, error) {
	t := &Table{
		Limits: s.Limits, Minimisation: s.QNAMEMinimisation, IPv4: s.IPv4, IPv6: s.IPv6,
		ErrorReports: s.ErrorReports, TrustAnchorUpdates: s.TrustAnchorUpdates,
		MaxTTL: c.MaxTTL, MinTTL: c.MinTTL, NegativeMaxTTL: c.NegativeMaxTTL, Stale: c.Stale,
	}
	var e strictyaml.Errors
	if !s.IPv4 && !s.IPv6 {
		e.Addf("recursion.ipv6", "turn one of them on", "ipv4 and ipv6 are both off, so that no server can be asked")
	}
	if s.Limits.FailureTTLMin > s.Limits.FailureTTLMax {
		e.Addf("recursion.limits.failure_ttl_min", "", "%v is more than failure_ttl_max, which is %v",
			strictyaml.FormatDuration(s.Limits.FailureTTLMin), strictyaml.FormatDuration(s.Limits.FailureTTLMax))
	}
	v, err := dnssec.Compile(s.Validation)
	if err != nil {
		e.Addf("recursion.validation", "", "%w", err)
	}
	t.validation = v
	t.compileUpstreams(&e, stub, forward)
	t.checkGroups(&e, groups)
	t.compileNever(s.NeverQuery)
	t.compileHints(&e, s.RootHints, files)
	t.compileAnchors(&e, s.TrustAnchors, files)
	t.compileNegative(&e, s.NegativeTrustAnchors)
	t.compileLocalRoot(&e, s.LocalRoot)
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	t.compileAbove()
	t.groups = t.compiledGroups(groups)
	t.agreed = fmt.Sprintf("%+v", s.Validation)
	t.agree()
	t.regroup()
	return t, nil
}

func (t *Table) compileUpstreams(e *strictyaml.Errors, stub []Stub, forward []Forward) {
	if n := len(stub) + len(forward); n > maxUpstreams {
		e.Addf("forward", "", "there are %d stub and forward zones, more than %d", n, maxUpstreams)
		return
	}
	t.upstreams = make(map[dns.Name]upstream, len(stub)+len(forward))
	first := make(map[dns.Name]string)
	t.exempt = make(map[netip.Addr]struct{})
	add := func(path string, kind SourceKind, zone dns.Name, servers []netip.AddrPort) {
		key := zone.Lower()
		if other, twice := first[key]; twice {
			e.Addf(path+".zone", "remove one of the two", "%v has servers already, in %s", zone, other)
			return
		}
		first[key] = path
		t.checkServers(e, path, servers)
		for _, s := range servers {
			// What a zone says of its servers means port 53; another port is known to the settings only.
			if s.Port() == dnsPort {
				t.exempt[s.Addr()] = struct{}{}
			}
		}
		t.upstreams[key] = upstream{kind, slices.Clone(servers)}
	}
	for i, s := range stub {
		add(fmt.Sprintf("stub[%d]", i), KindStub, s.Zone, s.Servers)
	}
	for i, f := range forward {
		add(fmt.Sprintf("forward[%d]", i), KindForward, f.Zone, f.Servers)
	}
}

// checkServers checks the servers of a stub, a forward or a group.
func (t *Table) checkServers(e *strictyaml.Errors, path string, servers []netip.AddrPort) {
	usable := false
	seen := make(map[netip.AddrPort]bool)
	for i, s := range servers {
		if seen[s] {
			e.Addf(fmt.Sprintf("%s.servers[%d]", path, i), "remove one of the two", "%v is there twice", s)
		}
		seen[s] = true
		usable = usable || t.Speaks(s.Addr())
	}
	if !usable && (t.IPv4 || t.IPv6) {
		e.Addf(path+".servers", "turn that family on, or name a server of the other", "all are of a family that is off in settings.recursion")
	}
}

func (t *Table) compileNever(prefixes []netip.Prefix) {
	if t.implicit = prefixes == nil; t.implicit {
		prefixes = DefaultNeverQuery()
	}
	t.never = prefixset.New(prefixes)
}

func (t *Table) compileHints(e *strictyaml.Errors, path string, files func(string) ([]byte, error)) {
	const key = "recursion.root_hints"
	name, parse := "root.hints", parsedBuiltinHints
	if path != "" {
		text, err := files(path)
		if err != nil {
			e.Addf(key, hintHints, "reading root hints: %w", err)
			return
		}
		name, parse = path, func() ([]Hint, error) { return parseHints(text, path) }
	}
	hints, err := parse()
	if err != nil {
		e.Addf(key, hintHints, "%w", err)
		return
	}
	t.hints = hints
	if _, ok := t.upstreams[dns.Root]; ok {
		return // they are never needed
	}
	family, refused := 0, 0
	for _, h := range hints {
		for _, a := range h.Addrs {
			switch {
			case a.Is4() && !t.IPv4 || a.Is6() && !t.IPv6:
				family++
			case t.NeverQuery(a):
				refused++
			default:
				return
			}
		}
	}
	switch {
	case !t.IPv4 && !t.IPv6: // told already
	case refused > 0:
		e.Addf(key, "set settings.recursion.never_query to what must not be asked; [] means nothing",
			"every address in %q is one that never_query forbids to ask", name)
	default:
		e.Addf(key, "turn the family on that they have", "every one of the %d addresses in %q is of a family that is off", family, name)
	}
}

const hintHints = "name a file with the NS records of the root and the addresses of its servers, or remove the key to use the built-in ones"

// parsedBuiltinHints parses the list of IANA, once: it was a sixteenth of what a small change of the settings cost.
var parsedBuiltinHints = sync.OnceValues(func() ([]Hint, error) { return parseHints(builtinHints, "root.hints") })

// parseHints reads the NS records of the root and the addresses of the names in them.
func parseHints(text []byte, file string) ([]Hint, error) {
	rrs, err := dns.ParseZone(string(text), file, dns.Root, maxHintRecords)
	if err != nil {
		return nil, err
	}
	addrs := make(map[dns.Name][]netip.Addr)
	var names []dns.Name
	for _, rr := range rrs {
		owner := rr.Name.Lower()
		switch rr.Type {
		case dns.TypeNS:
			if !owner.IsRoot() {
				return nil, fmt.Errorf("reading root hints from %q: NS record of %v, not of the root", file, rr.Name)
			}
			ns, _ := dns.RdataName(dns.TypeNS, rr.Data)
			if ns = ns.Lower(); !slices.Contains(names, ns) {
				names = append(names, ns)
			}
		case dns.TypeA, dns.TypeAAAA:
			a, ok := netip.AddrFromSlice(rr.Data)
			if ok && !slices.Contains(addrs[owner], a) {
				addrs[owner] = append(addrs[owner], a)
			}
		default:
			return nil, fmt.Errorf("reading root hints from %q: %v record of %v; NS, A and AAAA are all that hints have", file, rr.Type, rr.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("reading root hints from %q: no NS record of the root", file)
	}
	var hints []Hint
	for _, n := range names {
		if len(addrs[n]) > 0 {
			hints = append(hints, Hint{n, addrs[n]})
		}
	}
	if len(hints) == 0 {
		return nil, fmt.Errorf("reading root hints from %q: no address of %v or another server of the root", file, names[0])
	}
	return hints, nil
}

// noAnchors is the value of trust_anchors that turns validation off.
const noAnchors = "none"

func (t *Table) compileAnchors(e *strictyaml.Errors, path string, files func(string) ([]byte, error)) {
	const key = "recursion.trust_anchors"
	if path == noAnchors {
		return
	}
	text, name := builtinAnchors, "root.ds"
	if path != "" {
		var err error
		if text, err = files(path); err != nil {
			hint := hintAnchors
			if strings.EqualFold(path, noAnchors) {
				hint = `did you mean "none", which turns validation off?`
			}
			e.Addf(key, hint, "reading trust anchors: %w", err)
			return
		}
		name = path
	}
	anchors, err := parseAnchors(text, name)
	if err != nil {
		hint := hintAnchors
		if bytes.Contains(text, []byte("trust-anchors")) || bytes.Contains(text, []byte("managed-keys")) {
			hint = "this looks like a file of BIND; write the records as in a zone file: example. IN DS 12345 13 2 ..."
		}
		e.Addf(key, hint, "%w", err)
		return
	}
	if len(anchors) == 0 {
		e.Addf(key, hintAnchors, "reading trust anchors from %q: no DS or DNSKEY record", name)
		return
	}
	t.validate, t.anchors, t.builtin = true, anchors, path == ""
}

const hintAnchors = `name a file with DS or DNSKEY records, or write "none" to validate nothing, or remove the key to use the built-in keys of the root`

// parseAnchors reads DS and DNSKEY records, and refuses those that no key or signature can match.
func parseAnchors(text []byte, file string) (map[dns.Name]Anchor, error) {
	rrs, err := dns.ParseZone(string(text), file, dns.Root, maxAnchorRecords)
	if err != nil {
		return nil, err
	}
	anchors := make(map[dns.Name]Anchor)
	for _, rr := range rrs {
		zone := rr.Name.Lower()
		a := anchors[zone]
		a.Zone = zone
		switch rr.Type {
		case dns.TypeDS:
			err = checkDS(rr.Data)
			a.DS = appendNew(a.DS, rr.Data)
		case dns.TypeDNSKEY:
			err = checkKey(rr.Data)
			a.DNSKEY = appendNew(a.DNSKEY, rr.Data)
		default:
			err = errors.New("it is neither DS nor DNSKEY")
		}
		if err != nil {
			return nil, fmt.Errorf("reading trust anchors from %q: %v record of %v: %w", file, rr.Type, rr.Name, err)
		}
		anchors[zone] = a
	}
	return anchors, nil
}

func appendNew(r dns.Records, data []byte) dns.Records {
	if r.Contains(data) {
		return r
	}
	return r.Append(data)
}

// checkDS refuses a digest whose length is not that of its type (RFC 4034 section 5.1, RFC 4509, RFC 6605).
func checkDS(data []byte) error {
	if len(data) < 5 {
		return errors.New("digest is missing")
	}
	if want := map[byte]int{1: 20, 2: 32, 4: 48}[data[3]]; want != 0 && len(data)-4 != want {
		return fmt.Errorf("digest has %d octets, those of type %d have %d", len(data)-4, data[3], want)
	}
	return nil
}

// checkKey refuses what can not sign a zone: RFC 4034 section 2.1, RFC 5011 section 7 (a revoked key).
func checkKey(data []byte) error {
	const zoneKey, revoked = 0x0100, 0x0080
	if len(data) < 5 {
		return errors.New("key is missing")
	}
	switch flags := int(data[0])<<8 | int(data[1]); {
	case flags&zoneKey == 0:
		return fmt.Errorf("flags %d: it is not the key of a zone", flags)
	case flags&revoked != 0:
		return fmt.Errorf("flags %d: it is revoked", flags)
	case data[2] != 3:
		return fmt.Errorf("protocol is %d, not 3", data[2])
	}
	return nil
}

func (t *Table) compileNegative(e *strictyaml.Errors, list []NegativeTrustAnchor) {
	t.negative = make(map[dns.Name]time.Time, len(list))
	for i, n := range list {
		zone := n.Zone.Lower()
		if _, twice := t.negative[zone]; twice {
			e.Addf(fmt.Sprintf("recursion.negative_trust_anchors[%d]", i), "remove one of the two", "%v is there twice", n.Zone)
		}
		t.negative[zone] = n.Until
	}
}

func (t *Table) compileAbove() {
	t.above = make(map[dns.Name]struct{})
	add := func(n dns.Name) {
		for ; !n.IsRoot(); n = n.Parent() {
			t.above[n] = struct{}{}
		}
		t.above[n] = struct{}{}
	}
	for n := range t.upstreams {
		add(n)
	}
	for n := range t.anchors {
		add(n)
	}
}
