package nameserver

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/siphash"
	"github.com/ananas-edge/ananas/listen"
)

// badCookie tells whether a cookie option has a length that RFC 7873 section 4 does not allow.
func badCookie(o dns.Options) bool {
	c, ok := o.Find(dns.OptionCookie)
	return ok && len(c) != 8 && (len(c) < 16 || len(c) > 40)
}

// appendCookie adds our cookie for the client in the form of RFC 9018 section 4: version 1, the time, and a keyed hash over client
// cookie, version, time and client address. A new one is sent with each answer, so none is ever too old; none is asked for.
func (s *Server) appendCookie(o dns.Options, client []byte, q *query) dns.Options {
	c := s.cookie(client, uint32(s.clock.Wall().Unix()), q)
	return o.Append(dns.OptionCookie, c[:])
}

const (
	cookieLen    = 8 + 16
	cookieAge    = 3600 // seconds; RFC 9018 section 4.3
	cookieFuture = 300  // seconds
)

// cookie makes the client's and our cookie of a time.
func (s *Server) cookie(client []byte, at uint32, q *query) (out [cookieLen]byte) {
	var b [8 + 8 + 16]byte
	copy(b[:8], client)
	b[8] = 1
	binary.BigEndian.PutUint32(b[12:], at)
	n := 16
	if a := q.Client.Addr(); a.Is4() {
		v := a.As4()
		n += copy(b[16:], v[:])
	} else {
		v := a.As16()
		n += copy(b[16:], v[:])
	}
	copy(out[:], b[:16])
	binary.LittleEndian.PutUint64(out[16:], siphash.Sum64(&s.secret, b[:n]))
	return out
}

// proven tells whether the client's address is surely its own: it came over TCP, from this machine, or with a cookie that we gave it.
func (s *Server) proven(q *query) bool {
	if q.Transport != listen.UDP || q.Client.Addr().Unmap().IsLoopback() {
		return true
	}
	c, ok := q.EDNS.Options.Find(dns.OptionCookie)
	if !ok || len(c) != cookieLen {
		return false
	}
	at := binary.BigEndian.Uint32(c[12:])
	// Serial number arithmetic (RFC 9018 section 4.3).
	if age := int32(uint32(s.clock.Wall().Unix()) - at); age > cookieAge || age < -cookieFuture {
		return false
	}
	want := s.cookie(c[:8], at, q)
	return subtle.ConstantTimeCompare(c, want[:]) == 1
}
