package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// SocketConfig says how [Lab.ServeSockets] listens.
type SocketConfig struct {
	Port    uint16 // of all servers; 0: 53
	Workers int    // UDP sockets, and goroutines that read them, of each family; 0: 1
	Ready   func() // called when all sockets are open; nil: nothing
}

// NamespaceCommands are the commands that make every address of a network namespace one of its own, so that one wildcard socket gets the
// questions to all servers ("AnyIP"). Programs in the namespace send from 192.0.2.53 and 2001:db8:53::53. It takes root, and a namespace
// of its own: run there, it cuts everything else off.
func NamespaceCommands() [][]string {
	return [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "address", "add", "192.0.2.53/32", "dev", "lo"},
		{"ip", "address", "add", "2001:db8:53::53/128", "dev", "lo", "nodad"}, // else it is not ready for the route below
		{"ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "src", "192.0.2.53"},
		{"ip", "-6", "route", "add", "local", "::/0", "dev", "lo", "src", "2001:db8:53::53"},
	}
}

const (
	maxConnections = 4096             // TCP, of all clients; further ones are reset
	tcpWriteLimit  = 10 * time.Second // for a client that does not read
)

// ServeSockets carries questions through the sockets of a network namespace (see [NamespaceCommands]) until the context ends, which is no
// error. Sockets are opened in the calling thread's namespace before it does anything else. Times of the world file count from the call.
//
// Two things differ from the memory carrier, because a kernel does them: a TCP connection that is to be refused is accepted and
// reset, and one that is to be met with silence is accepted and never read; the time of the handshake is added to the first reply.
func (l *Lab) ServeSockets(ctx context.Context, cfg SocketConfig) error {
	if cfg.Port == 0 {
		cfg.Port = port
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 1
	}
	s := &sockets{carrier: newCarrier(l), slots: make(chan struct{}, maxConnections), conns: map[net.Conn]struct{}{}}
	for _, v6 := range []bool{false, true} {
		if err := s.open(ctx, v6, cfg); err != nil {
			s.close()
			return err
		}
	}
	for _, u := range s.udp {
		s.work.Go(func() { s.readUDP(u) })
	}
	for _, t := range s.tcp {
		s.work.Go(func() { s.accept(t) })
	}
	if cfg.Ready != nil {
		cfg.Ready()
	}
	<-ctx.Done()
	s.close()
	s.work.Wait()
	return nil
}

// sockets is the carrier on sockets.
type sockets struct {
	carrier *carrier
	udp     []udpServer
	tcp     []net.Listener
	work    sync.WaitGroup
	slots   chan struct{}

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// udpServer is one wildcard socket.
type udpServer struct {
	*net.UDPConn
	v6 bool
}

func (s *sockets) open(ctx context.Context, v6 bool, cfg SocketConfig) error {
	family, host := "4", "0.0.0.0"
	if v6 {
		family, host = "6", "::"
	}
	addr := net.JoinHostPort(host, fmt.Sprint(cfg.Port))
	udp := net.ListenConfig{Control: controlUDP(v6)}
	for range cfg.Workers {
		c, err := udp.ListenPacket(ctx, "udp"+family, addr)
		if err != nil {
			return fmt.Errorf("listening on UDP %s: %w", addr, err)
		}
		s.udp = append(s.udp, udpServer{c.(*net.UDPConn), v6})
	}
	var tcp net.ListenConfig
	t, err := tcp.Listen(ctx, "tcp"+family, addr)
	if err != nil {
		return fmt.Errorf("listening on TCP %s: %w", addr, err)
	}
	s.tcp = append(s.tcp, t)
	return nil
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, u := range s.udp {
		_ = u.Close() // it has nothing to flush
	}
	for _, t := range s.tcp {
		_ = t.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
}

// readUDP takes questions in until the socket is closed.
func (s *sockets) readUDP(u udpServer) {
	buf, oob := make([]byte, 4096), make([]byte, 128)
	for {
		n, oobn, _, client, err := u.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error that an earlier reply set off
		}
		server, ok := destination(oob[:oobn])
		if !ok {
			continue
		}
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		x := s.carrier.arrive(client, netip.AddrPortFrom(server, port), false, append([]byte(nil), buf[:n]...))
		if x == nil {
			continue
		}
		x.later(func(p packet) {
			// Replies to clients that have gone away are lost, as on any network.
			_, _, _ = u.WriteMsgUDPAddrPort(p.data, source(p.from.Addr()), client)
		})
	}
}

func (s *sockets) accept(t net.Listener) {
	for {
		c, err := t.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: some will be free again
			continue
		}
		select {
		case s.slots <- struct{}{}:
		default:
			reset(c)
			continue
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = c.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.work.Go(func() {
			s.serveTCP(c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			_ = c.Close()
			<-s.slots
		})
	}
}

// reset closes a connection so that the client sees it refused.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// serveTCP is the server's end of one connection.
func (s *sockets) serveTCP(c net.Conn) {
	client, server := addrPort(c.RemoteAddr()), netip.AddrPortFrom(addrPort(c.LocalAddr()).Addr(), port)
	handshake, what := s.carrier.dial(server)
	switch what {
	case refuses:
		reset(c)
		return
	case silent:
		_ = c.SetReadDeadline(time.Now().Add(connectLimit))
		_, _ = io.Copy(io.Discard, c) // until the client gives up
		return
	}
	out := &streamWriter{conn: c}
	var length [2]byte
	for {
		_ = c.SetReadDeadline(time.Now().Add(tcpIdle + handshake))
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, msg); err != nil {
			return
		}
		if x := s.carrier.arrive(client, server, true, msg); x != nil {
			x.wait += handshake
			x.later(func(p packet) { out.tell(x, p) })
		}
		handshake = 0
	}
}

// streamWriter writes replies to a connection, one after the other.
type streamWriter struct {
	mu   sync.Mutex
	conn net.Conn
}

func (w *streamWriter) tell(x *exchange, p packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.hang {
		_ = w.conn.Close()
		return
	}
	frame := append(binary.BigEndian.AppendUint16(nil, uint16(len(p.data))), p.data...)
	step := len(frame)
	if x.drip > 0 {
		step = 1
	}
	for len(frame) > 0 {
		_ = w.conn.SetWriteDeadline(time.Now().Add(tcpWriteLimit))
		if x.drip > 0 {
			_ = w.conn.SetReadDeadline(time.Now().Add(tcpIdle + x.drip))
			time.Sleep(x.drip)
		}
		if _, err := w.conn.Write(frame[:step]); err != nil {
			return
		}
		frame = frame[step:]
	}
	if p.end {
		_ = w.conn.Close()
	}
}
