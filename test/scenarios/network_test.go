package scenarios

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// network is the lab's carrier with what the lab has not: servers on other ports than 53, families without a route, and replies that are
// changed on their way.
type network struct {
	*lab.Network
	change func(reply []byte) []byte // nil: nothing is changed; an empty result is a reply that is lost

	mu   sync.Mutex
	to   map[netip.AddrPort]netip.AddrPort
	none string // the family without a route
}

func newNetwork(n *lab.Network) *network {
	return &network{Network: n, to: map[netip.AddrPort]netip.AddrPort{}}
}

func (n *network) redirect(from, to netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to[from] = to
}

func (n *network) setUnroutable(family string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.none = family
}

// route tells whether there is one, with the error that a kernel gives.
func (n *network) route(to netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if to.Is4() && n.none == "ipv4" || to.Is6() && n.none == "ipv6" {
		return &net.OpError{Op: "write", Net: "udp", Err: os.NewSyscallError("sendto", syscall.ENETUNREACH)}
	}
	return nil
}

// led tells where a packet for a really goes.
func (n *network) led(a netip.AddrPort) netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b, ok := n.to[a]; ok {
		return b
	}
	return a
}

// ListenUDP opens a socket whose packets are redirected.
func (n *network) ListenUDP(v6 bool, port uint16) (recurse.PacketConn, error) {
	c, err := n.Network.ListenUDP(v6, port)
	if err != nil {
		return nil, err
	}
	return &socket{PacketConn: c, network: n, asked: map[netip.AddrPort]netip.AddrPort{}}, nil
}

// DialTCP connects to where the address leads.
func (n *network) DialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	if err := n.route(server.Addr()); err != nil {
		return nil, err
	}
	c, err := n.Network.DialTCP(ctx, n.led(server))
	if err != nil || n.change == nil {
		return c, err
	}
	return &stream{Conn: c, change: n.change}, nil
}

// stream is a connection whose replies are changed, frame by frame.
type stream struct {
	net.Conn
	change func([]byte) []byte
	rest   []byte
}

func (s *stream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		var head [2]byte
		if _, err := io.ReadFull(s.Conn, head[:]); err != nil {
			return 0, err
		}
		reply := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(s.Conn, reply); err != nil {
			return 0, err
		}
		if reply = s.change(reply); len(reply) > 0 {
			s.rest = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

type socket struct {
	recurse.PacketConn
	network *network

	mu    sync.Mutex
	asked map[netip.AddrPort]netip.AddrPort // what the socket's owner knows a server as
}

func (s *socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := s.PacketConn.ReadFromUDPAddrPort(b)
	for err == nil && s.network.change != nil {
		if n = copy(b, s.network.change(b[:n])); n > 0 {
			break
		}
		n, from, err = s.PacketConn.ReadFromUDPAddrPort(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.asked[from]; ok {
		from = known
	}
	return n, from, err
}

func (s *socket) WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error) {
	if err := s.network.route(a.Addr()); err != nil {
		return 0, err
	}
	to := s.network.led(a)
	s.mu.Lock()
	s.asked[to] = a
	s.mu.Unlock()
	return s.PacketConn.WriteToUDPAddrPort(b, to)
}
