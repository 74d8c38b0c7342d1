// Package listen holds the sockets that clients ask on: it binds them, takes the framing off what arrives, hands each query
// to a [Handler] and writes the answers.
//
// Start with [Open] (binds all addresses or none), [Server.Serve] and [Server.Shutdown]. The package looks at no more of a
// message than whether it is long enough to hold a header; what is asked, who may ask and how long an answer may be is the
// handler's business.
//
// # The way of a packet
//
// One goroutine a UDP socket receives up to 64 packets with one system call, calls the handler for one after the other and
// sends what was answered at once with another call (udp_linux.go; packet by packet on other systems, udp.go). One goroutine
// a TCP connection reads, splits into messages (frame.go) and does the same (tcpconn.go). A query that cannot be answered at
// once must not hold them up: the handler copies it, keeps its [Reply] and returns nil; the answer is written later, from
// whatever goroutine has it.
//
// Each query that is waited for holds a ticket (reply.go). A Reply is a ticket's address and generation, 16 bytes, so that
// handing it out costs nothing, and a second use of it, or one after the connection is gone, does nothing.
//
// # Promises
//
// The path of an answer that is given at once does not allocate on Linux. A Write never blocks on a slow TCP client. A panic
// of the handler costs the query that it was about. A port is never shared with another process: the sockets are bound
// without SO_REUSEPORT, and the error says how to find the other one. Everything that a client can make grow is bounded by a
// field of [Limits].
package listen
