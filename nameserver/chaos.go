package nameserver

import (
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// chaos answers the names of class CH that tell of the server itself (RFC 4892 section 2, and what dig users type).
func (s *Server) chaos(q *query) recurse.Answer {
	text := ""
	switch q.name.Lower() {
	case versionBind, versionServer:
		text = "Ananas " + s.version
	case idServer, hostnameBind:
		text = s.name
	}
	if text == "" || q.Type != dns.TypeTXT && q.Type != dns.TypeANY {
		return refusal(dns.RCodeRefused, dns.EDENotSupported, "of class CH only version.bind, version.server, id.server and hostname.bind TXT are answered")
	}
	text = text[:min(len(text), 255)]
	return recurse.Answer{Local: true, Answer: []dns.RRset{{
		Name: q.name.Lower(), Type: dns.TypeTXT, Class: dns.ClassCHAOS, Data: dns.Records{}.Append(append([]byte{byte(len(text))}, text...)),
	}}}
}

var (
	versionBind   = dns.MustParseName("version.bind")
	versionServer = dns.MustParseName("version.server")
	idServer      = dns.MustParseName("id.server")
	hostnameBind  = dns.MustParseName("hostname.bind")
)
