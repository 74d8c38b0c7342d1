package listen

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// readBatches serves the socket with recvmmsg and sendmmsg, called on the bare descriptor: net.UDPConn and ipv4.ReadBatch cost
// about 1.5 us more for each query. The runtime's poller is used only to wait.
func (u *udpSocket) readBatches() error {
	raw, err := u.pc.SyscallConn()
	if err != nil {
		return err
	}
	b := newBatch(u, raw)
	defer b.close()
	wait := waiting{spin: u.s.spin, spinners: &u.s.spinners}
	defer wait.stopSpinning()
	setDeadline := u.pc.SetReadDeadline // of the poller
	var pause backoff
	for {
		var failed syscall.Errno
		parked := true
		err := raw.Read(func(fd uintptr) (done bool) {
			for !u.s.stopping() {
				n, errno := b.receive(fd)
				switch errno {
				case 0:
					pause.reset()
					packets, singly := b.serve(n, fd)
					wait.received(packets, singly, parked)
					parked = false
					// One packet alone: the next is not expected right now. Fewer than asked for means that the kernel found the
					// queue empty, and whatever has come since wakes us.
					if packets > 1 {
						continue
					}
				case unix.EAGAIN:
				case unix.EINTR:
					continue
				default:
					failed = errno
					return true
				}
				if !wait.again() {
					wait.park(setDeadline)
					parked = true
					return false
				}
			}
			return true
		})
		if errors.Is(err, os.ErrDeadlineExceeded) && !u.s.stopping() {
			wait.expired(setDeadline)
			if !u.s.stopping() { // or the deadline was that of Shutdown
				continue
			}
		}
		switch {
		case u.s.stopping(), errors.Is(err, net.ErrClosed):
			return nil
		case failed == unix.ENOSYS:
			return errors.ErrUnsupported
		case failed != 0:
			err = failed
		}
		if err != nil && !u.receiveFailed(err, &pause) {
			return nil
		}
	}
}
