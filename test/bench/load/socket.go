//go:build linux

package load

import (
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked for in both directions: answers of a second or more when the generator is not scheduled.
const socketBuffer = 1 << 20

// dial opens a socket from one address to the server, without blocking, with receive time stamps.
func dial(source netip.Addr, server netip.AddrPort) (fd int, err error) {
	domain := unix.AF_INET
	if server.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	// Best effort: the kernel's limit may be lower.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fd, os.NewSyscallError("setsockopt", err)
	}
	if err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(source, 0))); err != nil {
		return fd, os.NewSyscallError("bind", err)
	}
	return fd, os.NewSyscallError("connect", unix.Connect(fd, sockaddr(server)))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

// stampRoom holds one control message with a struct timespec.
const stampRoom = 64

// receiver is the memory of recvmmsg(2).
type receiver struct {
	heads   [batch]mmsghdr
	vectors [batch]unix.Iovec
	stamps  [batch][stampRoom]byte
	data    [batch][maxReply]byte
}

func newReceiver() *receiver {
	r := &receiver{}
	for i := range r.heads {
		r.vectors[i].Base = &r.data[i][0]
		r.vectors[i].SetLen(maxReply)
		h := &r.heads[i].hdr
		h.Iov = &r.vectors[i]
		h.Iovlen = 1
		h.Control = &r.stamps[i][0]
	}
	return r
}

// drain takes all packets that a socket holds.
func (r *receiver) drain(fd int, take func(msg []byte, at int64)) {
	for {
		for i := range r.heads {
			r.heads[i].hdr.SetControllen(stampRoom)
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.heads)), batch, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return // EAGAIN; or ECONNREFUSED of an earlier question, which then times out
		}
		now := wall()
		for i := range int(n) {
			h := &r.heads[i]
			at := stamp(r.stamps[i][:min(stampRoom, int(h.hdr.Controllen))])
			if at == 0 {
				at = now
			}
			take(r.data[i][:min(maxReply, h.n)], at)
		}
		if n < batch {
			return
		}
	}
}

// stamp reads the kernel's time stamp; 0 if there is none.
func stamp(control []byte) int64 {
	head, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || head.Level != unix.SOL_SOCKET || head.Type != unix.SCM_TIMESTAMPNS || len(data) < int(unsafe.Sizeof(unix.Timespec{})) {
		return 0
	}
	return (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
}

// wall is the clock that the kernel stamps packets with, in nanoseconds.
func wall() int64 { return time.Now().UnixNano() }

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
