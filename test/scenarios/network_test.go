package scenarios

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"github.com/ananas-edge/ananas/lab"
	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// network is the lab's carrier with redirections: the lab's servers listen on port 53 only.
type network struct {
	*lab.Network

	mu   sync.Mutex
	to   map[netip.AddrPort]netip.AddrPort
	from map[netip.AddrPort]netip.AddrPort
	none string // the family without a route
}

func newNetwork(n *lab.Network) *network {
	return &network{Network: n, to: map[netip.AddrPort]netip.AddrPort{}, from: map[netip.AddrPort]netip.AddrPort{}}
}

func (n *network) redirect(from, to netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to[from], n.from[to] = to, from
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

func (n *network) look(m map[netip.AddrPort]netip.AddrPort, a netip.AddrPort) netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b, ok := m[a]; ok {
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
	return &socket{c, n}, nil
}

// DialTCP connects to where the address leads.
func (n *network) DialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	if err := n.route(server.Addr()); err != nil {
		return nil, err
	}
	return n.Network.DialTCP(ctx, n.look(n.to, server))
}

type socket struct {
	recurse.PacketConn
	network *network
}

func (s *socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := s.PacketConn.ReadFromUDPAddrPort(b)
	return n, s.network.look(s.network.from, from), err
}

func (s *socket) WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error) {
	if err := s.network.route(a.Addr()); err != nil {
		return 0, err
	}
	return s.PacketConn.WriteToUDPAddrPort(b, s.network.look(s.network.to, a))
}
