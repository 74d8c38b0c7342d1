package lab

import (
	"bytes"
	"encoding/binary"

	"github.com/ananas-edge/ananas/dns"
)

const (
	clientCookieLen = 8
	serverCookieLen = 16
	cookieLifetime  = 3600 // seconds (RFC 9018 section 4.3)
)

// serverCookie makes the server's part in the layout of RFC 9018 section 4: version, reserved, time, hash. The hash is the lab's own;
// the RFC asks for SipHash only where servers share a secret.
func (x *exchange) serverCookie(client []byte, when uint32) []byte {
	b := make([]byte, 8, serverCookieLen)
	b[0] = 1
	binary.BigEndian.PutUint32(b[4:], when)
	s := x.server.draw.with(7).text(string(client)).text(x.client.Addr().String()).with(uint64(when))
	return binary.BigEndian.AppendUint64(b, mix(uint64(s)))
}

// knownCookie tells whether the question carries a cookie that this server gave to this client.
func (x *exchange) knownCookie() bool {
	if len(x.q.cookie) != clientCookieLen+serverCookieLen {
		return false
	}
	client, server := x.q.cookie[:clientCookieLen], x.q.cookie[clientCookieLen:]
	when := binary.BigEndian.Uint32(server[4:])
	age := int64(x.now()) - int64(when)
	return age >= 0 && age <= cookieLifetime && bytes.Equal(server, x.serverCookie(client, when))
}

func (x *exchange) now() uint32 { return uint32(x.carrier.start.Add(x.since).Unix()) }

// cookieOption writes the COOKIE option of the reply (RFC 7873 section 5.2).
func cookieOption(x *exchange, f *fault) {
	if x.q.cookie == nil || !x.opt.present {
		return
	}
	client := bytes.Clone(x.q.cookie[:clientCookieLen])
	cookie := append(bytes.Clone(client), x.serverCookie(client, x.now())...)
	switch f.as {
	case "wrong":
		cookie[0] ^= 0xFF
	case "short":
		cookie = client
	}
	x.opt.options = binary.BigEndian.AppendUint16(x.opt.options, optionCookie)
	x.opt.options = binary.BigEndian.AppendUint16(x.opt.options, uint16(len(cookie)))
	x.opt.options = append(x.opt.options, cookie...)
}

// cookieDemand answers BADCOOKIE over UDP (RFC 7873 section 5.2.3). Clients that know no cookies are answered.
func cookieDemand(x *exchange, f *fault) *reply {
	if x.tcp || x.q.cookie == nil {
		return nil
	}
	if f.as == "always-bad" || f.as == "enforce" && !x.knownCookie() {
		return &reply{rcode: dns.RCodeBadCookie}
	}
	return nil
}
