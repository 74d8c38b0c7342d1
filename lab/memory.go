package lab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// PacketConn is an unconnected UDP socket; *net.UDPConn is one.
type PacketConn = interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error)
	SetReadDeadline(t time.Time) error
	LocalAddr() net.Addr
	Close() error
}

// Network carries questions to the lab's servers and replies back, in memory. Time is that of package time: real, or the fake time of
// the testing/synctest bubble in which the Network was made. There are no goroutines behind it but those that timers start for the
// moment in which a packet arrives.
type Network struct {
	carrier *carrier
	v4, v6  netip.Addr

	mu       sync.Mutex
	sockets  map[netip.AddrPort]*udpSocket
	conns    map[*tcpConn]struct{}
	nextPort uint16
	closed   bool
}

// Addresses of the client side of [Lab.Network]: those that RFC 5737 and RFC 3849 set aside for documentation.
var (
	clientV4 = netip.MustParseAddr("203.0.113.53")
	clientV6 = netip.MustParseAddr("2001:db8:53::53")
)

// Network opens a carrier in memory. Outages and other times of the world file count from now.
func (l *Lab) Network() *Network { return l.NetworkFrom(clientV4, clientV6) }

// NetworkFrom is [Lab.Network] for a client with these addresses, of which rate limits and cookies know it.
func (l *Lab) NetworkFrom(v4, v6 netip.Addr) *Network {
	return &Network{carrier: newCarrier(l), v4: v4, v6: v6, sockets: map[netip.AddrPort]*udpSocket{}, conns: map[*tcpConn]struct{}{}, nextPort: firstPort}
}

const (
	firstPort    = 49152 // ephemeral ports (RFC 6335 section 6)
	maxQueue     = 1024  // packets that wait in a socket: 500 KiB, twice what Linux gives one by default
	maxDatagram  = 65507 // octets of a UDP payload over IPv4
	connectLimit = 2 * time.Minute
)

// Close closes all sockets and connections. Packets on their way are lost.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	var open []interface{ Close() error }
	for _, s := range n.sockets {
		open = append(open, s)
	}
	for c := range n.conns {
		open = append(open, c)
	}
	n.mu.Unlock()
	for _, o := range open {
		if err := o.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

func (n *Network) clientAddr(v6 bool) netip.Addr {
	if v6 {
		return n.v6
	}
	return n.v4
}

// freePort finds a port that taken says is free. It is called with the lock held.
func (n *Network) freePort(taken func(uint16) bool) (uint16, bool) {
	for range 1<<16 - firstPort {
		p := n.nextPort
		if n.nextPort++; n.nextPort == 0 {
			n.nextPort = firstPort
		}
		if !taken(p) {
			return p, true
		}
	}
	return 0, false
}

// ListenUDP opens a socket on a local port, or on a free one if port is 0. It fails with EADDRINUSE if the port is taken.
func (n *Network) ListenUDP(v6 bool, port uint16) (PacketConn, error) {
	addr := n.clientAddr(v6)
	fail := func(err error) (PacketConn, error) {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)), Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fail(net.ErrClosed)
	}
	taken := func(p uint16) bool { return n.sockets[netip.AddrPortFrom(addr, p)] != nil }
	if port == 0 {
		var ok bool
		if port, ok = n.freePort(taken); !ok {
			return fail(os.NewSyscallError("bind", syscall.EADDRNOTAVAIL))
		}
	} else if taken(port) {
		return fail(os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	s := &udpSocket{network: n, local: netip.AddrPortFrom(addr, port), ready: make(chan struct{}, 1), closed: make(chan struct{}), read: newDeadline()}
	n.sockets[s.local] = s
	return s, nil
}

// deliver puts a packet into the socket that has the port now, as a kernel does.
func (n *Network) deliver(to netip.AddrPort, p packet) {
	n.mu.Lock()
	s := n.sockets[to]
	n.mu.Unlock()
	if s != nil && len(p.data) <= maxDatagram && !s.put(p) {
		n.carrier.lab.count.overrun.Add(1)
	}
}

// udpSocket is a PacketConn.
type udpSocket struct {
	network *Network
	local   netip.AddrPort
	read    *deadline

	mu     sync.Mutex
	queue  []packet
	ready  chan struct{} // holds a token when the queue may not be empty
	closed chan struct{}
}

func (s *udpSocket) put(p packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= maxQueue {
		return false
	}
	s.queue = append(s.queue, p)
	s.signal()
	return true
}

func (s *udpSocket) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *udpSocket) take() (packet, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return packet{}, false
	}
	p := s.queue[0]
	if s.queue = s.queue[1:]; len(s.queue) > 0 {
		s.signal() // for another reader
	} else {
		s.queue = nil
	}
	return p, true
}

func (s *udpSocket) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: s.LocalAddr(), Err: err}
}

// ReadFromUDPAddrPort waits for a packet. What does not fit into b is lost.
func (s *udpSocket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		expired := s.read.expired()
		select {
		case <-s.closed:
			return 0, netip.AddrPort{}, s.opError("read", net.ErrClosed)
		case <-expired:
			return 0, netip.AddrPort{}, s.opError("read", os.ErrDeadlineExceeded)
		default:
		}
		if p, ok := s.take(); ok {
			return copy(b, p.data), p.from, nil
		}
		select {
		case <-s.ready:
		case <-s.closed:
		case <-expired:
		}
	}
}

// WriteToUDPAddrPort sends one message to a server. Nothing tells whether it arrives.
func (s *udpSocket) WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error) {
	select {
	case <-s.closed:
		return 0, s.opError("write", net.ErrClosed)
	default:
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if a.Addr().Is4() != s.local.Addr().Is4() {
		return 0, s.opError("write", os.NewSyscallError("sendto", syscall.ENETUNREACH))
	}
	if len(b) > maxDatagram {
		return 0, s.opError("write", os.NewSyscallError("sendto", syscall.EMSGSIZE))
	}
	n := s.network
	if x := n.carrier.arrive(s.local, a, false, slices.Clone(b)); x != nil {
		x.later(func(p packet) { n.deliver(s.local, p) })
	}
	return len(b), nil
}

// later answers when the round trip is over.
func (x *exchange) later(send func(packet)) {
	time.AfterFunc(x.wait, func() {
		for _, p := range x.packets() {
			if p.after == 0 {
				send(p)
			} else {
				time.AfterFunc(p.after, func() { send(p) })
			}
		}
	})
}

// SetReadDeadline bounds the reads that wait and those to come.
func (s *udpSocket) SetReadDeadline(t time.Time) error {
	s.read.set(t)
	return nil
}

func (s *udpSocket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.local) }

// Close frees the port.
func (s *udpSocket) Close() error {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	select {
	case <-s.closed:
		return s.opError("close", net.ErrClosed)
	default:
	}
	close(s.closed)
	s.read.set(time.Time{})
	delete(s.network.sockets, s.local)
	return nil
}

// deadline closes a channel when its time has come, and makes a new one when it is put off, as net.Pipe does.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	gone  chan struct{}
}

func newDeadline() *deadline { return &deadline{gone: make(chan struct{})} }

func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.gone // the timer fired: wait until it has closed the channel
	}
	d.timer = nil
	select {
	case <-d.gone:
		d.gone = make(chan struct{})
	default:
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.gone)
	default:
		gone := d.gone
		d.timer = time.AfterFunc(left, func() { close(gone) })
	}
}
