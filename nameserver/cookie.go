package nameserver

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/siphash"
)

// badCookie tells whether a cookie option has a length that RFC 7873 section 4 does not allow.
func badCookie(o dns.Options) bool {
	c, ok := o.Find(dns.OptionCookie)
	return ok && len(c) != 8 && (len(c) < 16 || len(c) > 40)
}

// appendCookie adds our cookie for the client in the form of RFC 9018 section 4: version 1, the time, and a keyed hash over client
// cookie, version, time and client address. A new one is sent with each answer, so none is ever too old; none is asked for.
func (s *Server) appendCookie(o dns.Options, client []byte, q *query) dns.Options {
	full := s.cookie(client, q.Client.Addr())
	return o.Append(dns.OptionCookie, full[:])
}

// cookie returns the client's part of a cookie, eight octets, and ours behind it.
func (s *Server) cookie(client []byte, a netip.Addr) (full [24]byte) {
	return s.cookieAt(client, a, uint32(s.clock.Wall().Unix()))
}

// The life of a server cookie (RFC 9018 section 4.3), in seconds; what is ahead is what clocks of nodes with one secret may differ.
const (
	cookieLife  = 3600
	cookieAhead = 300
)

// proves tells whether a cookie option holds a server cookie that we gave to this address, so that whoever sends it is there (RFC 9018 section 4.3).
func (s *Server) proves(option []byte, a netip.Addr) bool {
	if len(option) != 24 || option[8] != 1 {
		return false
	}
	given := binary.BigEndian.Uint32(option[12:])
	if age := int32(uint32(s.clock.Wall().Unix()) - given); age > cookieLife || age < -cookieAhead { // serial numbers (RFC 1982)
		return false
	}
	full := s.cookieAt(option[:8], a, given)
	return subtle.ConstantTimeCompare(full[:], option) == 1
}

func (s *Server) cookieAt(client []byte, a netip.Addr, seconds uint32) (full [24]byte) {
	var b [8 + 8 + 16]byte
	copy(b[:8], client)
	b[8] = 1
	binary.BigEndian.PutUint32(b[12:], seconds)
	n := 16
	if a.Is4() {
		v := a.As4()
		n += copy(b[16:], v[:])
	} else {
		v := a.As16()
		n += copy(b[16:], v[:])
	}
	sum := siphash.Sum64(&s.secret, b[:n])
	copy(full[:], b[:16])
	binary.LittleEndian.PutUint64(full[16:], sum)
	return full
}
