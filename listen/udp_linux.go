package listen

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchLen is how many packets one system call takes or sends. The cost is per packet more than per call, so a longer one
// would gain little, and delay the first answer of a batch.
const batchLen = 64

// mmsghdr is the kernel's struct of that name.
type mmsghdr struct {
	header unix.Msghdr
	n      uint32
}

// batch is the memory of one reader: what recvmmsg fills and sendmmsg sends. It points into itself, so it must not be copied.
type batch struct {
	u   *udpSocket
	raw syscall.RawConn

	in        [batchLen]mmsghdr
	inVec     [batchLen]unix.Iovec
	names     [batchLen]unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	inControl [batchLen]control

	out        [batchLen]mmsghdr // the first n are to be sent
	outVec     [batchLen]unix.Iovec
	outControl [batchLen]control
	answers    [batchLen][]byte // what outVec points to
	n          int

	inBuf, outBuf []byte // udpStride for each packet
}

func newBatch(u *udpSocket, raw syscall.RawConn) *batch {
	b := &batch{u: u, raw: raw, inBuf: make([]byte, batchLen*udpStride), outBuf: make([]byte, batchLen*udpStride)}
	for i := range batchLen {
		b.inVec[i].Base = &b.inBuf[i*udpStride]
		b.inVec[i].SetLen(udpMost + 1)
		in := &b.in[i].header
		in.Iov = &b.inVec[i]
		in.SetIovlen(1)
		in.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		out := &b.out[i].header
		out.Iov = &b.outVec[i]
		out.SetIovlen(1)
		if u.wildcard {
			in.Control = (*byte)(unsafe.Pointer(&b.inControl[i]))
		}
	}
	return b
}

// readBatches serves the socket with recvmmsg and sendmmsg, called on the bare descriptor: net.UDPConn and ipv4.ReadBatch cost
// about 1.5 us more for each query. The runtime's poller is used only to wait.
func (u *udpSocket) readBatches() error {
	raw, err := u.pc.SyscallConn()
	if err != nil {
		return err
	}
	b := newBatch(u, raw)
	var pause backoff
	for {
		var failed syscall.Errno
		err := raw.Read(func(fd uintptr) (done bool) {
			for !u.s.stopping() {
				n, errno := b.receive(fd)
				switch errno {
				case 0:
				case unix.EAGAIN:
					return false
				case unix.EINTR:
					continue
				default:
					failed = errno
					return true
				}
				pause.reset()
				b.serve(n)
				b.send(fd)
				// One packet alone: the next is not expected right now. Fewer than asked for means that the kernel found the
				// queue empty, and whatever has come since wakes us.
				if n == 1 {
					return false
				}
			}
			return true
		})
		switch {
		case u.s.stopping(), errors.Is(err, net.ErrClosed):
			return nil
		case failed == unix.ENOSYS:
			return failed
		case failed != 0:
			err = failed
		}
		if err != nil && !u.receiveFailed(err, &pause) {
			return nil
		}
	}
}

// receive takes up to batchLen packets without waiting.
//
// The two calls are made without telling the scheduler (RawSyscall6), which saves a fifth of the CPU that a query costs. They
// never wait, so the price is that this thread cannot be stopped for the time of one batch, about 0.1 ms.
func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for i := range b.in { // the kernel has overwritten these
		h := &b.in[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		if b.u.wildcard {
			h.SetControllen(controlLen)
		}
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in)), batchLen, unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// serve hands the first n packets to the handler and lines up what is answered.
func (b *batch) serve(n int) {
	u := b.u
	b.n = 0
	octets := 0
	for i := range n {
		in := &b.in[i]
		data := b.inBuf[i*udpStride:][:in.n:udpStride]
		octets += len(data)
		client := clientAddr(&b.names[i])
		local := u.addr.Addr()
		if u.wildcard {
			local = b.inControl[i].local(in.header)
		}
		answer := u.serve(data, client, local, b.outBuf[b.n*udpStride:][:0:udpStride])
		if answer == nil {
			continue
		}
		b.answers[b.n] = answer
		b.outVec[b.n].Base = &answer[0]
		b.outVec[b.n].SetLen(len(answer))
		out := &b.out[b.n].header
		out.Name, out.Namelen = in.header.Name, in.header.Namelen // back to where it came from
		if u.wildcard {
			if l := b.outControl[b.n].set(local, u.v6); l == 0 {
				out.Control = nil
				out.SetControllen(0)
			} else {
				out.Control = (*byte)(unsafe.Pointer(&b.outControl[b.n]))
				out.SetControllen(l)
			}
		}
		b.n++
	}
	u.s.metrics.udp.received.Add(uint64(n))
	u.s.metrics.udp.receivedBytes.Add(uint64(octets))
}

// send sends what serve has lined up. What the system refuses is counted; the rest goes out.
func (b *batch) send(fd uintptr) {
	m := b.u.s.metrics
	sent, octets := 0, 0
	for at := 0; at < b.n; {
		n, errno := b.sendFrom(at, fd)
		if errno == unix.EAGAIN {
			n, errno = b.sendLater(at)
		}
		switch errno {
		case 0:
			for _, answer := range b.answers[at : at+n] {
				octets += len(answer)
			}
			at, sent = at+n, sent+n
			continue
		case unix.EINTR:
			continue
		case unix.EMSGSIZE:
			if cut := truncated(b.answers[at]); cut != nil {
				m.truncated.Inc()
				b.answers[at] = cut
				b.outVec[at].Base = &cut[0]
				b.outVec[at].SetLen(len(cut))
				continue
			}
		}
		b.u.sendFailed(errno)
		at++
	}
	clear(b.answers[:b.n])
	m.udp.sent.Add(uint64(sent))
	m.udp.sentBytes.Add(uint64(octets))
}

// sendFrom sends the answers from at on, as many as the kernel takes at once.
func (b *batch) sendFrom(at int, fd uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[at])), uintptr(b.n-at), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendLater is sendFrom once the send buffer has room. Nothing is read meanwhile, which slows down the right ones.
func (b *batch) sendLater(at int) (n int, errno syscall.Errno) {
	err := b.raw.Write(func(fd uintptr) bool {
		// Tried again before waiting, because room that came before the poller was asked would not be told.
		n, errno = b.sendFrom(at, fd)
		return errno != unix.EAGAIN
	})
	if err != nil {
		return 0, unix.EBADF // closed
	}
	return n, errno
}

// clientAddr returns the address that the kernel wrote, IPv4 never as IPv6. A link-local one keeps its interface by number.
func clientAddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), bigEndian(&sa4.Port))
	}
	a := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && a.IsLinkLocalUnicast() && a.Is6() {
		a = a.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, bigEndian(&sa.Port))
}

// bigEndian reads a port as the kernel keeps it.
func bigEndian(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}
