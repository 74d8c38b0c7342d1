package listen

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ananas-edge/ananas/dns"
)

const (
	// udpMost is the longest query taken over UDP, in octets: more than the 1,232 that we tell clients they may send, and what
	// was usual before. A longer one is dropped.
	udpMost = 4096
	// udpStride is the distance of two buffers: room for one octet more than udpMost, by which a longer one shows itself, and
	// an odd number of cache lines, so that the first lines of the buffers do not fall into the same set.
	udpStride = udpMost + 64
)

// udpSocket is one UDP socket and what its reader keeps.
type udpSocket struct {
	s        *Server
	pc       *net.UDPConn
	addr     netip.AddrPort // as bound
	v6       bool           // an IPv6 socket, which may carry IPv4 too
	wildcard bool           // bound to all addresses, so each packet tells which one was asked

	rows   bool    // the kernel may hand over several packets of one client as one message
	loop   Loop    // of the handler; nil: it serves one by one
	ticket *ticket // at hand; of the reader alone

	mu       sync.Mutex
	reported map[syscall.Errno]bool // errors of sending that were logged
}

func newUDPSocket(s *Server, pc *net.UDPConn) *udpSocket {
	bound := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	addr := netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	return &udpSocket{
		s: s, pc: pc, addr: addr,
		v6:       addr.Addr().Is6(),
		wildcard: addr.Addr().IsUnspecified(),
		reported: map[syscall.Errno]bool{},
	}
}

// read serves the socket until the server stops.
func (u *udpSocket) read() {
	defer u.s.loops.Done()
	defer func() {
		if u.ticket != nil {
			u.s.tickets.put(u.ticket)
		}
	}()
	if !u.s.singly {
		err := u.readBatches()
		if err == nil {
			return
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			u.s.log.Error("reading packets in batches; they are read one by one, which costs more", "address", u.addr, "error", err)
		}
		u.coalesce(false)
	}
	u.readSingly()
}

// readSingly is the reader of systems that have no recvmmsg.
func (u *udpSocket) readSingly() {
	in, out := make([]byte, udpStride), make([]byte, 0, udpStride)
	control := make([]byte, controlLen)
	queries := make([]Query, 1)
	m := u.s.metrics.forLoop()
	var pause backoff
	for {
		n, controlN, _, client, err := u.pc.ReadMsgUDPAddrPort(in[:udpMost+1], control)
		if u.s.stopping() || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if !u.receiveFailed(err, &pause) {
				return
			}
			continue
		}
		pause.reset()
		m.received.Inc()
		m.receivedBytes.Add(uint64(n))
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		local := u.addr.Addr()
		if u.wildcard {
			local = localOf(control[:controlN])
		}
		if !u.servable(n, client.Port()) {
			continue
		}
		queries[0] = Query{Data: in[:n], Client: client, Local: netip.AddrPortFrom(local, u.addr.Port()), Out: out}
		m.batches.Inc()
		u.serve(queries)
		if answer := queries[0].Answer; len(answer) > 0 {
			u.send(answer, client, local)
		}
	}
}

// receiveFailed counts an error of receiving and waits a little, lest it comes again at once; false: the server stops.
func (u *udpSocket) receiveFailed(err error, pause *backoff) bool {
	u.s.metrics.receiveErrors.Inc()
	if pause.first() {
		u.s.log.Error("receiving over UDP; trying again", "address", u.addr, "error", err)
	}
	return pause.wait(u.s.stop)
}

// spinners are the loops that spin at the moment. One processor must be left for others.
type spinners struct {
	n    atomic.Int32
	most int32
}

func (s *spinners) enter() bool {
	if s.n.Add(1) <= s.most {
		return true
	}
	s.n.Add(-1)
	return false
}

func (s *spinners) leave() { s.n.Add(-1) }

// servable tells whether a packet of n octets from such a port is given to the handler, and counts it if not.
func (u *udpSocket) servable(n int, port uint16) bool {
	m := u.s.metrics
	switch {
	case n < dns.HeaderLen:
		m.dropUDPShort.Inc()
	case n > udpMost:
		m.dropUDPLong.Inc()
	case port == 0: // not a port that can be sent to
		m.dropUDPSource.Inc()
	default:
		return true
	}
	return false
}

