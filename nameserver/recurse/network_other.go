//go:build !linux

package recurse

import "net"

// pathMTUOff has nothing to switch off here.
func pathMTUOff(int, bool) {}

// pooled leaves the socket as it is.
func pooled(u *net.UDPConn) (PacketConn, error) { return u, nil }
