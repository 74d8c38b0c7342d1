package listen

import (
	"net/netip"
	"time"
)

// Transport is how a query arrived.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
)

// String returns the name as it stands in metrics and messages.
func (t Transport) String() string {
	switch t {
	case UDP:
		return "udp"
	case TCP:
		return "tcp"
	}
	return "unknown"
}

// Packet is one message as it arrived, of at least 12 octets (a header). IPv4 addresses are never in the form that is mapped
// into IPv6, whatever socket they came by.
type Packet struct {
	// Data is the message without framing. It may be changed, and is valid until the handler returns.
	Data []byte
	// Client is whom the answer goes to.
	Client netip.AddrPort
	// Local is the address that was asked, and that the answer comes from, even if the socket is bound to all addresses.
	Local netip.AddrPort
	// Transport decides how long an answer may be.
	Transport Transport
	// Idle is how long the connection may stay idle from now on, for edns-tcp-keepalive (RFC 7828 section 3.3.2). It shrinks
	// as connections run short. 0 over UDP.
	Idle time.Duration
	// Note is what the handler's own loop has left of the query ([Query]); nil: nothing.
	Note any
}

// Handler answers queries. Serve is called by the goroutine that reads the socket, so it must not wait for anything: what
// cannot be answered at once is handed over.
//
// Serve does one of three things with a query:
//
//   - It appends the answer to out, whose length is 0, and returns it: the fast path. The answer may be longer than out's
//     capacity, at the price of an allocation. Then reply must not be used.
//   - It copies what it needs of p.Data, keeps reply, returns nil, and calls reply.Write or reply.Drop later, from any
//     goroutine, within a time of its own choosing: nothing here ends a query that is never answered.
//   - It calls reply.Drop and returns nil.
//
// Serve is called by several goroutines at once, but by one at a time for one socket or connection.
type Handler interface {
	Serve(p Packet, out []byte, reply Reply) (answer []byte)
}

// HandlerFunc is a function as a [Handler].
type HandlerFunc func(p Packet, out []byte, reply Reply) []byte

// Serve calls f.
func (f HandlerFunc) Serve(p Packet, out []byte, reply Reply) []byte { return f(p, out, reply) }
