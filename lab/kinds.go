package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// kind is a sort of fault. A kind has one or more of the functions, which run in the order in which they stand here.
type kind struct {
	name     string
	doc      string   // one line, for docs/lab.md
	takes    []string // arguments beside those that say when
	as       []string // the words that as= may be, the default first
	n        int      // the default of n=
	by       time.Duration
	needsAdd bool
	perZone  bool // of= is drawn per server and zone

	arrive  func(*exchange, *fault) (silent, inForce bool) // when the question arrives
	shape   func(*exchange, *fault)                        // how the reply is to be laid out
	instead func(*exchange, *fault) *reply                 // a reply in place of the truth; nil: the truth
	edit    func(*exchange, *fault, *reply)                // changes a reply
	send    func(*exchange, *fault, []packet) []packet     // what leaves
	connect connectFault                                   // what happens to a TCP connection
}

// connectFault is what a server does to TCP connections.
type connectFault uint8

const (
	connects connectFault = iota
	refuses               // a reset
	silent                // nothing comes back
)

// kinds are all faults by name. It is never changed.
var kinds = byName(
	&kind{name: "drop", doc: "no reply; TCP does not connect", connect: silent,
		arrive: func(*exchange, *fault) (bool, bool) { return true, true }},
	&kind{name: "delay", doc: "the reply comes later, by= more", takes: []string{"by"}, by: time.Second,
		arrive: func(x *exchange, f *fault) (bool, bool) { x.wait += f.by; return false, true }},
	&kind{name: "limit", doc: "at most n= questions a second from one client, the rest as=drop, truncate or refused",
		takes: []string{"n", "as"}, as: []string{"drop", "truncate", "refused"}, n: 100, arrive: overLimit,
		instead: func(x *exchange, f *fault) *reply {
			if f.as == "refused" {
				return &reply{rcode: dns.RCodeRefused}
			}
			return nil
		},
		shape: func(x *exchange, f *fault) {
			if f.as == "truncate" {
				x.truncate()
			}
		}},

	rcode("refused", dns.RCodeRefused, "edns", "plain"), rcode("servfail", dns.RCodeServerFailure, "edns", "plain"),
	rcode("formerr", dns.RCodeFormatError, "plain", "edns"), rcode("notimp", dns.RCodeNotImplemented, "plain", "edns"),
	rcode("nxdomain", dns.RCodeNameError, "edns", "plain"), rcode("badvers", dns.RCodeBadVersion, "edns", "plain"),
	&kind{name: "lame", doc: "the server does not serve the zone: as=refused, servfail, upward, self, nodata or drop",
		takes: []string{"as"}, as: []string{"refused", "servfail", "upward", "self", "nodata", "drop"}, perZone: true,
		arrive:  func(x *exchange, f *fault) (bool, bool) { return f.as == "drop", true },
		instead: lame},
	&kind{name: "upward-referral", doc: "a referral to the root", instead: upward},
	&kind{name: "self-referral", doc: "a referral to the zone itself", instead: selfReferral},
	&kind{name: "fan", doc: "a referral to n= names below name=, without glue (NXNS)", takes: []string{"n", "name"}, n: 100, instead: fan},
	&kind{name: "huge-ns", doc: "a referral to n= servers with glue, none of which is there", takes: []string{"n"}, n: 50, instead: hugeNS},
	&kind{name: "cname-loop", doc: "every name is an alias into a loop of n=", takes: []string{"n"}, n: 2, instead: cnameLoop},
	&kind{name: "cname-chain", doc: "every name is an alias of a new name, without end", instead: cnameChain},
	&kind{name: "no-proof", doc: "the records are left out that prove one thing: as=match (a name that exists, and its types), encloser (NSEC3: the closest one), cover (that the name is not there) or wildcard",
		takes: []string{"as"}, as: []string{string(forMatch), string(forEncloser), string(forCover), string(forWildcard)}, instead: noProof},
	&kind{name: "dname-bomb", doc: "a DNAME at the apex makes names longer until they are too long", instead: dnameBomb},

	&kind{name: "no-edns", doc: "the server of 1998: no OPT in the reply, 512 octets", shape: func(x *exchange, _ *fault) {
		x.opt = edns{}
		if !x.tcp {
			x.limit = plainUDPMax
		}
	}},
	&kind{name: "echo-options", doc: "the EDNS options come back as they were sent", shape: func(x *exchange, _ *fault) {
		x.opt.options = x.q.options
	}},
	&kind{name: "report-channel", doc: "replies name the agent name=, to whom failures are to be reported (RFC 9567)", takes: []string{"name"},
		shape: func(x *exchange, f *fault) {
			x.opt.options = append(x.opt.options, dns.Options{}.Append(dns.OptionReportChannel, []byte(f.name.Wire()))...)
		}},
	&kind{name: "cookies", doc: "DNS cookies: as=correct, enforce (BADCOOKIE without), always-bad, wrong (another client's) or short (no server part)",
		takes: []string{"as"}, as: []string{"correct", "enforce", "always-bad", "wrong", "short"},
		shape: cookieOption, instead: cookieDemand},
	&kind{name: "truncate", doc: "TC over UDP; as=always: over TCP as well", takes: []string{"as"}, as: []string{"udp", "always"},
		shape: func(x *exchange, f *fault) {
			if !x.tcp || f.as == "always" {
				x.truncate()
			}
		}},
	&kind{name: "oversize", doc: "replies of any size over UDP", shape: func(x *exchange, _ *fault) { x.limit = maxMessage }},
	&kind{name: "lower-case", doc: "the question comes back in lower case", shape: func(x *exchange, _ *fault) {
		x.q.sent = append([]byte(x.q.name.Wire()), x.q.sent[len(x.q.name.Wire()):]...)
	}},

	&kind{name: "verbose", doc: "NS records and their addresses with each answer", edit: verbose},
	&kind{name: "no-aa", doc: "answers without AA", edit: func(_ *exchange, _ *fault, r *reply) { r.aa = false }},
	&kind{name: "ttl", doc: "all TTLs are ttl=, or 0", takes: []string{"ttl"}, edit: func(_ *exchange, f *fault, r *reply) {
		for _, sets := range [][]dns.RRset{r.answer, r.authority, r.additional} {
			for i := range sets {
				sets[i].TTL = f.ttl
			}
		}
	}},
	&kind{name: "ent-nxdomain", doc: "NXDOMAIN for an empty non-terminal", edit: func(x *exchange, _ *fault, r *reply) {
		if z := x.view().zoneFor(x.q.name, x.q.qtype); z != nil && r.rcode == dns.RCodeSuccess && len(r.answer) == 0 && z.content.node(x.q.name).empty {
			r.rcode = dns.RCodeNameError
		}
	}},
	&kind{name: "strip", doc: "what signs is taken out: as=signatures, or as=dnssec with NSEC, NSEC3 and DS records", takes: []string{"as"},
		as: []string{"signatures", "dnssec"}, edit: strip},
	&kind{name: "no-glue", doc: "no addresses in the additional section", edit: func(_ *exchange, _ *fault, r *reply) {
		r.additional, r.needed = nil, 0
	}},
	&kind{name: "add", doc: "records added to the truth: add=\"SECTION RECORD\", $QNAME is the name asked", takes: []string{"add"}, needsAdd: true,
		edit: func(x *exchange, f *fault, r *reply) {
			for _, a := range f.add {
				a.apply(r, x.q.name)
			}
		}},

	&kind{name: "key-trap", doc: "n= keys of tag 4711 among the zone's, or as many as fit into a message", takes: []string{"n"}, edit: keyTrap},
	&kind{name: "signature-trap", doc: "n= wrong signatures in place of the true ones, or as many as fit: as=keys (of that tag), own (of the zone's key's) or empty (no octets)",
		takes: []string{"n", "as"}, as: []string{"keys", "own", "empty"}, edit: signatureTrap},
	&kind{name: "ds-trap", doc: "n= DS records of that tag ahead of the true ones, or as many as fit: as=wrong (digests of nothing) or keys (of the keys of key-trap)",
		takes: []string{"n", "as"}, as: []string{"wrong", "keys"}, edit: dsTrap},
	&kind{name: "proof-trap", doc: "n= signed NSEC or NSEC3 records that prove nothing ahead of the true ones, or as many as fit; each NSEC3 has a salt of its own",
		takes: []string{"n"}, edit: proofTrap},

	&kind{name: "wrong-id", doc: "another message id", send: each(func(x *exchange, _ *fault, p *packet) {
		binary.BigEndian.PutUint16(p.data, x.q.id^uint16(1+x.draw.with(3).below(1<<16-1)))
	})},
	&kind{name: "wrong-question", doc: "a reply to another question", send: each(func(x *exchange, _ *fault, p *packet) {
		if len(p.data) > headerLen+5 && p.data[headerLen] > 0 {
			p.data[headerLen+1] ^= 0x01
		}
	})},
	&kind{name: "wrong-source", doc: "a reply from another address, addr=, or as=port from another port", takes: []string{"addr", "as"},
		as: []string{"address", "port"}, send: each(func(x *exchange, f *fault, p *packet) {
			switch {
			case f.as == "port":
				p.from = netip.AddrPortFrom(p.from.Addr(), 5353)
			case f.addr.IsValid():
				p.from = netip.AddrPortFrom(f.addr, port)
			default:
				b := p.from.Addr().AsSlice()
				b[len(b)-1] ^= 0x01
				a, _ := netip.AddrFromSlice(b)
				p.from = netip.AddrPortFrom(a, port)
			}
		})},
	&kind{name: "garbage", doc: "random octets behind the right id", send: each(func(x *exchange, _ *fault, p *packet) {
		x.draw.with(4).fill(p.data[2:])
		p.data[2] |= 0x80
	})},
	&kind{name: "short", doc: "only the first half of the message", send: each(func(_ *exchange, _ *fault, p *packet) {
		p.data = p.data[:len(p.data)/2]
	})},
	&kind{name: "duplicate", doc: "the reply comes n= times", takes: []string{"n"}, n: 2, send: func(_ *exchange, f *fault, out []packet) []packet {
		var all []packet
		for range min(f.n, maxPackets/max(1, len(out))) {
			for _, p := range out {
				p.data = slices.Clone(p.data)
				all = append(all, p)
			}
		}
		return all
	}},
	&kind{name: "mtu", doc: "replies over UDP of more than n= octets are lost, as fragments are", takes: []string{"n"}, n: 1400,
		send: func(x *exchange, f *fault, out []packet) []packet {
			return slices.DeleteFunc(out, func(p packet) bool { return !x.tcp && len(p.data) > f.n })
		}},
	&kind{name: "spoof", doc: "n= forged replies with wrong ids and add= records overtake the true one", takes: []string{"n", "add"}, n: 100,
		arrive: func(x *exchange, _ *fault) (bool, bool) {
			if x.early == 0 && !x.tcp {
				x.early = x.wait / 2
				x.wait -= x.early
			}
			return false, !x.tcp
		},
		send: spoof},

	&kind{name: "transfer", doc: "a transfer of the root: as=cut or stall after n= messages, tamper (another address in glue), forge (another DS) or strip (no ZONEMD)",
		takes: []string{"n", "as"}, as: []string{"cut", "stall", "tamper", "forge", "strip"}, n: 1,
		arrive: func(x *exchange, _ *fault) (bool, bool) { return false, x.transfers() }, send: endEarly},

	&kind{name: "tcp-refuse", doc: "TCP connections are refused", connect: refuses},
	&kind{name: "tcp-silent", doc: "TCP does not connect", connect: silent},
	&kind{name: "tcp-close", doc: "TCP connections are closed instead of answered", send: func(x *exchange, _ *fault, out []packet) []packet {
		x.hang = x.tcp
		return out
	}},
	&kind{name: "tcp-drip", doc: "over TCP one octet each by=", takes: []string{"by"}, by: time.Second,
		send: func(x *exchange, f *fault, out []packet) []packet {
			x.drip = f.by
			return out
		}},
)

