package lab

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// tcpIdle is how long servers keep a connection on which nothing happens (RFC 7766 section 6.2.3: a few seconds).
const tcpIdle = 10 * time.Second

// maxPipelined bounds the octets of unanswered questions on one connection: 1,000 common ones.
const maxPipelined = 64 << 10

// DialTCP connects to a server; it takes one round trip. It fails with ECONNREFUSED where nothing listens on the port, and with the
// context's error or ETIMEDOUT where nothing answers.
func (n *Network) DialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	wait, what := n.carrier.dial(to)
	if what == silent {
		wait = connectLimit
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			return fail(os.ErrDeadlineExceeded)
		}
		return fail(ctx.Err())
	}
	switch what {
	case silent:
		return fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
	case refuses:
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fail(net.ErrClosed)
	}
	p, _ := n.freePort(func(uint16) bool { return false })
	c := &tcpConn{network: n, local: netip.AddrPortFrom(n.clientAddr(to.Addr().Is6()), p), remote: to,
		ready: make(chan struct{}, 1), closed: make(chan struct{}), read: newDeadline(), write: newDeadline()}
	c.idle = time.AfterFunc(tcpIdle, c.hangUp)
	n.conns[c] = struct{}{}
	return c, nil
}

// tcpConn is the client's end of a connection. The server's end is no goroutine: it is what Write sets off.
type tcpConn struct {
	network       *Network
	local, remote netip.AddrPort
	read, write   *deadline
	ready         chan struct{} // holds a token when there may be something to read
	closed        chan struct{}

	mu     sync.Mutex
	asked  []byte // written by the client, not yet a whole message
	told   []byte // to be read by the client
	held   []byte // to come octet by octet
	drip   time.Duration
	eof    bool // the server has closed
	idle   *time.Timer
	broken bool // closed by the client
}

func (c *tcpConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Read waits for octets of replies.
func (c *tcpConn) Read(b []byte) (int, error) {
	for {
		expired := c.read.expired()
		select {
		case <-c.closed:
			return 0, c.opError("read", net.ErrClosed)
		case <-expired:
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		default:
		}
		c.mu.Lock()
		n := copy(b, c.told)
		c.told = c.told[n:]
		eof := c.eof
		if len(c.told) > 0 || eof {
			c.signal() // for another reader
		}
		c.mu.Unlock()
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if eof {
			return 0, io.EOF
		}
		select {
		case <-c.ready:
		case <-c.closed:
		case <-expired:
		}
	}
}

func (c *tcpConn) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Write sends octets; each message that becomes whole by them is a question.
func (c *tcpConn) Write(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, c.opError("write", net.ErrClosed)
	case <-c.write.expired():
		return 0, c.opError("write", os.ErrDeadlineExceeded)
	default:
	}
	c.mu.Lock()
	if c.eof || len(c.asked)+len(b) > 2+65535+maxPipelined {
		c.mu.Unlock()
		return 0, c.opError("write", os.NewSyscallError("write", syscall.EPIPE))
	}
	c.asked = append(c.asked, b...)
	c.idle.Reset(tcpIdle)
	var whole [][]byte
	for len(c.asked) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(c.asked))
		if len(c.asked) < end {
			break
		}
		whole = append(whole, c.asked[2:end:end])
		c.asked = c.asked[end:]
	}
	c.mu.Unlock()
	for _, msg := range whole {
		if x := c.network.carrier.arrive(c.local, c.remote, true, msg); x != nil {
			x.later(func(p packet) { c.tell(x, p) })
		}
	}
	return len(b), nil
}

// tell is the server writing a reply, or hanging up.
func (c *tcpConn) tell(x *exchange, p packet) {
	if x.hang {
		c.hangUp()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.eof || c.broken {
		return
	}
	c.idle.Reset(tcpIdle)
	c.eof = p.end
	frame := append(binary.BigEndian.AppendUint16(nil, uint16(len(p.data))), p.data...)
	dripping := len(c.held) > 0
	switch {
	case dripping:
		c.held = append(c.held, frame...)
	case x.drip > 0:
		c.held, c.drip = frame, x.drip
		time.AfterFunc(c.drip, c.drop)
	default:
		c.told = append(c.told, frame...)
		c.signal()
	}
}

// drop lets one octet through.
func (c *tcpConn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.eof || c.broken || len(c.held) == 0 {
		return
	}
	c.idle.Reset(tcpIdle)
	c.told = append(c.told, c.held[0])
	c.held = c.held[1:]
	c.signal()
	if len(c.held) > 0 {
		time.AfterFunc(c.drip, c.drop)
	}
}

// hangUp is the server closing the connection.
func (c *tcpConn) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eof = true
	c.signal()
}

// Close is the client closing the connection.
func (c *tcpConn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return c.opError("close", net.ErrClosed)
	}
	c.broken = true
	c.idle.Stop()
	close(c.closed)
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	return nil
}

func (c *tcpConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *tcpConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline bounds reads and writes.
func (c *tcpConn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// SetReadDeadline bounds reads.
func (c *tcpConn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

// SetWriteDeadline bounds writes, which never wait.
func (c *tcpConn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return nil
}
