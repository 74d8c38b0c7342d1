//go:build linux

package flood

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked for in both directions: a window of 192 answers of 1,232 octets, ten times over, and bursts of an open loop.
const socketBuffer = 4 << 20

// dial opens a socket to the server that does not block; with receive time stamps if wanted.
func dial(server netip.AddrPort, stamps bool) (fd int, err error) {
	domain, to := unix.AF_INET, unix.Sockaddr(nil)
	if a := server.Addr(); a.Is4() {
		to = &unix.SockaddrInet4{Port: int(server.Port()), Addr: a.As4()}
	} else {
		domain, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(server.Port()), Addr: a.As16()}
	}
	if fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	// Root may go above the system's limit; others take what they get.
	for _, option := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, socketBuffer)
	}
	if stamps {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	return fd, os.NewSyscallError("connect", unix.Connect(fd, to))
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

// sender holds a batch of questions until it is sent.
type sender struct {
	data    [maxBatch][maxQuestion]byte // for a batch of single messages
	heads   [maxBatch]mmsghdr
	vectors [maxBatch]unix.Iovec

	joined  [maxBatch * maxQuestion]byte // for a batch as one
	head    unix.Msghdr
	vector  unix.Iovec
	control [24]byte // one control message with two octets
}

func newSender() *sender {
	s := &sender{}
	for i := range s.heads {
		s.vectors[i].Base = &s.data[i][0]
		s.heads[i].hdr.Iov = &s.vectors[i]
		s.heads[i].hdr.Iovlen = 1
	}
	s.vector.Base = &s.joined[0]
	s.head.Iov = &s.vector
	s.head.Iovlen = 1
	c := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[0]))
	c.Level = unix.IPPROTO_UDP
	c.Type = unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	s.head.Control = &s.control[0]
	s.head.SetControllen(unix.CmsgSpace(2))
	return s
}

// room is where question k of a batch is written, in a batch that is joined of questions of so many octets (0: of any).
func (s *sender) room(k, joined int) []byte {
	if joined > 0 {
		return s.joined[k*joined : (k+1)*joined]
	}
	return s.data[k][:]
}

// send sends the first n questions and returns how many the kernel took.
func (s *sender) send(fd, n, joined int) int {
	if joined > 0 {
		binary.NativeEndian.PutUint16(s.control[unix.CmsgLen(0):], uint16(joined))
		s.vector.SetLen(n * joined)
		if _, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.head)), 0); errno != 0 {
			return 0
		}
		return n
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.heads)), uintptr(n), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(sent)
}

// stampRoom holds one control message with a struct timespec.
const stampRoom = 64

// receiver is the memory of recvmmsg(2).
type receiver struct {
	heads   [maxBatch]mmsghdr
	vectors [maxBatch]unix.Iovec
	stamps  [maxBatch][stampRoom]byte
	data    [maxBatch][maxReply + 64]byte // not a power of two apart: those fall into few sets of the processor's cache
}

func newReceiver() *receiver {
	r := &receiver{}
	for i := range r.heads {
		r.vectors[i].Base = &r.data[i][0]
		r.vectors[i].SetLen(maxReply)
		r.heads[i].hdr.Iov = &r.vectors[i]
		r.heads[i].hdr.Iovlen = 1
	}
	return r
}

// receive takes what a socket holds, a batch at most, and returns how many packets that were.
func (r *receiver) receive(fd int, stamps bool) int {
	for i := range r.heads {
		h := &r.heads[i].hdr
		h.Control = nil
		h.SetControllen(0)
		if stamps {
			h.Control = &r.stamps[i][0]
			h.SetControllen(stampRoom)
		}
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.heads)), maxBatch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0 // nothing there; or ECONNREFUSED of an earlier question, which then times out
	}
	return int(n)
}

func (r *receiver) message(i int) []byte { return r.data[i][:min(maxReply, r.heads[i].n)] }

// stamp is the kernel's time stamp of a packet, in nanoseconds of the wall clock; 0 if there is none.
func (r *receiver) stamp(i int) int64 {
	const head = unix.SizeofCmsghdr
	c := (*unix.Cmsghdr)(unsafe.Pointer(&r.stamps[i][0]))
	if r.heads[i].hdr.Controllen < head || c.Level != unix.SOL_SOCKET || c.Type != unix.SCM_TIMESTAMPNS {
		return 0
	}
	return (*unix.Timespec)(unsafe.Pointer(&r.stamps[i][unix.CmsgLen(0)])).Nano()
}

// clock reads one of the kernel's clocks, in nanoseconds.
func clock(which int32) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(which, &t); err != nil {
		panic(fmt.Sprintf("reading clock %d: %v", which, err)) // they are there on every Linux
	}
	return t.Nano()
}
