// Package listen holds the sockets that clients ask on: it binds them, takes the framing off what arrives, hands each query
// to a [Handler] and writes the answers.
//
// Start with [Open] (binds all addresses or none), [Server.Serve] and [Server.Shutdown]. The package looks at no more of a
// message than whether it is long enough to hold a header; what is asked, who may ask and how long an answer may be is the
// handler's business.
//
// # The way of a packet
//
// An address has one UDP socket for each processor (Linux), which the kernel spreads the clients over. One goroutine a socket, the loop, receives up to 128 messages with one system call. The kernel may have put packets of one client together to a message
// (UDP_GRO); they are cut again (receive_linux.go). The queries go to the handler all at once, 128 at most, if it is a [BatchHandler], and one by one where it has no
// answer at hand. What was answered goes out with another call, the answers to one client as few messages, which the kernel cuts (UDP_SEGMENT,
// send_linux.go). Other systems receive and send packet by packet (udp.go). One goroutine a TCP connection reads, splits into messages (frame.go) and calls
// the handler for one after the other (tcpconn.go). A query that cannot be answered at once must not hold them up: the handler copies it, keeps its [Reply]
// and returns nil; the answer is written later, from whatever goroutine has it.
//
// Each query that is waited for holds a ticket (reply.go). A Reply is a ticket's address and generation, 16 bytes, so that
// handing it out costs nothing, and a second use of it, or one after the connection is gone, does nothing.
//
// # Promises
//
// The path of an answer that is given at once does not allocate on Linux. A Write never blocks on a slow TCP client. A panic
// of the handler costs the query that it was about. A node never takes a port that another process has, nor gives up its own to a second node: the first
// socket of an address is bound without SO_REUSEPORT, and the error says how to find the other one. Everything that a client can make grow is bounded by a
// field of [Limits].
package listen
