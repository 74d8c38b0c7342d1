package listen

import (
	"errors"
	"net"
	"net/netip"
	"sync"
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

	ticket *ticket // at hand; of the reader alone
	loop   Loop    // what can answer at once; nil: nothing
	one    [1]Query

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
	m := u.s.metrics
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
		m.udp.received.Inc()
		m.udp.receivedBytes.Add(uint64(n))
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		local := u.addr.Addr()
		if u.wildcard {
			local = localOf(control[:controlN])
		}
		if !u.admit(in[:n], client) {
			continue
		}
		u.one[0] = Query{Data: in[:n], Client: client, Local: netip.AddrPortFrom(local, u.addr.Port()), Out: out}
		u.serveBatch(u.one[:])
		answer := u.one[0].Answer
		if answer == nil {
			answer = u.serve(in[:n], client, local, out)
		}
		if answer != nil {
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

// admit tells whether a packet is one to serve, and counts it if it is not.
func (u *udpSocket) admit(data []byte, client netip.AddrPort) bool {
	m := u.s.metrics
	switch {
	case len(data) < dns.HeaderLen:
		m.dropUDPShort.Inc()
	case len(data) > udpMost:
		m.dropUDPLong.Inc()
	case client.Port() == 0: // not a port that can be sent to
		m.dropUDPSource.Inc()
	default:
		return true
	}
	return false
}

// serveBatch has what can be answered at once answered. A panic costs what was not answered before it the short way.
func (u *udpSocket) serveBatch(queries []Query) {
	if u.loop == nil || len(queries) == 0 {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			u.s.panicked("serving a batch over UDP", v)
			for i := range queries { // what was written last may be half done
				queries[i].Answer = nil
			}
		}
	}()
	u.loop.ServeBatch(queries)
}

// serve hands one packet to the handler and returns the answer that is to be sent now, or nil.
func (u *udpSocket) serve(data []byte, client netip.AddrPort, local netip.Addr, out []byte) []byte {
	m := u.s.metrics
	if u.ticket == nil {
		u.ticket = u.s.tickets.get(u)
	}
	t := u.ticket
	if t != nil {
		t.client, t.local = client, local
	}
	reply := t.reply()
	answer, ok := u.s.call(Packet{data, client, netip.AddrPortFrom(local, u.addr.Port()), UDP, 0}, out, reply)
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
	if n := u.sendOne(message, client, local); n > 0 {
		u.s.metrics.udp.sent.Inc()
		u.s.metrics.udp.sentBytes.Add(uint64(n))
	}
}

// sendOne sends one answer, truncated if it has to be, and returns how many octets were sent; 0: the system refused it.
func (u *udpSocket) sendOne(message []byte, client netip.AddrPort, local netip.Addr) int {
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
		return 0
	}
	return len(message)
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
