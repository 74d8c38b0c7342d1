package lab

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// script is one section [reply]: what a server says to certain questions, packet by packet.
type script struct {
	line    int
	servers []netip.Addr // empty: every server
	names   []pattern
	types   []dns.Type
	given   condition // udp, tcp and the like
	from    time.Duration
	until   time.Duration
	first   int // only the first so many times; 0: always
	after   int
	sends   []scriptedPacket
}

// scriptedPacket is one packet of a script.
type scriptedPacket struct {
	line  int
	truth bool // what the server would have said
	delay time.Duration
	raw   []byte

	wrongID  bool
	id       int // -1: the question's
	source   netip.AddrPort
	question *question
	flags    uint16
	rcode    dns.RCode
	plain    bool // no OPT
	lower    bool // the question in lower case
	add      []scriptedRecord
}

// scriptedRecord is a record of a packet, and who signs the set that it ends.
type scriptedRecord struct {
	addition
	sign []scriptedSignature
}

// scriptedSignature is a line "sign".
type scriptedSignature struct {
	zone    dns.Name
	as      dns.Name // the owner that is signed: a wildcard; zero: the record's
	section string   // where the RRSIG stands; "": beside the records
}

type question struct {
	name  dns.Name
	qtype dns.Type
}

func (s *script) inForce(x *exchange) bool {
	return x.since >= s.from && (s.until == 0 || x.since < s.until) &&
		s.given&^x.given == 0 && len(x.q.sent) > 0 &&
		x.attempt > s.after && (s.first == 0 || x.attempt <= s.first) &&
		(len(s.types) == 0 || slices.Contains(s.types, x.q.qtype)) &&
		(len(s.names) == 0 || slices.ContainsFunc(s.names, func(p pattern) bool { return p.matches(x.q.name) }))
}

// packets plays the script.
func (s *script) packets(x *exchange) []packet {
	var out []packet
	for i := range s.sends {
		p := &s.sends[i]
		switch {
		case p.truth:
			out = append(out, x.packet(p.delay, x.message()))
		case p.raw != nil:
			out = append(out, x.packet(p.delay, slices.Clone(p.raw)))
		default:
			out = append(out, p.packet(x))
		}
		if p.source.IsValid() {
			out[len(out)-1].from = p.source
		}
	}
	return out
}

func (p *scriptedPacket) packet(x *exchange) packet {
	q := x.q // a copy: the script may change it
	if p.question != nil {
		q.name = p.question.name.Lower()
		q.sent = append([]byte(p.question.name.Wire()), byte(p.question.qtype>>8), byte(p.question.qtype), 0, byte(dns.ClassINET))
	}
	if p.lower {
		q.sent = append([]byte(q.name.Wire()), q.sent[q.name.Len():]...)
	}
	r := &reply{rcode: p.rcode}
	for i := range p.add {
		a := &p.add[i]
		a.apply(r, x.q.name)
		for _, sign := range a.sign {
			sign.apply(x, r, a)
		}
	}
	opt := x.opt
	if opt.rcode = p.rcode; p.plain {
		opt = edns{}
	}
	var msg []byte
	if im, err := pack(r, q.sent, q.name); err != nil {
		msg = bare(&q, dns.RCodeServerFailure, opt)
	} else {
		msg = im.message(&q, opt, maxMessage) // verbatim: a script may be too large for its transport
	}
	binary.BigEndian.PutUint16(msg[2:], binary.BigEndian.Uint16(msg[2:])|p.flags)
	switch {
	case p.wrongID:
		binary.BigEndian.PutUint16(msg, q.id^uint16(1+x.draw.with(uint64(p.line)).below(1<<16-1)))
	case p.id >= 0:
		binary.BigEndian.PutUint16(msg, uint16(p.id))
	}
	return x.packet(p.delay, msg)
}

// section returns where the records of a section are collected.
func (r *reply) section(name string) *[]dns.RRset {
	switch name {
	case "answer":
		return &r.answer
	case "authority":
		return &r.authority
	}
	return &r.additional
}

// apply signs the set that the record a ends: all records of its name and type that stand before it in its section.
func (s *scriptedSignature) apply(x *exchange, r *reply, a *scriptedRecord) {
	rr, err := a.record(x.q.name)
	if err != nil {
		return
	}
	set := dns.RRset{Name: rr.Name.Lower(), Type: rr.Type, Class: rr.Class, TTL: rr.TTL}
	for _, have := range *r.section(a.section) {
		if have.Name == rr.Name && have.Type == rr.Type {
			set.Data = append(set.Data, have.Data...)
		}
	}
	owner := set.Name
	if !s.as.IsZero() {
		owner = s.as
	}
	zones := x.carrier.lab.enclosing(s.zone, x.server.addr, x.since)
	if len(zones) == 0 || zones[len(zones)-1].apex != s.zone {
		return
	}
	signed := zones[len(zones)-1].sign(set, owner)
	to := s.section
	if to == "" {
		to = a.section
	}
	for sig := range signed.Sigs.All() {
		*r.section(to) = append(*r.section(to), newSet(rr.Name, dns.TypeRRSIG, rr.TTL, sig))
	}
}

// signLine reads "ZONE [as=NAME] [section=SECTION]".
func (p *scriptedPacket) signLine(text string) error {
	words, err := tokenise(text)
	if err != nil {
		return err
	}
	if len(p.add) == 0 || len(words) == 0 || words[0].key != "" {
		return errors.New("stands below a record, and takes a zone")
	}
	var s scriptedSignature
	if s.zone, err = dns.ParseName(words[0].value); err != nil {
		return err
	}
	s.zone = s.zone.Lower()
	for _, t := range words[1:] {
		switch {
		case t.key == "as":
			if s.as, err = dns.ParseName(t.value); err != nil {
				return err
			}
			s.as = s.as.Lower()
		case t.key == "section" && slices.Contains([]string{"answer", "authority", "additional"}, t.value):
			s.section = t.value
		default:
			return fmt.Errorf("%q: there are as and section", t.key)
		}
	}
	last := &p.add[len(p.add)-1]
	last.sign = append(last.sign, s)
	return nil
}