func byName(all ...*kind) map[string]*kind {
	m := map[string]*kind{}
	for _, k := range all {
		m[k.name] = k
	}
	return m
}

// rcode is a reply without records. Servers that say FORMERR or NOTIMP are mostly those that do not know EDNS, and send no OPT back
// (RFC 6891 section 7).
func rcode(name string, code dns.RCode, as ...string) *kind {
	return &kind{name: name, doc: strings.ToUpper(name) + " and no records; as=edns or plain: with OPT or without", takes: []string{"as"}, as: as,
		instead: func(x *exchange, f *fault) *reply {
			if f.as == "plain" {
				x.opt = edns{}
			}
			return &reply{rcode: code}
		}}
}

func each(change func(*exchange, *fault, *packet)) func(*exchange, *fault, []packet) []packet {
	return func(x *exchange, f *fault, out []packet) []packet {
		for i := range out {
			change(x, f, &out[i])
		}
		return out
	}
}

func (x *exchange) truncate() { x.limit = 0 }

// zone is the zone that the question is for, at this server.
func (x *exchange) zone() *zone {
	return x.view().zoneFor(x.q.name, x.q.qtype)
}

// signed signs what a fault invented, so that validators see the fault and not a missing signature.
func (x *exchange) signed(z *zone, s dns.RRset) dns.RRset {
	if !x.q.do {
		return s
	}
	return z.sign(s, s.Name)
}

