package recurse

import "golang.org/x/sys/unix"

// pathMTUOff keeps the kernel from believing ICMP about the path's MTU. An error is of no matter: the questions are small.
func pathMTUOff(fd int, v6 bool) {
	if v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
}
