package trial

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/plugin"
)

// Record is a query that was answered.
type Record struct {
	Line  plugin.Line
	Reply *plugin.Reply // what was answered; nil: that is not known
}

// Message is a query of a client and what was answered, as they were on the wire.
type Message struct {
	Time      time.Time      `json:"time,omitzero"`
	Client    netip.AddrPort `json:"client,omitzero"`
	Transport uint8          `json:"transport,omitempty"` // as modules have it: 0 UDP, 1 TCP, 2 TLS, 3 HTTPS, 4 QUIC
	Query     []byte         `json:"query,omitempty"`     // none: it is known by its answer alone
	Response  []byte         `json:"response,omitempty"`
}

// errNotShown is why a message is shown to no module: in the path of a query they would not see it either.
var errNotShown = errors.New("it is no query that modules are shown")

// Record takes the message apart. What is known of the query only by its answer has no flags but RD and CD, and DO.
func (m *Message) Record() (*Record, error) {
	r := &Record{Line: plugin.Line{Client: m.Client.Addr(), Transport: m.Transport}}
	if !m.Time.IsZero() {
		r.Line.Time = m.Time.UnixNano()
	}
	var question dns.Question
	if len(m.Query) > maxMessage || len(m.Response) > maxMessage {
		return nil, fmt.Errorf("reading a message: it has %d octets, at most %d", max(len(m.Query), len(m.Response)), maxMessage)
	}
	if len(m.Query) > 0 {
		q, err := dns.ParseQuery(m.Query)
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading a query: %w", err)
		case q.Opcode != dns.OpcodeQuery || q.QName == nil:
			return nil, errNotShown
		}
		question = dns.Question{Name: q.Name(), Type: q.Type, Class: q.Class}
		r.Line.Flags, r.Line.DO = q.Flags, q.HasEDNS && q.EDNS.DO
	}
	if len(m.Response) > 0 {
		var answer dns.Message
		if err := dns.Parse(m.Response, &answer); err != nil {
			return nil, fmt.Errorf("reading an answer: %w", err)
		}
		if len(m.Query) == 0 {
			if answer.Header.QDCount == 0 || answer.Header.Flags.Opcode() != dns.OpcodeQuery {
				return nil, errNotShown
			}
			question = answer.Question
			r.Line.Flags, r.Line.DO = answer.Header.Flags&(dns.FlagRD|dns.FlagCD), answer.HasEDNS && answer.EDNS.DO
		}
		r.answered(&answer)
	}
	switch {
	case question.Name.IsZero():
		return nil, errNotShown
	case question.Class != dns.ClassINET || question.Type.IsMeta():
		return nil, errNotShown
	}
	r.Line.Type = question.Type
	r.Line.NameLen = uint8(copy(r.Line.Name[:], question.Name.Lower().Wire()))
	return r, nil
}

// answered takes what an answer says. One that was cut off shows nothing of what there is.
func (r *Record) answered(m *dns.Message) {
	r.Line.RCode = m.RCode()
	if m.Header.Flags&dns.FlagTC != 0 {
		return
	}
	r.Reply = &plugin.Reply{RCode: m.RCode(), Security: cache.Insecure}
	if m.Header.Flags&dns.FlagAD != 0 {
		r.Reply.Security = cache.Secure
	}
	for s, section := range m.Sections {
		for _, rr := range section {
			if rr.Type != dns.TypeRRSIG { // modules are shown none
				r.Reply.Sections[s] = append(r.Reply.Sections[s], rr)
			}
		}
	}
}
