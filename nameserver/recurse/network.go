package recurse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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

// Network opens sockets towards name servers. It is a parameter so that a whole internet can stand in for the real one.
type Network interface {
	// ListenUDP opens a socket of one family on this local port; an error if the port is taken.
	ListenUDP(v6 bool, port uint16) (PacketConn, error)
	// DialTCP connects to a server.
	DialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error)
}

// SystemNetwork is the network of this machine.
type SystemNetwork struct{}

// ListenUDP binds the wildcard address. Path MTU discovery is off, so that a forged ICMP message can not make the kernel send fragments
// (RFC 9715 section 3.1).
func (SystemNetwork) ListenUDP(v6 bool, port uint16) (PacketConn, error) {
	network, addr := "udp4", netip.IPv4Unspecified()
	if v6 {
		network, addr = "udp6", netip.IPv6Unspecified()
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { pathMTUOff(int(fd), v6) })
	}}
	c, err := lc.ListenPacket(context.Background(), network, netip.AddrPortFrom(addr, port).String())
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(errors.New("UDP socket of an unknown kind"), c.Close())
	}
	return u, nil
}

// DialTCP connects.
func (SystemNetwork) DialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return nil, fmt.Errorf("connecting to %v: %w", server, err)
	}
	return c, nil
}