func (w *World) replySection(s section) error {
	sc := &script{line: s.line}
	for _, t := range s.args {
		if err := sc.argument(t); err != nil {
			return at(s.line, "[reply] %s=%q: %w", t.key, t.value, err)
		}
	}
	for i, text := range s.body {
		line := s.line + 1 + i
		word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		var err error
		switch {
		case word == "":
			continue
		case word == "packet":
			err = sc.packetLine(rest, line)
		case word == "nothing" && rest == "":
			continue // says that no packet is meant
		case len(sc.sends) == 0:
			err = errors.New("stands before the first packet line")
		case word == "sign":
			err = sc.sends[len(sc.sends)-1].signLine(rest)
		default:
			var a addition
			if a, err = parseAddition(text); err == nil {
				last := &sc.sends[len(sc.sends)-1]
				if last.add = append(last.add, scriptedRecord{addition: a}); last.truth || last.raw != nil {
					err = errors.New("the packet above takes no records")
				}
			}
		}
		if err != nil {
			return at(line, "%q: %w", strings.TrimSpace(text), err)
		}
	}
	w.replies = append(w.replies, sc)
	return nil
}

func (s *script) argument(t token) (err error) {
	switch t.key {
	case "server":
		s.servers, err = parseAddrs(t.value)
	case "name":
		for _, part := range strings.Split(t.value, ",") {
			p, err := parsePattern(part)
			if err != nil {
				return err
			}
			s.names = append(s.names, p)
		}
	case "type":
		for _, part := range strings.Split(t.value, ",") {
			typ, err := dns.ParseType(part)
			if err != nil {
				return err
			}
			s.types = append(s.types, typ)
		}
	case "when":
		for _, part := range strings.Split(t.value, ",") {
			c, ok := conditionNames[part]
			if !ok || c == whenIntermediate {
				return fmt.Errorf("unknown condition %q", part)
			}
			s.given |= c
		}
	case "from":
		s.from, err = parseDuration(t.value)
	case "until":
		s.until, err = parseDuration(t.value)
	case "first":
		s.first, err = parseCount(t.value, 1, maxFaultCount)
	case "after":
		s.after, err = parseCount(t.value, 0, maxFaultCount)
	default:
		err = errors.New("unknown; there are server, name, type, when, from, until, first and after")
	}
	return err
}

var flagNames = map[string]uint16{"aa": flagAA, "tc": flagTC, "ra": flagRA, "ad": 1 << 5, "z": 1 << 6}

// maxScriptPackets bounds what one question may set off.
const maxScriptPackets = 1000

func (s *script) packetLine(text string, line int) error {
	words, err := tokenise(text)
	if err != nil {
		return err
	}
	p := scriptedPacket{line: line, id: -1, flags: flagAA}
	for _, t := range words {
		if err := p.argument(t); err != nil {
			if t.key == "" {
				return err
			}
			return fmt.Errorf("%s=%q: %w", t.key, t.value, err)
		}
	}
	if s.sends = append(s.sends, p); len(s.sends) > maxScriptPackets {
		return fmt.Errorf("more than %d packets", maxScriptPackets)
	}
	return nil
}

func (p *scriptedPacket) argument(t token) (err error) {
	switch t.key {
	case "":
		if p.truth = t.value == "truth"; !p.truth {
			err = fmt.Errorf("unknown word %q", t.value)
		}
	case "delay":
		p.delay, err = parseDuration(t.value)
	case "raw":
		if p.raw, err = hex.DecodeString(t.value); err == nil && len(p.raw) == 0 {
			err = errors.New("empty")
		}
	case "id":
		if p.wrongID = t.value == "wrong"; !p.wrongID {
			p.id, err = parseCount(t.value, 0, 65535)
		}
	case "from":
		if p.source, err = netip.ParseAddrPort(t.value); err != nil {
			var a netip.Addr
			a, err = parseAddr(t.value)
			p.source = netip.AddrPortFrom(a, port)
		}
	case "question":
		name, typ, ok := strings.Cut(t.value, " ")
		if !ok {
			return errors.New("not a name and a type, such as \"www.example. A\"")
		}
		q := &question{}
		if q.name, err = dns.ParseName(name); err != nil {
			return err
		}
		q.qtype, err = dns.ParseType(typ)
		p.question = q
	case "flags":
		p.flags = 0
		for _, part := range strings.Split(t.value, ",") {
			bit, ok := flagNames[part]
			if !ok && part != "none" {
				return fmt.Errorf("unknown flag %q; there are none, %s", part, strings.Join(slices.Sorted(maps.Keys(flagNames)), ", "))
			}
			p.flags |= bit
		}
	case "rcode":
		p.rcode, err = parseRCode(t.value)
	case "edns":
		p.plain = t.value == "no"
	case "case":
		p.lower = t.value == "lower"
	default:
		err = errors.New("unknown; there are truth, delay, raw, id, from, question, flags, rcode, edns and case")
	}
	return err
}

// parseRCode reads a mnemonic or a number.
func parseRCode(s string) (dns.RCode, error) {
	if n, err := strconv.ParseUint(s, 10, 12); err == nil {
		return dns.RCode(n), nil
	}
	for c := range dns.RCode(32) {
		if c.String() == strings.ToUpper(s) {
			return c, nil
		}
	}
	return 0, fmt.Errorf("unknown response code %q", s)
}
