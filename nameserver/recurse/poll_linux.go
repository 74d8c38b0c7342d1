package recurse

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller reads the sockets of a pool in one goroutine, woken through an epoll instance of its own. A goroutine for each socket would be thousands that wait: 5 KiB
// of memory each, and a stack that every garbage collection walks, which took a seventh of the processor time of a miss.
type poller struct {
	s    *sockets
	file *os.File // the epoll instance
	raw  syscall.RawConn
	fd   int // of it, for the time that file is open

	mu      sync.Mutex
	sockets []*rawSocket // by descriptor
	number  int32        // of the socket opened last, so that one is not taken for another that had its descriptor
	closed  bool
}

// Bounds of one turn, so that a flood on some sockets delays the others by this much only.
const (
	pollSockets = 64 // whose events one call returns
	pollPackets = 16 // taken from one of them
)

// newPoller starts reading; nil if the kernel gives no epoll instance, upon which each socket has its goroutine.
func newPoller(s *sockets) *poller {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // so that the runtime's poller takes it
	}
	if err != nil {
		s.r.log.Warn("making an epoll instance for sockets towards name servers; each is read by a goroutine", "error", err)
		return nil
	}
	p := &poller{s: s, fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		s.r.log.Warn("reading sockets towards name servers by epoll; each is read by a goroutine", "error", err)
		_ = p.file.Close()
		return nil
	}
	s.wg.Add(1)
	go p.read()
	return p
}

// read hands over what arrives until the poller is closed.
func (p *poller) read() {
	defer p.s.wg.Done()
	buf := make([]byte, p.s.buf)
	var events [pollSockets]unix.EpollEvent
	err := p.raw.Read(func(fd uintptr) bool {
		for {
			n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&events)), pollSockets, 0, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 || n == 0 {
				return errno != 0
			}
			for i := range events[:n] {
				p.take(&events[i], buf)
			}
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.s.r.log.Error("reading replies of name servers: no more come in; restart the node", "error", err)
	}
}

// take hands over what is there on one socket. A panic costs the questions that wait on it.
func (p *poller) take(e *unix.EpollEvent, buf []byte) {
	p.mu.Lock()
	var c *rawSocket
	if int(e.Fd) < len(p.sockets) {
		c = p.sockets[e.Fd]
	}
	p.mu.Unlock()
	if c == nil || c.number != e.Pad { // closed in this turn
		return
	}
	defer p.s.r.recovered("reading replies over UDP", nil, func(f *failure) { p.s.broken(c.u, f) })
	for range pollPackets {
		n, from, err := c.receive(buf)
		if err != nil {
			if err != unix.EAGAIN && err != unix.EBADF {
				p.s.broken(c.u, fmt.Errorf("reading replies over UDP: %w", err))
			}
			return
		}
		p.s.match(c.u, buf[:n], from)
	}
}

// open binds a port for questions.
func (p *poller) open(v6 bool, port uint16) (*udpSocket, error) {
	fd, err := openUDP(v6, port)
	if err != nil {
		return nil, err
	}
	c := &rawSocket{p: p, fd: fd}
	c.u = &udpSocket{conn: c}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.Join(errClosed, unix.Close(fd))
	}
	p.number++
	c.number = p.number
	for fd >= len(p.sockets) {
		p.sockets = append(p.sockets, make([]*rawSocket, len(p.sockets)+64)...)
	}
	p.sockets[fd] = c
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd), Pad: c.number}); err != nil {
		p.sockets[fd] = nil
		return nil, errors.Join(fmt.Errorf("watching a UDP socket: %w", err), unix.Close(fd))
	}
	return c.u, nil
}

// close ends reading, and closes what is still open.
func (p *poller) close() {
	p.mu.Lock()
	p.closed = true
	open := append([]*rawSocket(nil), p.sockets...)
	p.mu.Unlock()
	for _, c := range open {
		if c != nil {
			_ = c.Close()
		}
	}
	_ = p.file.Close() // nothing is lost with it
}

