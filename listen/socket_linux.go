package listen

import (
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is room for two control messages: one that tells a packet's local address, a header of 16 octets (12 on 32-bit systems)
// and struct in_pktinfo (12) or in6_pktinfo (20); and one that tells the size of segments, in 2 octets or 4. Of uint64 because the kernel aligns it so.
type control [8]uint64

const controlLen = int(unsafe.Sizeof(control{}))

// local returns the address that the packet was sent to, which the kernel wrote into c. It is invalid if there is none.
func (c *control) local(h unix.Msghdr) netip.Addr {
	return localOf(unsafe.Slice((*byte)(unsafe.Pointer(c)), controlLen)[:h.Controllen])
}

// localOf finds the local address in what the kernel tells of a packet.
func localOf(b []byte) netip.Addr {
	for len(b) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// Of the two addresses the one that answers to a broadcast can come from.
			return netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Spec_dst)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			a := netip.AddrFrom16(info.Addr).Unmap()
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(strconv.FormatUint(uint64(info.Ifindex), 10))
			}
			return a
		}
		b = rest
	}
	return netip.Addr{}
}

// read returns what the kernel wrote into c: the address that the message was sent to, invalid if it was not told, and the size of the packets in it, 0 if it
// is one.
func (c *control) read(h unix.Msghdr) (local netip.Addr, segment int) {
	if h.Controllen == uint64(unix.CmsgSpace(4)) { // the common case of a socket that is bound to one address
		m := (*unix.Cmsghdr)(unsafe.Pointer(c))
		if m.Level == unix.SOL_UDP && m.Type == unix.UDP_GRO {
			return local, int(*(*int32)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))))
		}
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(c)), controlLen)[:h.Controllen]
	local = localOf(b)
	for len(b) > 0 {
		m, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		if m.Level == unix.SOL_UDP && m.Type == unix.UDP_GRO && len(data) >= 4 {
			segment = int(*(*int32)(unsafe.Pointer(&data[0])))
		}
		b = rest
	}
	return local, segment
}

// setSegment adds, n octets from the beginning, that the message is to be cut into packets of so many octets, and returns how much longer it is by that.
func (c *control) setSegment(n, size int) int {
	at := unsafe.Add(unsafe.Pointer(c), n)
	h := (*unix.Cmsghdr)(at)
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Add(at, unix.CmsgLen(0))) = uint16(size)
	return unix.CmsgSpace(2)
}

// set makes c say that a packet is to be sent from local, and returns its length; 0: the kernel is to choose. The interface is
// left to the routes, except for link-local addresses, which mean nothing without.
func (c *control) set(local netip.Addr, v6 bool) int {
	if !local.IsValid() || local.IsMulticast() {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(c))
	data := unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))
	if !v6 {
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: local.As4()}
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	info := unix.Inet6Pktinfo{Addr: local.As16()} // IPv4 over an IPv6 socket: as mapped
	if zone := local.Zone(); zone != "" {
		index, _ := strconv.ParseUint(zone, 10, 32)
		info.Ifindex = uint32(index)
	}
	*(*unix.Inet6Pktinfo)(data) = info
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// controlFor is set for one packet.
func controlFor(local netip.Addr, v6 bool) []byte {
	c := new(control)
	n := c.set(local, v6)
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), n)
}

// configure sets the options of a UDP socket.
func (u *udpSocket) configure() error {
	return u.control(func(fd int) error {
		// Never a fragment: a forged ICMP message must not be able to make us send one, whose rest could be replaced on the
		// way (RFC 9715). IP_PMTUDISC_INTERFACE ignores what is told about the path, and refuses what is longer than the
		// interface takes with EMSGSIZE, upon which a truncated answer is sent; IP_PMTUDISC_OMIT, which most name servers use,
		// would fragment it here.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_INTERFACE); err != nil {
			u.s.log.Warn("switching path MTU discovery off", "address", u.addr, "error", err)
		}
		if u.v6 {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_INTERFACE); err != nil {
				u.s.log.Warn("switching path MTU discovery off", "address", u.addr, "error", err)
			}
		}
		u.receiveBuffer(fd)
		switch {
		case !u.wildcard:
			return nil
		case u.v6:
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		default:
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
}

// coalesce says whether packets that come in rows from one client are to be taken as one message. Kernels before 5.0 know nothing of it.
func (u *udpSocket) coalesce(on bool) {
	v := 0
	if on {
		v = 1
	}
	if err := u.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, v) }); err != nil {
		u.s.log.Debug("setting UDP_GRO", "address", u.addr, "value", v, "error", err)
	}
}

// receiveBuffer asks for a large buffer: as root beyond the limit, else up to it.
func (u *udpSocket) receiveBuffer(fd int) {
	want := u.s.limits.ReceiveBuffer
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	got /= 2 // the kernel doubles what it is told, for its own part
	if err == nil && got < want && !u.s.smallBuffer {
		u.s.smallBuffer = true // the others will be as small
		u.s.log.Info("the UDP receive buffer is smaller than asked for, so bursts may be lost",
			"address", u.addr, "bytes", got, "wanted", want, "hint", "sysctl -w net.core.rmem_max="+strconv.Itoa(want))
	}
}

// overflowed returns how many packets the kernel has dropped because the receive buffer was full.
func (u *udpSocket) overflowed() (dropped uint32) {
	u.control(func(fd int) error {
		var info [unix.SK_MEMINFO_VARS]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			dropped = info[unix.SK_MEMINFO_DROPS]
		}
		return nil
	})
	return dropped
}

// control calls f with the descriptor.
func (u *udpSocket) control(f func(fd int) error) error {
	raw, err := u.pc.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
