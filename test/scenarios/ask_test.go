package scenarios

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
)

// ask is what a step of that name asks.
type ask struct {
	name    string // $N is the number of the client
	typ     uint16
	class   uint16
	tcp     bool
	edit    []func(*miekg.Msg)
	edns    bool
	opt     *miekg.OPT
	from    netip.Addr
	times   int
	behind  bool // others go on meanwhile
	timeout time.Duration
	expect  expectation
}

var localClient = netip.MustParseAddr("127.0.0.1")

// compileAsk reads "ask NAME TYPE [CLASS] [+FLAG...] [KEY=VALUE...] [&]".
func (s *step) compileAsk(*scenario) error {
	a, err := parseAsk(s)
	s.run = func(p *play) { p.ask(s, a) }
	return err
}

func parseAsk(s *step) (*ask, error) {
	a := &ask{edns: true, from: localClient, times: 1, class: miekg.ClassINET, timeout: time.Minute}
	a.opt = &miekg.OPT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeOPT}}
	a.opt.SetUDPSize(1232)
	if len(s.args) < 2 {
		return nil, fmt.Errorf("takes a name and a type")
	}
	a.name = s.args[0]
	if _, err := dns.ParseName(strings.ReplaceAll(a.name, "$N", "1")); err != nil {
		return nil, err
	}
	typ, err := dns.ParseType(s.args[1])
	if err != nil {
		return nil, err
	}
	a.typ = uint16(typ)
	for _, w := range s.args[2:] {
		if err := a.option(w); err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
	}
	a.expect, err = parseExpectation(s.file, s.line, s.want)
	return a, err
}

func (a *ask) option(w string) (err error) {
	key, value, hasValue := strings.Cut(w, "=")
	number := func(bits int) uint64 {
		var n uint64
		if n, err = strconv.ParseUint(value, 0, bits); !hasValue {
			err = fmt.Errorf("takes a number")
		}
		return n
	}
	edit := func(f func(*miekg.Msg)) { a.edit = append(a.edit, f) }
	switch key {
	case "&":
		a.behind = true
	case "CH", "HS", "ANY", "CLASS42":
		a.class = map[string]uint16{"CH": miekg.ClassCHAOS, "HS": miekg.ClassHESIOD, "ANY": miekg.ClassANY, "CLASS42": 42}[key]
	case "+tcp":
		a.tcp = true
	case "+do":
		a.opt.SetDo()
	case "+co":
		a.opt.SetCo()
	case "+noedns":
		a.edns = false
	case "+bufsize":
		a.opt.SetUDPSize(uint16(number(16)))
	case "+edns":
		a.opt.SetVersion(uint8(number(8)))
	case "+option":
		code, data, _ := strings.Cut(value, ":")
		n, err := strconv.ParseUint(code, 10, 16)
		if err != nil {
			return err
		}
		b, err := hex.DecodeString(data)
		if err != nil {
			return err
		}
		a.opt.Option = append(a.opt.Option, &miekg.EDNS0_LOCAL{Code: uint16(n), Data: b})
	case "+cd":
		edit(func(m *miekg.Msg) { m.CheckingDisabled = true })
	case "+ad":
		edit(func(m *miekg.Msg) { m.AuthenticatedData = true })
	case "+nord":
		edit(func(m *miekg.Msg) { m.RecursionDesired = false })
	case "+opcode":
		n := number(4)
		edit(func(m *miekg.Msg) { m.Opcode = int(n) })
	case "from":
		a.from, err = netip.ParseAddr(value)
	case "times":
		a.times = int(number(16))
	case "patience":
		a.timeout, err = parseDuration([]string{value})
	default:
		return fmt.Errorf("unknown; see README.md")
	}
	return err
}

// result is what one client got.
type result struct {
	raw  []byte
	msg  *miekg.Msg // nil: nothing came
	took time.Duration
	odd  []string // what is wrong with the answer whatever was asked
}