func lame(x *exchange, f *fault) *reply {
	switch f.as {
	case "servfail":
		return &reply{rcode: dns.RCodeServerFailure}
	case "upward":
		return upward(x, f)
	case "self":
		return selfReferral(x, f)
	case "nodata":
		return &reply{}
	}
	return &reply{rcode: dns.RCodeRefused}
}

func upward(x *exchange, _ *fault) *reply {
	r := &reply{}
	for _, z := range x.carrier.lab.enclosing(dns.Root, x.server.addr, x.since) {
		if ns, ok := z.content.node(dns.Root).set(dns.TypeNS); ok {
			r.authority = append(r.authority, ns)
		}
	}
	return r
}

func selfReferral(x *exchange, _ *fault) *reply {
	z := x.zone()
	if z == nil {
		return nil
	}
	r := &reply{}
	w := writer{view: x.view(), zone: z, reply: r}
	w.referral(z.apex, z.content.node(z.apex))
	return r
}

// cutFor invents a delegation one label below the zone, towards the name asked.
func (x *exchange) cutFor(z *zone) (dns.Name, bool) {
	if x.q.name == z.apex {
		return dns.Name{}, false
	}
	return x.q.name.Ancestor(z.apex.Labels() + 1), true
}

func fan(x *exchange, f *fault) *reply {
	z := x.zone()
	if z == nil {
		return nil
	}
	cut, ok := x.cutFor(z)
	if !ok {
		return nil
	}
	under := f.name
	if under.IsZero() {
		under = child("fan", z.apex)
	}
	ns := nameSet(cut, dns.TypeNS, defaultTTL)
	for i := range f.n {
		host := child(fmt.Sprintf("ns%d-%08x", i+1, uint32(x.draw.with(uint64(i)<<8|5))), under)
		ns.Data = ns.Data.Append([]byte(host.Wire()))
	}
	return &reply{authority: []dns.RRset{ns}}
}

