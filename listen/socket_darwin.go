package listen

import "golang.org/x/sys/unix"

// neverFragment sets DF (RFC 9715 section 3.1); what is longer than the path takes is refused with EMSGSIZE.
func (u *udpSocket) neverFragment() {
	raw, err := u.pc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		level, option := unix.IPPROTO_IP, unix.IP_DONTFRAG
		if u.v6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG
		}
		if err := unix.SetsockoptInt(int(fd), level, option, 1); err != nil {
			u.s.log.Warn("switching fragmentation off", "address", u.addr, "error", err)
		}
	})
}
