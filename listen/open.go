package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
)

// Open binds every address of cfg over UDP and TCP, or none. An error is a [*BindError] unless the configuration itself is
// wrong. Packets that arrive before Serve wait in the kernel.
func Open(cfg Config) (_ *Server, err error) {
	given, err := inheritedSockets(cfg.Inherited)
	if err != nil {
		return nil, err
	}
	defer given.close()
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.closeSockets()
		}
	}()
	addrs, err := checkAddrs(cfg.DNS)
	if err != nil {
		return nil, err
	}
	loops := cfg.Loops
	if loops == 0 {
		loops = min(runtime.GOMAXPROCS(0), loopsMost)
	}
	if loops < 0 || loops > loopsMost {
		return nil, fmt.Errorf("listening: the number of loops is %d, it must be 0 to %d", cfg.Loops, loopsMost)
	}
	if cfg.Spin < 0 || cfg.Spin > spinMost {
		return nil, fmt.Errorf("listening: the time to spin is %v, it must be 0 to %v", cfg.Spin, spinMost)
	}
	for _, addr := range addrs {
		handedOver, family := given.has(addr, UDP), familyOf(addr, addrs)
		pc, l, err := bind(addr, family, &given)
		if err != nil {
			return nil, err
		}
		s.tcp = append(s.tcp, l)
		first := newUDPSocket(s, pc)
		s.udp = append(s.udp, first)
		addr = netip.AddrPortFrom(addr.Addr(), first.addr.Port())
		s.addrs = append(s.addrs, addr)
		if !handedOver {
			if err := s.share(first, addr, family, loops); err != nil {
				return nil, bindError(addr, UDP, err)
			}
		}
	}
	for _, u := range s.udp {
		if err := u.configure(); err != nil {
			return nil, fmt.Errorf("listening on %q over UDP: setting socket options: %w", u.addr, err)
		}
	}
	for _, left := range given.sockets {
		s.log.Warn("a socket that was handed over is bound to no address of the configuration, closing it", "socket", left)
	}
	return s, nil
}

// Free tells whether Open could bind all addresses of cfg now, with the error that it would return, and leaves them to others. A node asks before it touches what belongs to one that runs, and binds when it can
// answer. Sockets that were handed over are held by whoever does that, and not looked at.
func Free(cfg Config) error {
	addrs, err := checkAddrs(cfg.DNS)
	if err != nil || len(cfg.Inherited) > 0 {
		return err
	}
	for _, addr := range addrs {
		pc, l, err := bind(addr, familyOf(addr, addrs), new(inherited))
		if err != nil {
			return err
		}
		pc.Close()
		l.Close()
	}
	return nil
}

// checkAddrs returns the addresses in one form each, or why they cannot all be served: this process would be in its own way.
func checkAddrs(given []netip.AddrPort) (all []netip.AddrPort, err error) {
	if len(given) == 0 {
		return nil, errors.New("listening: no address is given")
	}
	for i, addr := range given {
		if !addr.IsValid() {
			return nil, fmt.Errorf("listening: address number %d is empty", i+1)
		}
		addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
		all = append(all, addr)
		if addr.Port() == 0 {
			continue
		}
		for _, b := range all[:i] {
			switch {
			case b == addr:
				return nil, fmt.Errorf("listening: address %q is given twice", addr)
			case covers(b, addr):
				return nil, fmt.Errorf("listening: address %q is part of %q", addr, b)
			case covers(addr, b):
				return nil, fmt.Errorf("listening: address %q is part of %q", b, addr)
			}
		}
	}
	return all, nil
}

// covers tells whether a is all addresses of b's family.
func covers(a, b netip.AddrPort) bool {
	return a.Addr().IsUnspecified() && a.Port() == b.Port() && a.Addr().Is4() == b.Addr().Is4()
}

// familyOf returns the suffix of Go's network names. A [::] without IPv4 beside it takes both families.
func familyOf(addr netip.AddrPort, all []netip.AddrPort) string {
	switch {
	case addr.Addr().Is4():
		return "4"
	case addr.Addr().IsUnspecified() && !slices.ContainsFunc(all, func(b netip.AddrPort) bool { return b.Addr().Is4() && b.Port() == addr.Port() }):
		return ""
	}
	return "6"
}

// portAttempts is how many free TCP ports are tried until the same one is free over UDP, too. One fails with the share of
// UDP ports in use: if half of them are, all 16 fail once in 65,536 starts.
const portAttempts = 16

// bind returns the two sockets of one address.
func bind(addr netip.AddrPort, family string, given *inherited) (*net.UDPConn, net.Listener, error) {
	for attempt := 1; ; attempt++ {
		l, err := bindTCP(addr, family, given)
		if err != nil {
			return nil, nil, bindError(addr, TCP, err)
		}
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		pc, err := bindUDP(netip.AddrPortFrom(addr.Addr(), port), family, given)
		if err == nil {
			return pc, l, nil
		}
		l.Close()
		if addr.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) || attempt == portAttempts {
			return nil, nil, bindError(addr, UDP, err)
		}
	}
}

