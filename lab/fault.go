package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// fault is one misbehaviour to order: what (kind and its arguments), and when.
type fault struct {
	place uint64 // in the world; makes its draws its own
	kind  *kind

	// What. Each kind says which of these it reads.
	n    int
	as   string
	name dns.Name
	addr netip.Addr
	ttl  uint32
	by   time.Duration
	add  []addition

	// When. All must hold.
	conditions condition
	names      []pattern
	types      []dns.Type
	of         float64 // share of the servers, drawn per server (lame: per server and zone)
	rate       float64 // share of the questions
	share      float64 // share of the names, drawn per server and name
	from       time.Duration
	until      time.Duration // 0: for ever
	after      int           // not the first so many times that the question comes
	first      int           // only the first so many times; 0: always
}

// condition is a set of things that must be true of a question.
type condition uint16

const (
	whenEDNS condition = 1 << iota
	whenNoEDNS
	whenDO
	whenOption
	whenUnknownOption
	whenCookie
	whenIntermediate
	whenUnknownType
	whenMixedCase
	whenUDP
	whenTCP
	whenIPv4
	whenIPv6
)

var conditionNames = map[string]condition{
	"edns": whenEDNS, "no-edns": whenNoEDNS, "do": whenDO, "option": whenOption, "unknown-option": whenUnknownOption,
	"cookie": whenCookie, "intermediate": whenIntermediate, "unknown-type": whenUnknownType, "mixed-case": whenMixedCase,
	"udp": whenUDP, "tcp": whenTCP, "ipv4": whenIPv4, "ipv6": whenIPv6,
}

// pattern matches names: one name, or a name and all below it ("*.NAME"), or any ("*").
type pattern struct {
	name  dns.Name
	below bool
}

func parsePattern(s string) (pattern, error) {
	if s == "*" {
		return pattern{dns.Root, true}, nil
	}
	rest, below := strings.CutPrefix(s, "*.")
	n, err := dns.ParseName(rest)
	return pattern{n.Lower(), below}, err
}

func (p pattern) matches(n dns.Name) bool {
	return n == p.name && !(p.below && !p.name.IsRoot()) || p.below && n != p.name && n.IsWithin(p.name)
}

// addition is a record that a fault or script adds to a section.
type addition struct {
	section string // answer, authority or additional
	text    string // in presentation form; $QNAME stands for the name asked
}

// placeholder is what stands for the name asked.
const placeholder = "$QNAME"

func parseAddition(s string) (addition, error) {
	section, text, _ := strings.Cut(strings.TrimSpace(s), " ")
	a := addition{section, strings.TrimSpace(text)}
	if !slices.Contains([]string{"answer", "authority", "additional"}, section) {
		return a, fmt.Errorf("%q begins with no section: answer, authority or additional", s)
	}
	_, err := a.record(dns.MustParseName("a.example"))
	return a, err
}

func (a addition) record(qname dns.Name) (dns.RR, error) {
	return parseRecord(strings.ReplaceAll(a.text, placeholder, qname.String()), dns.Root)
}

// apply adds the record to the reply.
func (a addition) apply(r *reply, qname dns.Name) {
	rr, err := a.record(qname)
	if err != nil {
		return // a name that became too long by the one that was asked
	}
	s := newSet(rr.Name, rr.Type, rr.TTL, rr.Data)
	s.Class = rr.Class
	to := r.section(a.section)
	*to = append(*to, s)
}

