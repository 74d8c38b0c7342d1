package listen

import (
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is room for the control messages of a packet: the local address (a header of 16 octets, 12 on 32-bit systems, and struct in_pktinfo, 12, or
// in6_pktinfo, 20) and the length of a segment (a header and 4): 64 octets. Whoever hands over a socket may have asked for more, such as times, hence
// twice as much. Of uint64 because the kernel aligns it so.
type control [16]uint64

const controlLen = int(unsafe.Sizeof(control{}))

// told is what the kernel tells of a packet.
type told struct {
	local   netip.Addr // that it was sent to; invalid if that is not told
	segment int        // octets of each of the packets that the kernel put together, the last may be shorter; 0: it is one
}

// read returns what the kernel wrote into c.
func (c *control) read(h *unix.Msghdr) told {
	return readControl(unsafe.Slice((*byte)(unsafe.Pointer(c)), controlLen)[:h.Controllen])
}

// localOf finds the local address in what the kernel tells of a packet.
func localOf(b []byte) netip.Addr { return readControl(b).local }

func readControl(b []byte) (t told) {
	for len(b) >= unix.CmsgLen(0) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		n := int(h.Len)
		if n < unix.CmsgLen(0) || n > len(b) {
			break
		}
		data := b[unix.CmsgLen(0):n]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// Of the two addresses the one that answers to a broadcast can come from.
			t.local = netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Spec_dst)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			t.local = netip.AddrFrom16(info.Addr).Unmap()
			if t.local.Is6() && t.local.IsLinkLocalUnicast() {
				t.local = t.local.WithZone(strconv.FormatUint(uint64(info.Ifindex), 10))
			}
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			t.segment = int(*(*int32)(unsafe.Pointer(&data[0])))
		}
		b = b[min(len(b), unix.CmsgSpace(len(data))):]
	}
	return t
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

// segments appends to c, of which n octets are in use, that the message is to be sent as packets of so many octets each, and returns the new length.
func (c *control) segments(n, octets int) int {
	h := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(c), n))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))) = uint16(octets)
	return n + unix.CmsgSpace(2)
}

// controlFor is set for one packet.
func controlFor(local netip.Addr, v6 bool) []byte {
	c := new(control)
	n := c.set(local, v6)
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), n)
}

// canShare tells that the kernel spreads packets over the sockets of an address.
const canShare = true

// reusePort lets other sockets of this user be bound to the address of this one, if they ask for it too.
func reusePort(raw syscall.RawConn) error {
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); err != nil {
		return err
	}
	return failed
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

// coalesce lets the kernel put packets of one client together (on) or not, and tells whether it does.
func (u *udpSocket) coalesce(on bool) bool {
	value := 0
	if on {
		value = 1
	}
	return u.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, value) }) == nil && on
}

// segments tells whether the kernel takes several answers as one message (UDP_SEGMENT, since Linux 4.18). It has to be asked: an older one would
// send them as one long packet.
func (u *udpSocket) segments() bool {
	return u.control(func(fd int) error {
		_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		return err
	}) == nil
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
