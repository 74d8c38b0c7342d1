package lab

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// exchange is one question at one server: drawn when it arrives, answered when its round trip is over. Both carriers go through it,
// and neither knows anything of DNS.
type exchange struct {
	carrier *carrier
	server  *server
	client  netip.AddrPort
	tcp     bool
	since   time.Duration // since the carrier began
	q       query
	draw    seed      // of (seed, server, question, attempt)
	attempt int       // how many times the question came to this server, this time included
	given   condition // what is true of the question
	faults  []*fault  // in force
	script  *script

	wait  time.Duration // from the question to the first packet
	early time.Duration // by how much forged packets overtake the true one

	// How the reply is laid out; faults may change these.
	limit int
	opt   edns
	drip  time.Duration // TCP: between two octets; 0: all at once
	hang  bool          // TCP: close instead of answering
}

// packet is one message that leaves.
type packet struct {
	after time.Duration // after wait
	from  netip.AddrPort
	data  []byte
	end   bool // TCP: the connection is closed then
}

// arrive takes a message in and draws what becomes of it. It returns nil if nothing does.
func (c *carrier) arrive(client, to netip.AddrPort, tcp bool, msg []byte) *exchange {
	l := c.lab
	s := l.server(to.Addr())
	if s == nil || to.Port() != port {
		return nil
	}
	q, err := parseQuery(msg)
	if err != nil {
		return nil
	}
	x := &exchange{carrier: c, server: s, client: client, tcp: tcp, since: c.since(), q: q}
	x.attempt = l.count.question(x)
	x.draw = s.draw.text(q.name.Wire()).with(uint64(q.qtype)<<32 | uint64(x.attempt))
	x.wait = s.roundTrip(x.draw)
	x.given = x.conditions()
	x.limit = min(q.size, serverUDPSize)
	if tcp {
		x.limit = maxMessage
	} else if x.draw.with(1).chance(s.loss) {
		l.count.lost.Add(1)
		return nil
	}
	if q.edns {
		x.opt.present = true
	}
	for _, sc := range s.scripts {
		if sc.inForce(x) {
			x.script = sc
			return x
		}
	}
	for _, f := range s.faults {
		if !f.inForce(x) {
			continue
		}
		if f.kind.arrive != nil {
			var silent, inForce bool
			if silent, inForce = f.kind.arrive(x, f); silent {
				l.count.fault(f)
				return nil
			} else if !inForce {
				continue
			}
		}
		l.count.fault(f)
		x.faults = append(x.faults, f)
	}
	return x
}

// roundTrip draws the time to the server and back.
func (s *server) roundTrip(draw seed) time.Duration {
	if s.jitter == 0 {
		return s.latency
	}
	return s.latency + time.Duration(float64(s.latency)*s.jitter*(2*draw.with(2).share()-1))
}

// conditions tells what is true of the question. Whether it is for an intermediate name is asked apart, because it takes work.
func (x *exchange) conditions() condition {
	var c condition
	set := func(ok bool, bit condition) {
		if ok {
			c |= bit
		}
	}
	set(x.q.edns, whenEDNS)
	set(!x.q.edns, whenNoEDNS)
	set(x.q.do, whenDO)
	set(len(x.q.options) > 0, whenOption)
	set(x.q.unknown, whenUnknownOption)
	set(x.q.cookie != nil, whenCookie)
	set(x.unknownType(), whenUnknownType)
	set(x.mixedCase(), whenMixedCase)
	return c | connectionConditions(x.server.addr, x.tcp)
}

func connectionConditions(server netip.Addr, tcp bool) condition {
	c := whenUDP
	if tcp {
		c = whenTCP
	}
	if server.Is4() {
		return c | whenIPv4
	}
	return c | whenIPv6
}

// unknownType tells whether the type asked is none of RFC 1035, AAAA or SRV: what a server of 2000 knows.
func (x *exchange) unknownType() bool {
	return x.q.qtype > dns.TypeTXT && x.q.qtype != dns.TypeAAAA && x.q.qtype != dns.TypeSRV && x.q.qtype != dns.TypeANY
}

func (x *exchange) mixedCase() bool {
	return slices.ContainsFunc(x.q.sent[:max(0, len(x.q.sent)-4)], func(c byte) bool { return 'A' <= c && c <= 'Z' })
}

// intermediate tells whether the question is one that only a resolver that minimises names asks (RFC 9156): for a name that owns
// nothing, or for the NS records of a name that is no zone's.
func (x *exchange) intermediate() bool {
	z := x.view().zoneFor(x.q.name, x.q.qtype)
	if z == nil || x.q.name == z.apex {
		return false
	}
	return x.q.qtype == dns.TypeNS || z.node(x.q.name).empty
}

