package nameserver

import (
	"errors"
	"net/netip"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// next says what becomes of a query after a stage.
type next uint8

const (
	resolve next = iota // go on
	answer              // the stage has the answer
	drop                // no answer at all
)

// edeInvalidQueryType is info code 30 of RFC 8914's registry (RFC 9824 section 3.4).
const edeInvalidQueryType dns.EDECode = 30

// admit reads the query and decides whether it may be asked here. Who may not ask learns that and no more.
func (s *Server) admit(q *query) (recurse.Answer, next) {
	var err error
	q.Query, err = dns.ParseQuery(q.Data)
	if errors.Is(err, dns.ErrShortHeader) || errors.Is(err, dns.ErrNotQuery) {
		return recurse.Answer{}, drop
	}
	if q.QName != nil {
		q.name = q.Name()
	}
	client := q.Client.Addr()
	switch {
	case !q.table.Access.Allowed(client):
		s.m.refused.Inc()
		return prohibited(client), answer
	case !q.charged() && !s.within(q):
		return s.overRate(q)
	case q.Opcode != dns.OpcodeQuery:
		return refusal(dns.RCodeNotImplemented, dns.EDENotSupported, "only queries are answered"), answer
	case err != nil:
		return refusal(dns.RCodeFormatError, dns.EDEOther, err.Error()), answer
	case q.HasEDNS && q.EDNS.Version != 0:
		return recurse.Answer{RCode: dns.RCodeBadVersion}, answer
	case badCookie(q.EDNS.Options):
		return refusal(dns.RCodeFormatError, dns.EDEOther, "a cookie has 8 octets, or 16 to 40"), answer
	case q.Transport == listen.TCP && badKeepalive(q.EDNS.Options):
		return refusal(dns.RCodeFormatError, dns.EDEOther, "the keepalive option of a query is empty"), answer
	case q.QName == nil: // only a cookie is asked for (RFC 7873 section 5.4)
		return recurse.Answer{}, answer
	case q.Class == dns.ClassCHAOS:
		return s.chaos(q), answer
	case q.Class != dns.ClassINET:
		return refusal(dns.RCodeRefused, dns.EDENotSupported, "class "+q.Class.String()+" is not served"), answer
	}
	return s.admitType(q)
}

// badKeepalive tells whether a client says how long a connection may be idle, which is the server's to say (RFC 7828 section 3.2.1).
func badKeepalive(o dns.Options) bool {
	data, ok := o.Find(dns.OptionKeepalive)
	return ok && len(data) > 0
}

// prohibited is the answer to a client that may not ask.
func prohibited(client netip.Addr) recurse.Answer {
	return refusal(dns.RCodeRefused, dns.EDEProhibited, client.String()+" is in no prefix of access.allow")
}

// Prohibited tells whether a client may not ask at all, and what it is told then.
func (t *Table) Prohibited(client netip.Addr) (recurse.Answer, bool) {
	if t.Access.Allowed(client) {
		return recurse.Answer{}, false
	}
	return prohibited(client), true
}

// Refused tells whether a type is no question for records that a resolver can answer, and what every client is told who asks for it.
func Refused(t dns.Type) (recurse.Answer, bool) {
	switch {
	case t == dns.TypeAXFR || t == dns.TypeIXFR:
		return refusal(dns.RCodeRefused, dns.EDENotSupported, "zones are not transferred here"), true
	case t == dns.TypeMAILA || t == dns.TypeMAILB:
		return refusal(dns.RCodeNotImplemented, dns.EDENotSupported, t.String()+" is obsolete"), true
	case t != dns.TypeANY && t.IsMeta():
		return refusal(dns.RCodeFormatError, edeInvalidQueryType, t.String()+" can't be asked for"), true
	}
	return recurse.Answer{}, false
}

// admitType deals with what is not a question for records, and with questions that may only be answered from the cache.
func (s *Server) admitType(q *query) (recurse.Answer, next) {
	if a, refused := Refused(q.Type); refused {
		return a, answer
	}
	if q.Type == dns.TypeANY && q.Transport == listen.UDP { // RFC 8482 section 4.4: whoever means it comes back over TCP; a forged address does not
		return recurse.Answer{Truncated: true}, answer
	}
	if q.Flags&dns.FlagRD == 0 && !q.table.Access.CacheOnlyAllowed(q.Client.Addr()) {
		return refusal(dns.RCodeRefused, dns.EDENotAuthoritative, "RD is not set; this is a recursive resolver"), answer
	}
	return recurse.Answer{}, resolve
}