// client asks once and reads the answer with github.com/miekg/dns, a second opinion on what the node writes.
func (p *play) client(a *ask, number int) result {
	m := &miekg.Msg{Question: []miekg.Question{{
		Name: miekg.Fqdn(strings.ReplaceAll(a.name, "$N", strconv.Itoa(number))), Qtype: a.typ, Qclass: a.class,
	}}}
	m.Id, m.RecursionDesired = uint16(number*7919), true
	if a.edns {
		m.Extra = []miekg.RR{miekg.Copy(a.opt)} // packing writes into it
	}
	for _, f := range a.edit {
		f(m)
	}
	wire, err := m.Pack()
	if err != nil {
		return result{odd: []string{"packing the query: " + err.Error()}}
	}
	packet := listen.Packet{
		Data: wire, Client: netip.AddrPortFrom(a.from, uint16(1024+number)), Local: listener, Transport: listen.UDP,
	}
	if a.tcp {
		packet.Transport, packet.Idle = listen.TCP, 10*time.Second
	}
	ctx, cancel := context.WithTimeout(p.ctx, a.timeout)
	defer cancel()
	start := time.Now()
	r := result{raw: p.finished(packet)}
	if r.raw == nil {
		r.raw = p.server.Ask(ctx, packet)
	}
	r.took = time.Since(start)
	if r.raw == nil {
		return r
	}
	r.msg = new(miekg.Msg)
	if err := r.msg.Unpack(r.raw); err != nil {
		r.odd = append(r.odd, "reading the answer: "+err.Error())
		return r
	}
	r.check(a, m)
	return r
}

// finished answers from an image, as the loops that read sockets do.
func (p *play) finished(packet listen.Packet) []byte {
	if packet.Transport != listen.UDP {
		return nil
	}
	p.fast.Lock()
	defer p.fast.Unlock()
	q := []listen.Query{{Data: packet.Data, Client: packet.Client, Local: packet.Local, Out: make([]byte, 0, 4096+64)}}
	p.loop.ServeBatch(q)
	return q[0].Answer
}

// check finds what no answer may be, whatever was asked.
func (r *result) check(a *ask, q *miekg.Msg) {
	odd := func(bad bool, format string, args ...any) {
		if bad {
			r.odd = append(r.odd, fmt.Sprintf(format, args...))
		}
	}
	m := r.msg
	odd(m.Id != q.Id, "the id is %d, not %d", m.Id, q.Id)
	odd(!m.Response, "QR is not set")
	odd(m.Opcode != q.Opcode, "the opcode is %d", m.Opcode)
	odd(m.RecursionDesired != q.RecursionDesired, "RD is not as it was sent")
	odd(m.CheckingDisabled != q.CheckingDisabled, "CD is not as it was sent")
	odd(!m.RecursionAvailable, "RA is not set")
	odd(m.Zero, "Z is set")
	odd(len(m.Question) > 0 && (len(m.Question) != 1 || m.Question[0] != q.Question[0]), "the question is %v", m.Question)
	limit := miekg.MaxMsgSize
	if !a.tcp {
		limit = miekg.MinMsgSize
		if a.edns {
			limit = max(limit, int(a.opt.UDPSize()))
		}
	}
	odd(len(r.raw) > limit, "%d octets, when the client takes %d", len(r.raw), limit)
	opt := m.IsEdns0()
	odd((opt != nil) != a.edns, "an OPT record is there: %v; it was sent: %v", opt != nil, a.edns)
	odd(opt != nil && opt.Do() != a.opt.Do(), "DO is not as it was sent")
	odd(opt != nil && opt.Co() != a.opt.Co(), "CO is not as it was sent")
	odd(m.Truncated && len(m.Answer)+len(m.Ns)+len(additional(m)) > 0, "TC with records")
	odd(m.Rcode == miekg.RcodeServerFailure && len(m.Answer) > 0, "SERVFAIL with records")
	odd(m.Rcode == miekg.RcodeServerFailure && opt != nil && len(edes(m)) == 0, "SERVFAIL without an extended error")
	seen := map[string]bool{}
	for _, rr := range slices.Concat(m.Answer, m.Ns, additional(m)) {
		text := rr.String()
		odd(seen[text], "twice: %s", text)
		seen[text] = true
		switch t := rr.Header().Rrtype; t {
		case miekg.TypeRRSIG, miekg.TypeNSEC, miekg.TypeNSEC3:
			odd((opt == nil || !opt.Do()) && t != a.typ && a.typ != miekg.TypeANY, "DO was not set: %s", text)
		case miekg.TypeOPT, miekg.TypeTSIG:
			odd(true, "in a section of data: %s", text)
		}
	}
}

// additional returns the additional section without the OPT record.
func additional(m *miekg.Msg) (section []miekg.RR) {
	for _, rr := range m.Extra {
		if rr.Header().Rrtype != miekg.TypeOPT {
			section = append(section, rr)
		}
	}
	return section
}

func edes(m *miekg.Msg) (list []*miekg.EDNS0_EDE) {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*miekg.EDNS0_EDE); ok {
				list = append(list, e)
			}
		}
	}
	return list
}
