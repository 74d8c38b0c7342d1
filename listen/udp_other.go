//go:build !linux

package listen

import "errors"

// readBatches is for Linux.
func (u *udpSocket) readBatches() error { return errors.ErrUnsupported }

// coalesce is for Linux.
func (*udpSocket) coalesce(bool) bool { return false }
