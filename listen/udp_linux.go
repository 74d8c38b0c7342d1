package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchLen is how many messages one system call takes or sends, and how many packets are served together. The cost is per packet more than per call, so a
// longer one would gain little, and delay the first answer of a batch.
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
	used      int                  // of the last call
	asked     [batchLen]netip.Addr // local addresses, where the socket is bound to all

	queries [batchLen]Query // the first n are lined up
	from    [batchLen]uint8 // the message that each came in
	n       int

	sending

	mem           []byte // what these are cut from
	inBuf, outBuf []byte // messageStride and udpStride for each
}

// newBatch takes the memory of a reader. Its buffers lie outside the heap, whose collector would otherwise let as much garbage gather as they are long.
func newBatch(u *udpSocket, raw syscall.RawConn) (*batch, error) {
	const in, out = batchLen * messageStride, batchLen * udpStride
	mem, err := unix.Mmap(-1, 0, in+out, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("taking %d octets for a reader of %v: %w", in+out, u.addr, err)
	}
	b := &batch{u: u, raw: raw, mem: mem, inBuf: mem[:in:in], outBuf: mem[in:]}
	for i := range batchLen {
		b.inVec[i].Base = &b.inBuf[i*messageStride]
		b.inVec[i].SetLen(messageMost)
		in := &b.in[i].header
		in.Iov = &b.inVec[i]
		in.SetIovlen(1)
		in.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		in.Control = (*byte)(unsafe.Pointer(&b.inControl[i]))
	}
	b.used = batchLen
	b.segments = true
	return b, nil
}

// release gives the buffers back.
func (b *batch) release() { _ = unix.Munmap(b.mem) }

// readBatches serves the socket with recvmmsg and sendmmsg, called on the bare descriptor: net.UDPConn and ipv4.ReadBatch cost
// about 1.5 us more for each query. The runtime's poller is used only to wait.
func (u *udpSocket) readBatches() error {
	raw, err := u.pc.SyscallConn()
	if err != nil {
		return err
	}
	b, err := newBatch(u, raw)
	if err != nil {
		return err
	}
	defer b.release()
	var pause backoff
	w := waiting{spin: u.s.spin}
	for {
		var failed syscall.Errno
		err := raw.Read(func(fd uintptr) (done bool) {
			w.woken()
			for !u.s.stopping() {
				n, errno := b.receive(fd)
				switch errno {
				case 0:
				case unix.EAGAIN:
					if w.again() {
						continue
					}
					return false
				case unix.EINTR:
					continue
				default:
					failed = errno
					return true
				}
				pause.reset()
				w.came()
				b.cut(n, fd)
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

// waiting decides what a loop does when there is nothing to receive: try again, or sleep until the poller wakes it.
//
// The runtime looks at the poller when a processor has nothing else to run, or every 10 ms. So while others have work (misses), a loop that sleeps
// is woken late: it yields instead, as long as that shows that somebody else ran, which costs a system call each time. And it may be told to spin for a while, so
// that the next query finds it awake: an idle processor takes some 30 us to wake up.
type waiting struct {
	spin   time.Duration // how long to spin; 0: not at all
	began  time.Time     // when this wait began; zero: none is under way
	slept  time.Time     // when the loop went to sleep
	useful bool          // the last sleep was so short that spinning would have spared it
	tries  int
}

const (
	// othersRan is how long a yield takes if somebody else ran meanwhile; by itself it takes 0.2 us.
	othersRan = 2 * time.Microsecond
	// spinYield is after how many tries a spinning loop lets others run.
	spinYield = 8
)

// again is called when nothing was there; it tells whether to try once more.
func (w *waiting) again() bool {
	now := time.Now()
	if w.began.IsZero() {
		w.began = now
	}
	spinning := w.spin > 0 && w.useful && now.Sub(w.began) < w.spin
	if w.tries++; spinning && w.tries%spinYield != 0 {
		return true
	}
	runtime.Gosched()
	if after := time.Now(); spinning || after.Sub(now) > othersRan {
		return true
	}
	w.slept = now
	return false
}

// came is called when something was received.
func (w *waiting) came() {
	if !w.began.IsZero() {
		w.useful = true // it came while we were awake
		w.began, w.tries = time.Time{}, 0
	}
}

// woken is called after sleep.
func (w *waiting) woken() {
	if w.spin == 0 || w.slept.IsZero() {
		w.began, w.tries = time.Time{}, 0
		return
	}
	// Only while queries keep coming: where the next one was longer away than the spin lasts, it was in vain.
	w.useful = time.Since(w.slept) < w.spin
	w.slept, w.began, w.tries = time.Time{}, time.Time{}, 0
}
