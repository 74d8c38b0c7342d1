package nameserver

import (
	"encoding/binary"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// finish writes the answer to q, appended to out, and records it. Every answer passes here.
func (s *Server) finish(q *query, a *recurse.Answer, out []byte) []byte {
	a.RCode = q.rcode(a)
	flags := dns.FlagQR | dns.FlagRA | q.Flags&(dns.FlagRD|dns.FlagCD) | dns.Flags(q.Opcode)<<11 | dns.Flags(a.RCode&15)
	if a.Local {
		flags |= dns.FlagAA
	}
	// RFC 6840 section 5.8: AD is for who asked for it, by AD or by DO. What is stale may be past its signatures.
	if a.Security == cache.Secure && !a.Stale && (q.Flags&dns.FlagAD != 0 || q.validates()) {
		flags |= dns.FlagAD
	}
	limit := dns.MaxMessageLen
	if q.Transport == listen.UDP {
		limit = q.udpLimit()
	}
	var b dns.Builder
	start := len(out)
	opt := s.edns(q, a, limit/2)
	s.begin(&b, q, out, limit, flags, opt)
	fits := !a.Truncated && s.records(&b, q, a)
	if !fits && !a.Truncated && len(a.EDEs) > 0 { // rather the records than the reasons (RFC 8914 section 3)
		opt = s.edns(q, a, 0)
		s.begin(&b, q, out, limit, flags, opt)
		fits = s.records(&b, q, a)
	}
	if !fits {
		// Nothing but the question and TC (RFC 2181 section 9): who comes back over TCP gets all of it, and a forged address gets little.
		s.begin(&b, q, out, limit, flags|dns.FlagTC, opt)
		if !a.Truncated {
			s.m.truncated.Inc()
		}
	}
	if fits {
		s.additional(&b, q, a)
	}
	if q.HasEDNS {
		b.OPT(opt)
	}
	out = b.Finish()
	s.record(q, a, len(out)-start)
	if q.table.Plugins.Logs() {
		s.write(q, a)
	}
	if taps := s.taps.Load(); taps != nil {
		s.tap(*taps, q, a)
	}
	s.sample(q, a, out[start:])
	return out
}

// rcode is the response code for the client: NOERROR with a compact denial, unless he takes no proofs or has set CO. A validator that knows nothing
// of NXNAME would take NXDOMAIN for a contradiction (RFC 9824 section 5.1).
func (q *query) rcode(a *recurse.Answer) dns.RCode {
	if a.Compact && q.validates() && !q.EDNS.CO {
		return dns.RCodeSuccess
	}
	return a.RCode
}

// begin writes the header and the question, and keeps room for the OPT record.
func (s *Server) begin(b *dns.Builder, q *query, out []byte, limit int, flags dns.Flags, opt dns.EDNS) {
	b.Start(out, limit, q.ID, flags)
	if q.QName != nil {
		b.Question(q.question())
	}
	if q.HasEDNS {
		b.Reserve(dns.OPTLen(opt.Options))
	}
}

// records writes the sections and tells whether all of it fitted.
func (s *Server) records(b *dns.Builder, q *query, a *recurse.Answer) bool {
	do := q.validates()
	owner := q.name // as the client spelled it; further down the chain as the alias spells it
	for i := range a.Answer {
		set := &a.Answer[i]
		name := set.Name
		if name.Equal(owner) {
			name = owner
		}
		if !b.AddRotated(dns.Answer, name, set, set.TTL, do, q.first(set)) {
			return false
		}
		if set.Type == dns.TypeCNAME {
			if target, ok := dns.RdataName(dns.TypeCNAME, set.Data.First()); ok {
				owner = target
			}
		}
	}
	for i := range a.Authority {
		set := &a.Authority[i]
		if (set.Type == dns.TypeNSEC || set.Type == dns.TypeNSEC3) && !do {
			continue
		}
		if !b.AddRRset(dns.Authority, set.Name, set, set.TTL, do) {
			return false
		}
	}
	return true
}

// additional writes what fits of the additional section. What does not is left out, and no reason for TC (RFC 2181 section 9).
func (s *Server) additional(b *dns.Builder, q *query, a *recurse.Answer) {
	for i := range a.Additional {
		set := &a.Additional[i]
		name := set.Name
		if name.Equal(q.name) {
			name = q.name
		}
		b.AddRotated(dns.Additional, name, set, set.TTL, q.validates(), q.first(set))
	}
}

// first is the record with which a set begins in this answer: of addresses any, so that clients which take the first one spread over all of
// them (RFC 1794); of other types the one that came first.
func (q *query) first(set *dns.RRset) int {
	if q.image || set.Type != dns.TypeA && set.Type != dns.TypeAAAA {
		return 0
	}
	n := set.Data.Len()
	if n < 2 {
		return 0
	}
	return q.turn(n)
}

// turn picks one of n records, by what clients draw at random anyway: the port, and the id.
func (q *query) turn(n int) int { return turn(q.ID, q.Client.Port(), n) }

func turn(id, port uint16, n int) int {
	return int((uint32(id)<<16 | uint32(port)) * 0x9e3779b1 >> 16 * uint32(n) >> 16)
}

// udpLimit is how many octets an answer over UDP may have: what the client takes (RFC 6891 section 6.2.3: less than 512 means 512), and no
// more than what gets through without fragments.
func (q *query) udpLimit() int {
	size := dns.MinUDPPayload
	if q.HasEDNS {
		size = max(size, int(q.EDNS.UDPSize))
	}
	return min(size, q.table.Limits.UDPAnswer)
}

// edns makes the OPT record of the answer. The texts of extended errors are cut so that the options take no more than room octets.
func (s *Server) edns(q *query, a *recurse.Answer, room int) dns.EDNS {
	e := dns.EDNS{UDPSize: uint16(q.table.Limits.UDPAnswer), DO: q.EDNS.DO, CO: q.EDNS.CO, ExtRCode: uint8(a.RCode >> 4)}
	if !q.HasEDNS || q.EDNS.Version != 0 {
		return e
	}
	// The first of each counts: an answer must not grow with what a query repeats.
	if data, ok := q.EDNS.Options.Find(dns.OptionCookie); ok && len(data) >= 8 {
		e.Options = s.appendCookie(e.Options, data[:8], q)
	}
	if _, ok := q.EDNS.Options.Find(dns.OptionNSID); ok && s.nsid != "" && !a.Truncated && q.table.Access.Allowed(q.Client.Addr()) {
		// RFC 5001 section 2.2: whatever the client's option holds. Who may not ask is not told whom he asked either.
		e.Options = e.Options.Append(dns.OptionNSID, []byte(s.nsid))
	}
	if _, ok := q.EDNS.Options.Find(dns.OptionKeepalive); ok && q.Transport == listen.TCP {
		// RFC 7828 section 3.1: in units of 100 milliseconds. Over UDP the option must be ignored (section 3.3.1).
		e.Options = e.Options.Append(dns.OptionKeepalive, binary.BigEndian.AppendUint16(nil, uint16(min(q.Idle/(100*time.Millisecond), 65535))))
	}
	for i := range a.EDEs {
		ede := a.EDEs[i]
		if left := room - len(e.Options); len(ede.Text)+6 > left {
			ede.Text = ede.Text[:max(0, left-6)]
		}
		e.Options = ede.Append(e.Options)
	}
	return e
}

// record counts an answer. It is the last step of each query that is answered.
func (s *Server) record(q *query, a *recurse.Answer, size int) {
	took := s.clock.Boot() - q.start
	if int(a.RCode) < len(s.m.rcodes[0]) {
		s.m.rcodes[q.Transport][a.RCode].Inc()
	} else {
		s.m.answers[q.Transport].With(a.RCode.String()).Inc()
	}
	s.m.seconds[q.Transport][min(int(a.RCode), len(s.m.rcodes[0]))].Observe(took)
	s.m.total[q.Transport].Inc()
	if q.table.Plugins.Decided(q.by) {
		s.m.decided.Inc()
	}
	s.m.octets[q.Transport].Add(uint64(size))
}
