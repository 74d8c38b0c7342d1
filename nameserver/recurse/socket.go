package recurse

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// UDP towards name servers. A question leaves from a socket drawn at random from a pool of thousands, each on a random port and unconnected, and
// replaced after some uses: who forges a reply must guess port, id and the case of the name. A reply is matched by the server's address, the id and the
// question. What comes from the right server and matches in part is counted as wrong; after maxWrong of them the question
// is asked again over TCP.

const (
	maxWrong     = 3    // wrong replies to one question before it goes over TCP at once; after a single one it does when its time is over
	lateRing     = 8    // questions answered or given up which a socket remembers, so that a second or late reply is no forgery
	portTries    = 16   // ports tried before a socket can't be opened
	lowestPort   = 1024 // ports below need privilege
	replyBufSize = 2048 // octets; more than is asked for, for servers that look at their own MTU only
)

// received is what the wire gave for one question: a reply, or the news that it must go over TCP.
type received struct {
	attempt *attempt
	msg     []byte // own copy
	at      time.Duration
	wrong   bool // too many wrong replies: ask over TCP
	cased   bool // the last of them was wrong in its case only
	err     error
}

// pending is a question that waits on a socket.
type pending struct {
	attempt *attempt
	server  netip.AddrPort
	id      uint16
	wire    []byte // the question section as sent, case and all
	wrong   int
	to      chan<- *received
}

type late struct {
	server netip.AddrPort
	id     uint16
}

// packetSender is a socket as far as questions need it.
type packetSender interface {
	WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error)
	Close() error
}

// udpSocket is one socket and what waits on it.
type udpSocket struct {
	conn packetSender

	mu      sync.Mutex
	waiting []*pending
	uses    int
	retired bool // no more questions; closed once nothing waits
	late    [lateRing]late
	lateAt  int
}

// sockets is the pool, one for each family.
type sockets struct {
	r    *Resolver
	v6   bool
	uses int     // questions a socket may carry
	buf  int     // octets of the largest reply
	poll *poller // reads all of them; nil: each has a goroutine that does

	mu     sync.Mutex
	slots  []*udpSocket
	closed bool
	wg     *sync.WaitGroup
}

func newSockets(r *Resolver, v6 bool, l *Limits) *sockets {
	// Half of the sockets for each family.
	s := &sockets{
		r: r, v6: v6, uses: max(1, l.SocketUses), buf: max(replyBufSize, l.UDPPayload), slots: make([]*udpSocket, max(1, l.Sockets/2)), wg: &r.wg,
	}
	if _, ok := r.network.(SystemNetwork); ok {
		s.poll = newPoller(s)
	}
	return s
}

var errClosed = errors.New("the resolver is closed")

// send sends a question to server and arranges that what comes back goes to p.to, which must never block.
func (s *sockets) send(p *pending, msg []byte) (*udpSocket, error) {
	u, err := s.draw(p)
	if err != nil {
		return nil, err
	}
	sent := false
	defer func() {
		if !sent {
			s.forget(u, p)
		}
	}()
	if _, err := u.conn.WriteToUDPAddrPort(msg, p.server); err != nil {
		return nil, fmt.Errorf("sending to %v: %w", p.server, err)
	}
	sent = true
	return u, nil
}

// draw picks a random slot of the pool, opens a socket there if there is none, and lets p wait on it.
func (s *sockets) draw(p *pending) (*udpSocket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	slot := int(s.r.random() % uint64(len(s.slots)))
	u := s.slots[slot]
	if u == nil {
		var err error
		if u, err = s.open(); err == nil {
			s.slots[slot] = u
		} else if slot, u = s.another(slot); u == nil {
			return nil, err
		}
	}
	u.mu.Lock()
	u.waiting = append(u.waiting, p)
	if u.uses++; u.uses >= s.uses {
		u.retired = true
		s.slots[slot] = nil
	}
	u.mu.Unlock()
	return u, nil
}

// another returns the next open socket after slot: where no more can be opened, those that are there must do.
func (s *sockets) another(slot int) (int, *udpSocket) {
	s.r.m.limits.With("sockets").Inc()
	for i := range s.slots {
		at := (slot + i) % len(s.slots)
		if s.slots[at] != nil {
			return at, s.slots[at]
		}
	}
	return slot, nil
}

// open binds a random port, and sees to it that what arrives there is read.
func (s *sockets) open() (u *udpSocket, err error) {
	for range portTries {
		port := lowestPort + uint16(s.r.random()%(65536-lowestPort))
		if s.poll != nil {
			if u, err = s.poll.open(s.v6, port); err == nil {
				return u, nil
			}
			continue
		}
		var c PacketConn
		if c, err = s.r.network.ListenUDP(s.v6, port); err == nil {
			u = &udpSocket{conn: c}
			s.wg.Add(1)
			go s.read(u, c)
			return u, nil
		}
	}
	return nil, fmt.Errorf("opening a UDP socket on a random port: %w", err)
}

