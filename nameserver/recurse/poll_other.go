//go:build !linux

package recurse

import "errors"

// poller is for Linux; elsewhere each socket has a goroutine that reads.
type poller struct{}

func newPoller(*sockets) *poller { return nil }

func (*poller) open(bool, uint16) (*udpSocket, error) { return nil, errors.ErrUnsupported }

func (*poller) close() {}