func hugeNS(x *exchange, f *fault) *reply {
	z := x.zone()
	if z == nil {
		return nil
	}
	cut, ok := x.cutFor(z)
	if !ok {
		return nil
	}
	r := &reply{}
	ns := nameSet(cut, dns.TypeNS, defaultTTL)
	for i := range f.n {
		host := child(fmt.Sprintf("ns%d", i+1), cut)
		ns.Data = ns.Data.Append([]byte(host.Wire()))
		// 198.18.0.0/15 is set aside for benchmarks (RFC 2544): routable to the resolver, and nobody is there.
		r.additional = append(r.additional, newSet(host, dns.TypeA, defaultTTL, []byte{198, 18, byte(i >> 8), byte(i)}))
	}
	r.authority = []dns.RRset{ns}
	return r
}

func cnameLoop(x *exchange, f *fault) *reply {
	z := x.zone()
	if z == nil || x.q.name == z.apex {
		return nil
	}
	next := 1
	var i int
	if _, err := fmt.Sscanf(x.q.name.Label(), "loop%d", &i); err == nil {
		next = i%max(1, f.n) + 1
	}
	to := child(fmt.Sprintf("loop%d", next), z.apex)
	return &reply{aa: true, answer: []dns.RRset{x.signed(z, nameSet(x.q.name, dns.TypeCNAME, 60, to))}}
}