// read takes replies off a socket until it is closed, where nobody does it for all of them. A panic costs the questions that wait on it.
func (s *sockets) read(u *udpSocket, conn PacketConn) {
	defer s.wg.Done()
	defer s.r.recovered("reading replies over UDP", nil, func(f *failure) { s.broken(u, f) })
	buf := make([]byte, s.buf)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			// Unconnected sockets get no errors from ICMP, so this one is ours: closed, or of no more use.
			s.broken(u, err)
			return
		}
		s.match(u, buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	}
}

// match finds the question that a packet is the reply to.
func (s *sockets) match(u *udpSocket, b []byte, from netip.AddrPort) {
	now := s.r.clock.Boot()
	h, err := dns.ParseHeader(b)
	u.mu.Lock()
	defer u.mu.Unlock()
	fromAsked := false
	for i, p := range u.waiting {
		if p.server != from {
			continue
		}
		fromAsked = true
		if err == nil && h.Flags&dns.FlagQR != 0 && h.ID == p.id && questionEchoed(b, h, p) {
			u.done(i)
			p.to <- &received{attempt: p.attempt, msg: append([]byte(nil), b...), at: now}
			u.closeIfDone()
			return
		}
	}
	if err == nil && u.isLate(from, h.ID) {
		return
	}
	s.r.m.unmatched.Inc()
	if !fromAsked {
		return // from nobody who was asked: can't be a reply, and must not move anything
	}
	for i := 0; i < len(u.waiting); i++ {
		p := u.waiting[i]
		if p.server != from {
			continue
		}
		if p.wrong++; p.wrong >= maxWrong || err == nil && h.ID == p.id {
			u.remove(i)
			i--
			s.r.m.spoofed.Inc()
			p.to <- &received{attempt: p.attempt, at: now, wrong: true, cased: err == nil && h.ID == p.id && questionCased(b, h, p)}
		}
	}
	u.closeIfDone()
}

// questionEchoed tells whether the reply repeats the question octet for octet, case included (0x20). Some servers leave the question out of
// an error; with the right id, address and port that is taken, for an error carries no data.
func questionEchoed(b []byte, h dns.Header, p *pending) bool {
	if h.QDCount == 0 {
		rc := h.Flags.RCode()
		return rc != dns.RCodeSuccess && rc != dns.RCodeNameError && h.ANCount == 0 && h.NSCount == 0
	}
	return h.QDCount == 1 && len(b) >= dns.HeaderLen+len(p.wire) &&
		string(b[dns.HeaderLen:dns.HeaderLen+len(p.wire)]) == string(p.wire)
}

// questionCased tells whether the reply repeats the question in another case.
func questionCased(b []byte, h dns.Header, p *pending) bool {
	if h.QDCount != 1 || len(b) < dns.HeaderLen+len(p.wire) {
		return false
	}
	for i, want := range p.wire {
		if got := b[dns.HeaderLen+i]; got != want && (got^want != 0x20 || got|0x20 < 'a' || got|0x20 > 'z') {
			return false
		}
	}
	return true
}

// wrong tells whether replies came for p that did not match.
func (u *udpSocket) wrong(p *pending) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return p.wrong > 0
}

func (u *udpSocket) remove(i int) {
	u.waiting[i] = u.waiting[len(u.waiting)-1]
	u.waiting[len(u.waiting)-1] = nil
	u.waiting = u.waiting[:len(u.waiting)-1]
}

// done takes a question out and remembers it for a while.
func (u *udpSocket) done(i int) {
	u.late[u.lateAt%lateRing] = late{u.waiting[i].server, u.waiting[i].id}
	u.lateAt++
	u.remove(i)
}

func (u *udpSocket) isLate(from netip.AddrPort, id uint16) bool {
	for _, l := range u.late {
		if l.server == from && l.id == id {
			return true
		}
	}
	return false
}

// closeIfDone closes a retired socket on which nothing waits any more. The caller holds u.mu.
func (u *udpSocket) closeIfDone() {
	if u.retired && len(u.waiting) == 0 {
		_ = u.conn.Close() // nothing is lost with it; its reader ends
	}
}

// forget gives up a question: a reply that still comes is late, and ignored.
func (s *sockets) forget(u *udpSocket, p *pending) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, w := range u.waiting {
		if w == p {
			u.done(i)
			break
		}
	}
	u.closeIfDone()
}

// broken takes a socket out of the pool after its reader failed, and tells those who wait.
func (s *sockets) broken(u *udpSocket, err error) {
	s.mu.Lock()
	for i := range s.slots {
		if s.slots[i] == u {
			s.slots[i] = nil
		}
	}
	s.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.retired = true
	_ = u.conn.Close()
	for _, p := range u.waiting {
		p.to <- &received{attempt: p.attempt, err: err}
	}
	u.waiting = nil
}

func (s *sockets) close() {
	s.mu.Lock()
	s.closed = true
	slots := append([]*udpSocket(nil), s.slots...)
	s.mu.Unlock()
	for _, u := range slots {
		if u != nil {
			_ = u.conn.Close()
		}
	}
	if s.poll != nil {
		s.poll.close()
	}
}
