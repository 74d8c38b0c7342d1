//go:build !linux

package listen

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// controlLen is room for the control messages that tell a packet's local address.
const controlLen = 128

// localOf finds the local address in what the kernel tells of a packet.
func localOf(b []byte) netip.Addr {
	var c4 ipv4.ControlMessage
	if c4.Parse(b) == nil && c4.Dst != nil {
		a, _ := netip.AddrFromSlice(c4.Dst)
		return a.Unmap()
	}
	var c6 ipv6.ControlMessage
	if c6.Parse(b) == nil && c6.Dst != nil {
		a, _ := netip.AddrFromSlice(c6.Dst)
		a = a.Unmap()
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(strconv.Itoa(c6.IfIndex))
		}
		return a
	}
	return netip.Addr{}
}

// controlFor returns what makes the kernel send a packet from local; nothing if it is to choose, as it must for IPv4 over an
// IPv6 socket, which not all systems can be told.
func controlFor(local netip.Addr, v6 bool) []byte {
	switch {
	case !local.IsValid(), local.IsMulticast():
		return nil
	case !v6:
		return (&ipv4.ControlMessage{Src: local.AsSlice()}).Marshal()
	case local.Is4():
		return nil
	}
	c := ipv6.ControlMessage{Src: net.IP(local.AsSlice())}
	if zone := local.Zone(); zone != "" {
		c.IfIndex, _ = strconv.Atoi(zone)
	}
	return c.Marshal()
}

// canShare: elsewhere the last socket that is bound to an address gets all packets, so there is one.
const canShare = false

func reusePort(syscall.RawConn) error { return syscall.ENOPROTOOPT }

// configure sets the options of a UDP socket.
func (u *udpSocket) configure() error {
	u.neverFragment()
	want := u.s.limits.ReceiveBuffer
	if err := u.pc.SetReadBuffer(want); err != nil {
		u.s.log.Warn("the UDP receive buffer cannot be as large as asked for, so bursts may be lost", "address", u.addr, "wanted", want, "error", err)
	}
	switch {
	case !u.wildcard:
		return nil
	case u.v6:
		return ipv6.NewPacketConn(u.pc).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	default:
		return ipv4.NewPacketConn(u.pc).SetControlMessage(ipv4.FlagDst, true)
	}
}

// overflowed is not known here.
func (u *udpSocket) overflowed() uint32 { return 0 }
