package recurse

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pathMTUOff keeps the kernel from believing ICMP about the path's MTU. An error is of no matter: the questions are small.
func pathMTUOff(fd int, v6 bool) {
	if v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
}

// linuxConn reads with a buffer from a pool, and without what net.UDPConn does beside.
type linuxConn struct {
	*net.UDPConn
	raw syscall.RawConn
	try func(fd uintptr) bool // receive, made once

	// Of the read under way; one goroutine reads.
	bufs  *sync.Pool
	buf   *[]byte
	n     int
	from  unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	errno syscall.Errno
}

// pooled makes a socket read by ReadPooled.
func pooled(u *net.UDPConn) (PacketConn, error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, u.Close())
	}
	c := &linuxConn{UDPConn: u, raw: raw}
	c.try = c.receive
	return c, nil
}

// ReadPooled waits for a packet, with no buffer while it waits.
func (c *linuxConn) ReadPooled(bufs *sync.Pool) (*[]byte, int, netip.AddrPort, error) {
	c.bufs, c.buf, c.errno = bufs, nil, 0
	err := c.raw.Read(c.try)
	if err == nil && c.errno != 0 {
		err = c.errno
	}
	if err != nil {
		return nil, 0, netip.AddrPort{}, err
	}
	if c.from.Family == unix.AF_INET {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&c.from))
		return c.buf, c.n, netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), portOf(&sa.Port)), nil
	}
	a := netip.AddrFrom16(c.from.Addr)
	if c.from.Scope_id != 0 && a.IsLinkLocalUnicast() {
		zone := strconv.FormatUint(uint64(c.from.Scope_id), 10)
		if i, err := net.InterfaceByIndex(int(c.from.Scope_id)); err == nil { // as addresses of servers are written
			zone = i.Name
		}
		a = a.WithZone(zone)
	}
	return c.buf, c.n, netip.AddrPortFrom(a, portOf(&c.from.Port)), nil
}

// receive takes a packet if there is one; it never waits, so the scheduler is not told.
func (c *linuxConn) receive(fd uintptr) (done bool) {
	buf := c.bufs.Get().(*[]byte)
	for {
		size := uint32(unix.SizeofSockaddrInet6)
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&(*buf)[0])), uintptr(len(*buf)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&c.from)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			c.buf, c.n = buf, int(n)
			return true
		case unix.EINTR:
			continue
		}
		c.bufs.Put(buf)
		if errno == unix.EAGAIN {
			return false
		}
		c.errno = errno
		return true
	}
}

// portOf reads a port as the kernel keeps it.
func portOf(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}
