package lab

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is what a UDP socket holds while its reader does not run: 20,000 questions a second for 0.4 s.
const socketBuffer = 8 << 20

// controlUDP asks for the address that each packet was sent to, shares the port among workers, and widens the buffers.
func controlUDP(v6 bool) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		set := func(fd int, level, option, value int) {
			if err == nil {
				err = unix.SetsockoptInt(fd, level, option, value)
			}
		}
		controlErr := c.Control(func(p uintptr) {
			fd := int(p)
			set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			if v6 {
				set(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
				set(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1) // to send from addresses that only a route makes ours
			} else {
				set(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
			}
			// Root may go above the system's limit; others take what they get.
			for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
				_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, socketBuffer)
			}
		})
		if controlErr != nil {
			return controlErr
		}
		return err
	}
}

// destination finds the address that a packet was sent to (ip(7), ipv6(7)).
func destination(oob []byte) (netip.Addr, bool) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return netip.Addr{}, false
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[8:12])), true
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(data[:16])), true
		}
		oob = rest
	}
	return netip.Addr{}, false
}

// source is the control message that makes a packet leave from an address.
func source(a netip.Addr) []byte {
	level, typ, size := int32(unix.IPPROTO_IP), int32(unix.IP_PKTINFO), unix.SizeofInet4Pktinfo
	if a.Is6() {
		level, typ, size = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo
	}
	b := make([]byte, unix.CmsgSpace(size))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(size))
	data := b[unix.CmsgLen(0):]
	if a.Is6() {
		copy(data, a.AsSlice())
	} else {
		v4 := a.As4()
		copy(data[4:8], v4[:]) // ipi_spec_dst
	}
	return b
}