// openUDP returns a UDP socket of one family that is bound to a port of the wildcard address, and does not wait.
func openUDP(v6 bool, port uint16) (fd int, err error) {
	family, name := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(port)})
	if v6 {
		family, name = unix.AF_INET6, &unix.SockaddrInet6{Port: int(port)}
	}
	if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, fmt.Errorf("making a UDP socket: %w", err)
	}
	if v6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	pathMTUOff(fd, v6)
	if err == nil {
		err = unix.Bind(fd, name)
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("binding UDP port %d: %w", port, err), unix.Close(fd))
	}
	return fd, nil
}

// rawSocket is a socket of a poller. The lock keeps a descriptor from being used that is closed, and may be somebody else's by then.
type rawSocket struct {
	p      *poller
	u      *udpSocket
	number int32

	mu     sync.Mutex
	fd     int
	closed bool
}

// sendTries is how often a question is offered to a socket whose send buffer is full. It holds hundreds, and is emptied by the kernel at once, so this is a device that
// is down or swamped.
const sendTries = 4

// WriteToUDPAddrPort sends a packet.
func (c *rawSocket) WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error) {
	var name unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	size := encodeAddr(&name, a)
	for try := 1; ; try++ {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return 0, net.ErrClosed
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&name)), size)
		c.mu.Unlock()
		switch {
		case errno == 0:
			return int(n), nil
		case errno == unix.EINTR, errno == unix.EAGAIN && try < sendTries:
			runtime.Gosched()
		default:
			return 0, errno
		}
	}
}

// receive takes a packet, or returns EAGAIN.
func (c *rawSocket) receive(buf []byte) (int, netip.AddrPort, error) {
	var name unix.RawSockaddrInet6
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, netip.AddrPort{}, unix.EBADF
	}
	for {
		size := uint32(unix.SizeofSockaddrInet6)
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			return int(n), decodeAddr(&name), nil
		case unix.EINTR:
		default:
			return 0, netip.AddrPort{}, errno
		}
	}
}

// Close closes the socket, once.
func (c *rawSocket) Close() error {
	c.p.mu.Lock()
	if c.fd < len(c.p.sockets) && c.p.sockets[c.fd] == c {
		c.p.sockets[c.fd] = nil
	}
	c.p.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	return unix.Close(c.fd)
}

// encodeAddr writes an address as the kernel wants it, and returns its size.
func encodeAddr(name *unix.RawSockaddrInet6, a netip.AddrPort) uintptr {
	if a.Addr().Is4() {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		sa.Family, sa.Addr = unix.AF_INET, a.Addr().As4()
		putPort(&sa.Port, a.Port())
		return unix.SizeofSockaddrInet4
	}
	name.Family, name.Addr = unix.AF_INET6, a.Addr().As16()
	putPort(&name.Port, a.Port())
	if zone := a.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			name.Scope_id = uint32(i.Index)
		} else if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			name.Scope_id = uint32(n)
		}
	}
	return unix.SizeofSockaddrInet6
}

// decodeAddr is the other way round. A link-local address has its interface by name, as people write those of servers.
func decodeAddr(name *unix.RawSockaddrInet6) netip.AddrPort {
	if name.Family == unix.AF_INET {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), portOf(&sa.Port))
	}
	a := netip.AddrFrom16(name.Addr)
	if name.Scope_id != 0 && a.IsLinkLocalUnicast() {
		zone := strconv.FormatUint(uint64(name.Scope_id), 10)
		if i, err := net.InterfaceByIndex(int(name.Scope_id)); err == nil {
			zone = i.Name
		}
		a = a.WithZone(zone)
	}
	return netip.AddrPortFrom(a, portOf(&name.Port))
}

// putPort and portOf write and read a port as the kernel keeps it.
func putPort(port *uint16, v uint16) {
	b := (*[2]byte)(unsafe.Pointer(port))
	b[0], b[1] = byte(v>>8), byte(v)
}

func portOf(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}
