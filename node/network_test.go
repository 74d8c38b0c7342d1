package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/ananas-edge/ananas/nameserver/recurse"
)

// gate is a network that can be shut: then nothing can be sent.
type gate struct {
	recurse.Network
	shut atomic.Bool
}

var errShut = errors.New("network is unreachable")

func (g *gate) ListenUDP(v6 bool, port uint16) (recurse.PacketConn, error) {
	c, err := g.Network.ListenUDP(v6, port)
	if err != nil {
		return nil, err
	}
	return gated{c, g}, nil
}

func (g *gate) DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if g.shut.Load() {
		return nil, errShut
	}
	return g.Network.DialTCP(ctx, to)
}

type gated struct {
	recurse.PacketConn
	gate *gate
}

func (c gated) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.gate.shut.Load() {
		return 0, errShut
	}
	return c.PacketConn.WriteToUDPAddrPort(b, to)
}
