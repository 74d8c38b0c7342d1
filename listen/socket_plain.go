//go:build !linux && !darwin

package listen

// neverFragment is left to the size of the answers, which is 1,232 octets at most unless someone asked for more.
func (u *udpSocket) neverFragment() {}
