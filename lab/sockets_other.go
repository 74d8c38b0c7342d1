//go:build !linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// Only Linux has what the carrier on sockets needs: a network namespace in which every address is local.
func controlUDP(bool) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		return fmt.Errorf("serving the lab on sockets: %w", errors.ErrUnsupported)
	}
}

func destination([]byte) (netip.Addr, bool) { return netip.Addr{}, false }

func source(netip.Addr) []byte { return nil }