func cnameChain(x *exchange, _ *fault) *reply {
	z := x.zone()
	if z == nil || x.q.name == z.apex {
		return nil
	}
	var i int
	_, _ = fmt.Sscanf(x.q.name.Label(), "link%d", &i) // any other name is the first link
	to := child(fmt.Sprintf("link%d", i+1), z.apex)
	return &reply{aa: true, answer: []dns.RRset{x.signed(z, nameSet(x.q.name, dns.TypeCNAME, 60, to))}}
}

func dnameBomb(x *exchange, _ *fault) *reply {
	z := x.zone()
	if z == nil || x.q.name == z.apex {
		return nil
	}
	w := writer{view: x.view(), zone: z, do: x.q.do, reply: &reply{aa: true}}
	w.dname(x.q.name, nameSet(z.apex, dns.TypeDNAME, 60, child("d", z.apex)))
	return w.reply
}

// noProof is the truth but for the records that prove one thing.
func noProof(x *exchange, f *fault) *reply {
	v := x.view()
	v.unproved = purpose(f.as)
	return v.authoritative(x.q.name, x.q.qtype, x.q.do)
}

// strip takes out what a server, or somebody on the way, leaves out who does not know DNSSEC or does not want it.
func strip(x *exchange, f *fault, r *reply) {
	for _, sets := range []*[]dns.RRset{&r.answer, &r.authority, &r.additional} {
		*sets = slices.DeleteFunc(*sets, func(s dns.RRset) bool {
			switch s.Type {
			case dns.TypeNSEC, dns.TypeNSEC3, dns.TypeDS, dns.TypeRRSIG:
				return f.as == "dnssec" && s.Type != x.q.qtype
			}
			return false
		})
		for i := range *sets {
			(*sets)[i].Sigs = nil
		}
	}
}

// verbose adds the zone's NS records and their addresses to an answer, as many servers do.
func verbose(x *exchange, _ *fault, r *reply) {
	z := x.zone()
	if z == nil || !r.aa || len(r.answer) == 0 || len(r.authority) > 0 {
		return
	}
	w := writer{view: x.view(), zone: z, do: x.q.do, reply: r}
	ns, ok := z.content.node(z.apex).set(dns.TypeNS)
	if !ok {
		return
	}
	if x.q.qtype != dns.TypeNS || x.q.name != z.apex {
		r.authority = append(r.authority, w.signed(ns, z.apex))
		w.addresses(ns)
	}
}

// spoof puts forged replies before the true one. Their ids are never right: that would be no test of the resolver, only of luck.
func spoof(x *exchange, f *fault, out []packet) []packet {
	r := &reply{aa: true}
	for _, a := range f.add {
		a.apply(r, x.q.name)
	}
	if len(f.add) == 0 {
		r.answer = append(r.answer, newSet(x.q.name, dns.TypeA, 86400, []byte{6, 6, 6, 6}))
	}
	im, err := pack(r, x.q.sent, x.q.name)
	if err != nil {
		return out
	}
	var forged []packet
	for i := range min(f.n, maxPackets-len(out)) {
		msg := im.message(&x.q, edns{}, maxMessage)
		binary.BigEndian.PutUint16(msg, x.q.id^uint16(1+x.draw.with(uint64(i)<<8|6).below(1<<16-1)))
		forged = append(forged, x.packet(0, msg))
	}
	return append(forged, out...)
}

// overLimit is a token bucket per server and client.
func overLimit(x *exchange, f *fault) (silent, inForce bool) {
	over := x.carrier.over(x, f)
	return over && f.as == "drop", over
}
