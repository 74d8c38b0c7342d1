package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// firstFile is the descriptor of the first socket that systemd hands over (sd_listen_fds(3)).
const firstFile = 3

// inheritedMost bounds how many sockets are taken over: as many as the 64 addresses of a large machine need over UDP and TCP.
const inheritedMost = 128

// ActivatedFiles returns the sockets that systemd has bound for this process (socket activation), for [Config.Inherited]:
// none unless LISTEN_PID in the environment is pid. The files are marked so that child processes do not get them; the caller
// should unset LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES for their sake. It may be called once in a process.
func ActivatedFiles(getenv func(string) string, pid int) ([]*os.File, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > inheritedMost {
		return nil, fmt.Errorf("taking over sockets: LISTEN_FDS is %q, not a number up to %d", getenv("LISTEN_FDS"), inheritedMost)
	}
	files := make([]*os.File, n)
	for i := range files {
		syscall.CloseOnExec(firstFile + i)
		files[i] = os.NewFile(uintptr(firstFile+i), "LISTEN_FD_"+strconv.Itoa(firstFile+i))
	}
	return files, nil
}

// inherited are the sockets that were handed over and not yet taken.
type inherited struct{ sockets []inheritedSocket }

type inheritedSocket struct {
	addr      netip.AddrPort
	transport Transport
	socket    io.Closer // net.Listener or *net.UDPConn
}

// String says which socket this is.
func (i inheritedSocket) String() string { return i.addr.String() + "/" + i.transport.String() }

// inheritedSockets makes sockets of files, and closes the files.
func inheritedSockets(files []*os.File) (in inherited, err error) {
	defer func() {
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			in.close()
		}
	}()
	for _, f := range files {
		if l, err := net.FileListener(f); err == nil {
			in.sockets = append(in.sockets, inheritedSocket{addrPort(l.Addr()), TCP, l})
			continue
		}
		pc, err := net.FilePacketConn(f)
		if err != nil {
			return in, fmt.Errorf("taking over socket %q: %w", f.Name(), err)
		}
		u, ok := pc.(*net.UDPConn)
		if !ok {
			pc.Close()
			return in, fmt.Errorf("taking over socket %q: %w", f.Name(), errors.New("it is neither UDP nor TCP"))
		}
		bound := u.LocalAddr().(*net.UDPAddr).AddrPort()
		in.sockets = append(in.sockets, inheritedSocket{netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()), UDP, u})
	}
	return in, nil
}

// has tells whether there is a socket that is bound to addr.
func (in *inherited) has(addr netip.AddrPort, t Transport) bool {
	return slices.ContainsFunc(in.sockets, func(s inheritedSocket) bool { return s.addr == addr && s.transport == t })
}

// take returns the socket that is bound to addr, once; nil if there is none.
func (in *inherited) take(addr netip.AddrPort, t Transport) io.Closer {
	for i, s := range in.sockets {
		if s.addr == addr && s.transport == t {
			in.sockets = append(in.sockets[:i], in.sockets[i+1:]...)
			return s.socket
		}
	}
	return nil
}

func (in *inherited) close() {
	for _, s := range in.sockets {
		s.socket.Close()
	}
	in.sockets = nil
}