func (x *exchange) view() view {
	return view{lab: x.carrier.lab, server: x.server.addr, since: x.since, all: x.server.all, co: x.q.co}
}

// maxPackets bounds what one question may set off, whatever faults come together.
const maxPackets = maxFaultCount + 1

// packets answers: the server's work, done when the round trip is over.
func (x *exchange) packets() []packet {
	if x.script != nil {
		return x.script.packets(x)
	}
	var out []packet
	if z := x.transferred(); z != nil {
		out = x.transfer(z)
	} else {
		out = []packet{x.packet(x.early, x.message())}
	}
	for _, f := range x.faults {
		if f.kind.send != nil {
			out = f.kind.send(x, f, out)
		}
	}
	return out
}

func (x *exchange) packet(after time.Duration, msg []byte) packet {
	return packet{after: after, from: netip.AddrPortFrom(x.server.addr, port), data: msg}
}

// message is what the server says, faults included that change what it says.
func (x *exchange) message() []byte {
	for _, f := range x.faults {
		if f.kind.shape != nil {
			f.kind.shape(x, f)
		}
	}
	edited := false
	for _, f := range x.faults {
		if f.kind.instead != nil {
			if r := f.kind.instead(x, f); r != nil {
				return x.layOut(r)
			}
		}
		edited = edited || f.kind.edit != nil
	}
	if rcode := x.refusal(); rcode != dns.RCodeSuccess {
		return bare(&x.q, rcode, x.opt)
	}
	if !edited {
		return x.image().message(&x.q, x.opt, x.limit)
	}
	return x.layOut(x.truth())
}

// refusal is the response code for what no server of the lab answers.
func (x *exchange) refusal() dns.RCode {
	q := &x.q
	switch {
	case q.opcode != dns.OpcodeQuery:
		return dns.RCodeNotImplemented
	case q.bad:
		return dns.RCodeFormatError
	case q.edns && q.version > 0:
		return dns.RCodeBadVersion // RFC 6891 section 6.1.3
	case q.class != dns.ClassINET, q.qtype == dns.TypeAXFR, q.qtype == dns.TypeIXFR:
		return dns.RCodeRefused
	case q.qtype.IsMeta() && q.qtype != dns.TypeANY:
		return dns.RCodeFormatError
	}
	return dns.RCodeSuccess
}

// truth is what an honest server says; REFUSED where it serves no zone.
func (x *exchange) truth() *reply {
	r := x.view().authoritative(x.q.name, x.q.qtype, x.q.do)
	if r == nil {
		return &reply{rcode: dns.RCodeRefused}
	}
	return r
}

// layOut makes the reply's message, after the faults that edit replies.
func (x *exchange) layOut(r *reply) []byte {
	for _, f := range x.faults {
		if f.kind.edit != nil {
			f.kind.edit(x, f, r)
		}
	}
	x.opt.rcode = r.rcode
	if len(x.q.sent) == 0 {
		return bare(&x.q, r.rcode, x.opt)
	}
	im, err := pack(r, x.q.sent, x.q.name)
	if err != nil {
		return bare(&x.q, dns.RCodeServerFailure, x.opt)
	}
	if x.server.all {
		im.recursive()
	}
	return im.message(&x.q, x.opt, x.limit)
}

// imageKey names a true reply that was laid out before.
type imageKey struct {
	server netip.Addr
	name   dns.Name
	qtype  dns.Type
	do, co bool
	phase  int   // of the written zones that come and go
	period int64 // of the signatures
}

// image returns the truth laid out, kept from before if it was.
func (x *exchange) image() image {
	l := x.carrier.lab
	k := imageKey{x.server.addr, x.q.name, x.q.qtype, x.q.do, x.q.co, l.phase(x.since), 0}
	if x.q.do {
		k.period = l.ring.clock().Truncate(signaturePeriod).Unix()
	}
	if im, ok := l.images.get(k); ok {
		return im
	}
	im, err := pack(x.truth(), x.q.sent, x.q.name)
	if err != nil {
		im, _ = pack(&reply{rcode: dns.RCodeServerFailure}, x.q.sent, x.q.name)
	}
	if x.server.all {
		im.recursive()
	}
	l.images.put(k, im)
	return im
}

// recursive sets the header of a recursive server's reply: RA, and no AA.
func (im image) recursive() {
	im.msg[2] &^= flagAA >> 8
	im.msg[3] |= flagRA
}