// TCP sockets, and the first UDP socket of an address, are bound without SO_REUSEPORT (Go sets SO_REUSEADDR on listening TCP sockets only, where it does not
// let two of them share a port). So it fails if anyone else is bound, even with SO_REUSEPORT. Only then it gets that option, and others are bound beside it:
// the kernel makes a group of them, and a second node fails at its own first socket. The option has to stay set, because the kernel looks at it when it
// spreads packets. So another process of the same user could join if it asked for that, which a node never does.

// share binds more sockets beside the first of an address, until it has as many as loops. It is how the work is spread over processors.
func (s *Server) share(first *udpSocket, addr netip.AddrPort, family string, loops int) error {
	if loops == 1 || !canShare {
		return nil
	}
	raw, err := first.pc.SyscallConn()
	if err == nil {
		err = reusePort(raw)
	}
	if err != nil {
		s.log.Warn("an address cannot have several sockets, so one processor serves all its UDP clients", "address", addr, "error", err)
		return nil
	}
	cfg := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return reusePort(raw) }}
	for range loops - 1 {
		pc, err := cfg.ListenPacket(context.Background(), "udp"+family, addr.String())
		if err != nil {
			return err
		}
		s.udp = append(s.udp, newUDPSocket(s, pc.(*net.UDPConn)))
	}
	return nil
}

func bindTCP(addr netip.AddrPort, family string, given *inherited) (net.Listener, error) {
	if l := given.take(addr, TCP); l != nil {
		return l.(net.Listener), nil
	}
	// Connections without queries are closed soon, so probes of the kernel would only cost. Multipath TCP is for clients
	// that stay.
	cfg := net.ListenConfig{KeepAlive: -1}
	cfg.SetMultipathTCP(false)
	return cfg.Listen(context.Background(), "tcp"+family, addr.String())
}

func bindUDP(addr netip.AddrPort, family string, given *inherited) (*net.UDPConn, error) {
	if pc := given.take(addr, UDP); pc != nil {
		return pc.(*net.UDPConn), nil
	}
	return net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(addr))
}

// BindError is why an address cannot be served.
type BindError struct {
	Addr      netip.AddrPort
	Transport Transport
	Cause     string // in words
	Mend      string // what to do; may be empty
	Err       error  // from the system
}

func (e *BindError) Error() string {
	return fmt.Sprintf("listening on %q over %v: %s", e.Addr, e.Transport, e.Cause)
}

// Hint says what to do; it may be empty.
func (e *BindError) Hint() string { return e.Mend }

// Unwrap returns the error from the system.
func (e *BindError) Unwrap() error { return e.Err }

func bindError(addr netip.AddrPort, t Transport, err error) *BindError {
	e := &BindError{Addr: addr, Transport: t, Cause: err.Error(), Err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Cause = errno.Error()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Cause = "another process holds it"
		e.Mend = whoHolds(addr.Port(), t) + " shows which"
		if addr.Port() == 53 && addr.Addr().IsUnspecified() {
			e.Mend += "; if it is on 127.0.0.53 only (systemd-resolved), listen on this machine's own addresses instead of all"
		}
	case errors.Is(err, syscall.EACCES) && addr.Port() < 1024:
		e.Cause = "ports below 1024 need a privilege"
		e.Mend = mayBindLow()
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Cause = "no interface of this machine has the address " + addr.Addr().String()
		e.Mend = showAddresses() + " shows which there are"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		e.Cause = "this system has no IPv6"
		if addr.Addr().Is4() {
			e.Cause = "this system has no IPv4"
		}
		e.Mend = "listen on addresses of the other family only"
	case errors.Is(err, syscall.EMFILE):
		e.Mend = "raise the limit of open files (ulimit -n, LimitNOFILE= in a systemd unit)"
	}
	return e
}

// whoHolds returns the command that shows which process has a port.
func whoHolds(port uint16, t Transport) string {
	switch {
	case runtime.GOOS == "linux" && t == UDP:
		return fmt.Sprintf("ss -Hlunp 'sport = :%d'", port)
	case runtime.GOOS == "linux":
		return fmt.Sprintf("ss -Hltnp 'sport = :%d'", port)
	case t == UDP:
		return fmt.Sprintf("lsof -nP -iUDP:%d", port)
	}
	return fmt.Sprintf("lsof -nP -iTCP:%d -sTCP:LISTEN", port)
}

// mayBindLow returns how to be allowed to bind a port below 1024.
func mayBindLow() string {
	if runtime.GOOS != "linux" {
		return "run as root, or listen on a port from 1024 on"
	}
	program, err := os.Executable()
	if err != nil {
		program = "ananas"
	}
	return fmt.Sprintf("sudo setcap cap_net_bind_service=+ep %q, or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit, or a port from 1024 on", program)
}

// showAddresses returns the command that lists the addresses of this machine.
func showAddresses() string {
	if runtime.GOOS == "linux" {
		return "ip -brief address"
	}
	return "ifconfig -a"
}