// serve sets the answers of queries: as many as the handler can give for all at once, and the others one by one. It returns how many those were.
// Without an answer a query is the handler's, or was dropped.
func (u *udpSocket) serve(queries []Query) (singly int) {
	if u.loop != nil {
		u.s.callBatch(u.loop, queries)
	}
	for i := range queries {
		switch q := &queries[i]; {
		case q.Answer == nil:
			singly++
			q.Answer = u.serveOne(q)
		case len(q.Answer) == 0:
			u.s.metrics.dropUDPHandler.Inc()
		}
	}
	return singly
}

// serveOne hands one query to the handler and returns the answer that is to be sent now, or nil.
func (u *udpSocket) serveOne(q *Query) []byte {
	m := u.s.metrics
	if u.ticket == nil {
		u.ticket = u.s.tickets.get(u)
	}
	t := u.ticket
	if t != nil {
		t.client, t.local = q.Client, q.Local.Addr()
	}
	reply := t.reply()
	answer, ok := u.s.call(Packet{q.Data, q.Client, q.Local, UDP, 0, q.Note}, q.Out, reply)
	if answer == nil && ok && t != nil {
		u.ticket = nil // it is the handler's, and answer will be told
		return nil
	}
	if t != nil && !t.claim(reply.gen) {
		u.ticket = nil
		if ok {
			m.replyMisused.Inc() // both returned and written
		}
		return nil
	}
	switch {
	case !ok:
		m.dropUDPPanic.Inc()
		return nil
	case len(answer) == 0: // without a ticket nothing tells "later" from "dropped"
		m.dropUDPHandler.Inc()
		return nil
	}
	return answer
}

// answer sends an answer that comes late; see [answerer].
func (u *udpSocket) answer(t *ticket, message []byte) {
	if len(message) == 0 {
		u.s.metrics.dropUDPHandler.Inc()
		return
	}
	u.send(message, t.client, t.local)
}

// send sends one answer from the address that was asked.
func (u *udpSocket) send(message []byte, client netip.AddrPort, local netip.Addr) {
	var control []byte
	if u.wildcard {
		control = controlFor(local, u.v6)
	}
	m := u.s.metrics
	_, _, err := u.pc.WriteMsgUDPAddrPort(message, control, client)
	if errors.Is(err, syscall.EMSGSIZE) {
		if message = truncated(message); message != nil {
			m.truncated.Inc()
			_, _, err = u.pc.WriteMsgUDPAddrPort(message, control, client)
		}
	}
	if err != nil {
		u.sendFailed(err)
		return
	}
	m.udp.sent.Inc()
	m.udp.sentBytes.Add(uint64(len(message)))
}

// sendFailed counts an answer that the system refused to send, and logs the first one of each cause: a packet filter, for
// example, refuses all.
func (u *udpSocket) sendFailed(err error) {
	u.s.metrics.dropUDPSend.Inc()
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return // closed
	}
	u.mu.Lock()
	known := u.reported[errno]
	u.reported[errno] = true
	u.mu.Unlock()
	if !known {
		u.s.log.Warn("sending over UDP; further errors of this kind are only counted", "address", u.addr, "error", err)
	}
}

// truncated returns the header and question of an answer that is longer than can be sent in one piece, with TC set, so that
// the client comes back over TCP (RFC 9715 section 3.1: no fragments). It returns nil if there is nothing to cut.
func truncated(message []byte) []byte {
	h, err := dns.ParseHeader(message)
	if err != nil || h.Flags&dns.FlagTC != 0 {
		return nil
	}
	end := dns.HeaderLen
	if h.QDCount == 1 {
		if _, end, err = dns.UnpackName(message, end); err != nil || end+4 > len(message) {
			return nil
		}
		end += 4
	}
	cut := append([]byte(nil), message[:end]...)
	cut[2] |= byte(dns.FlagTC >> 8)
	clear(cut[6:dns.HeaderLen])
	if h.QDCount == 1 {
		cut[5] = 1
	}
	return cut
}