// parseFault reads "KIND key=value ...".
func parseFault(words []token) (*fault, error) {
	if len(words) == 0 || words[0].key != "" {
		return nil, errors.New("fault needs a kind")
	}
	k := kinds[words[0].value]
	if k == nil {
		return nil, fmt.Errorf("unknown fault %q; there are %s", words[0].value, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	f := &fault{kind: k, of: 1, rate: 1, share: 1, n: k.n, by: k.by}
	if len(k.as) > 0 {
		f.as = k.as[0]
	}
	for _, t := range words[1:] {
		if err := f.argument(t); err != nil {
			return nil, fmt.Errorf("%s=%q: %w", t.key, t.value, err)
		}
	}
	if k.needsAdd && len(f.add) == 0 {
		return nil, fmt.Errorf("fault %s needs add=\"SECTION RECORD\"", k.name)
	}
	return f, nil
}

// maxFaultCount bounds what n= may ask for: records, packets or questions.
const maxFaultCount = 10000

func (f *fault) argument(t token) (err error) {
	if slices.Contains([]string{"n", "as", "name", "addr", "ttl", "by", "add"}, t.key) && !slices.Contains(f.kind.takes, t.key) {
		return fmt.Errorf("fault %s does not take it", f.kind.name)
	}
	switch t.key {
	case "n":
		f.n, err = parseCount(t.value, 0, maxFaultCount)
	case "as":
		if f.as = t.value; !slices.Contains(f.kind.as, t.value) {
			err = fmt.Errorf("not one of %s", strings.Join(f.kind.as, ", "))
		}
	case "ttl":
		var n int
		n, err = parseCount(t.value, 0, 1<<31-1)
		f.ttl = uint32(n)
	case "by":
		f.by, err = parseDuration(t.value)
	case "addr":
		f.addr, err = parseAddr(t.value)
	case "add":
		var a addition
		a, err = parseAddition(t.value)
		f.add = append(f.add, a)
	case "name":
		f.name, err = dns.ParseName(t.value)
	case "qname":
		return f.pattern(t.value)
	case "type":
		for _, s := range strings.Split(t.value, ",") {
			typ, err := dns.ParseType(s)
			if err != nil {
				return err
			}
			f.types = append(f.types, typ)
		}
	case "when":
		for _, s := range strings.Split(t.value, ",") {
			c, ok := conditionNames[s]
			if !ok {
				return fmt.Errorf("unknown condition %q; there are %s", s, strings.Join(slices.Sorted(maps.Keys(conditionNames)), ", "))
			}
			f.conditions |= c
		}
	case "of":
		f.of, err = parseShare(t.value)
	case "rate":
		f.rate, err = parseShare(t.value)
	case "names":
		f.share, err = parseShare(t.value)
	case "from":
		f.from, err = parseDuration(t.value)
	case "until":
		f.until, err = parseDuration(t.value)
	case "after":
		f.after, err = parseCount(t.value, 0, maxFaultCount)
	case "first":
		f.first, err = parseCount(t.value, 1, maxFaultCount)
	default:
		err = errors.New("unknown; there are qname, type, when, of, names, rate, from, until, after, first and what the fault itself takes")
	}
	return err
}

func (f *fault) pattern(s string) error {
	for _, part := range strings.Split(s, ",") {
		p, err := parsePattern(part)
		if err != nil {
			return err
		}
		f.names = append(f.names, p)
	}
	return nil
}

// inForce tells whether the fault shows in this exchange.
func (f *fault) inForce(x *exchange) bool {
	if x.since < f.from || f.until > 0 && x.since >= f.until {
		return false
	}
	if f.conditions&^(x.given|whenIntermediate) != 0 {
		return false
	}
	if len(f.types) > 0 && !slices.Contains(f.types, x.q.qtype) {
		return false
	}
	if len(f.names) > 0 && !slices.ContainsFunc(f.names, func(p pattern) bool { return p.matches(x.q.name) }) {
		return false
	}
	if x.attempt <= f.after || f.first > 0 && x.attempt > f.first {
		return false
	}
	if f.conditions&whenIntermediate != 0 && !x.intermediate() {
		return false
	}
	return f.onServer(x) && f.onName(x) && (f.rate == 1 || x.draw.with(f.place).chance(f.rate))
}

// onName tells whether the name is one of those at which the server shows the fault, however often and for whatever type it is asked.
func (f *fault) onName(x *exchange) bool {
	return f.share == 1 || x.server.draw.with(f.place).with(1).text(x.q.name.Wire()).chance(f.share)
}

// onServer tells whether the server is one of those that have the fault.
func (f *fault) onServer(x *exchange) bool {
	if f.of == 1 {
		return true
	}
	s := x.server.draw.with(f.place)
	if f.kind.perZone {
		z := x.view().zoneFor(x.q.name, x.q.qtype)
		if z == nil {
			return false
		}
		s = s.text(z.apex.Wire())
	}
	return s.chance(f.of)
}

// inForceOn tells whether the fault shows on a connection before a question was read on it.
func (f *fault) inForceOn(s *server, since time.Duration, given condition) bool {
	return f.conditions&^given == 0 && len(f.types)+len(f.names) == 0 && f.after == 0 && f.first == 0 && f.rate == 1 && f.share == 1 &&
		!f.kind.perZone && since >= f.from && (f.until == 0 || since < f.until) && s.draw.with(f.place).chance(f.of)
}
