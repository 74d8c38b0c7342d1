package recurse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// TCP towards name servers (RFC 7766): connections are kept for a while and carry several questions at once.

const (
	tcpIdle       = 5 * time.Second // how long a connection is kept without a question
	tcpReply      = 3 * time.Second // from question to the last octet of the reply: a slow drip ends here
	tcpPipelined  = 50              // questions in flight on one connection; more open another
	tcpQuestions  = 1000            // questions of one connection before a new one is made
	tcpPerServer  = 10              // connections to one server
	tcpWriteLimit = time.Second
)

// tcpPool holds the open connections.
type tcpPool struct {
	r     *Resolver
	limit int // connections in all

	mu     sync.Mutex
	conns  map[netip.AddrPort][]*tcpConn
	count  int
	closed bool
	wg     *sync.WaitGroup
}

// tcpConn is one connection. Its reader owns the reading side; questions are written under mu.
type tcpConn struct {
	pool   *tcpPool
	server netip.AddrPort
	conn   net.Conn

	mu      sync.Mutex
	waiting map[uint16]*pending
	sent    int
	dead    bool
	idle    *time.Timer
}

func newTCPPool(r *Resolver, limit int, wg *sync.WaitGroup) *tcpPool {
	return &tcpPool{r: r, limit: limit, conns: make(map[netip.AddrPort][]*tcpConn), wg: wg}
}

var (
	errTCPLimit = errors.New("as many TCP connections to name servers are open as recursion.limits.tcp_connections allows")
	errTCPLost  = errors.New("the connection ended before the reply")
	errNoAnswer = errors.New("no reply in time")
)

// ask sends one question over TCP and waits for the reply, until ctx or tcpReply ends. The id of msg is chosen anew for the connection. A
// connection that was kept and turns out to be dead is replaced once.
func (t *tcpPool) ask(ctx context.Context, server netip.AddrPort, msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tcpReply)
	defer cancel()
	for try := 0; ; try++ {
		c, kept, err := t.connection(ctx, server)
		if err != nil {
			return nil, err
		}
		b, err := c.exchange(ctx, msg)
		if err != nil && kept && try == 0 && ctx.Err() == nil {
			continue
		}
		return b, err
	}
}

// connection returns an open connection with room, or a new one.
func (t *tcpPool) connection(ctx context.Context, server netip.AddrPort) (_ *tcpConn, kept bool, _ error) {
	t.mu.Lock()
	for _, c := range t.conns[server] {
		if c.hasRoom() {
			t.mu.Unlock()
			return c, true, nil
		}
	}
	switch {
	case t.closed:
		t.mu.Unlock()
		return nil, false, errClosed
	case len(t.conns[server]) >= tcpPerServer || t.count >= t.limit && !t.closeIdleOne():
		t.mu.Unlock()
		t.r.m.limits.With("tcp_connections").Inc()
		return nil, false, errTCPLimit
	}
	t.count++
	t.wg.Add(1)
	t.mu.Unlock()
	open := false
	defer func() {
		if !open {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.count--
			t.wg.Done()
		}
	}()

	nc, err := t.r.network.DialTCP(ctx, server)
	if err != nil {
		return nil, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false, errors.Join(errClosed, nc.Close())
	}
	open = true
	c := &tcpConn{pool: t, server: server, conn: nc, waiting: make(map[uint16]*pending)}
	c.idle = time.AfterFunc(tcpIdle, c.closeIdle)
	t.conns[server] = append(t.conns[server], c)
	t.r.m.tcpConnections.Inc()
	go c.read()
	return c, false, nil
}

func (c *tcpConn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dead && len(c.waiting) < tcpPipelined && c.sent < tcpQuestions
}

// exchange sends msg with an id of its own on this connection and waits for the reply.
func (c *tcpConn) exchange(ctx context.Context, msg []byte) ([]byte, error) {
	to := make(chan *received, 1)
	id, err := c.write(ctx, msg, to)
	if err != nil {
		return nil, err
	}
	select {
	case got := <-to:
		return got.msg, got.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
		// A server that lets a question wait this long may do so with all of them: the others on it keep their own time, new ones
		// get a fresh connection.
		c.retire()
		return nil, fmt.Errorf("asking %v over TCP: %w", c.server, errNoAnswer)
	}
}

func (c *tcpConn) write(ctx context.Context, msg []byte, to chan<- *received) (uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, errTCPLost
	}
	id := uint16(c.pool.r.random())
	for c.waiting[id] != nil {
		id++
	}
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg)))
	framed = append(framed, msg...)
	binary.BigEndian.PutUint16(framed[2:], id)
	deadline := time.Now().Add(tcpWriteLimit)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return 0, fmt.Errorf("setting a deadline for %v: %w", c.server, err)
	}
	p := &pending{server: c.server, id: id, wire: questionSection(msg), to: to}
	c.waiting[id] = p
	c.sent++
	if _, err := c.conn.Write(framed); err != nil {
		delete(c.waiting, id)
		return 0, fmt.Errorf("writing to %v: %w", c.server, err)
	}
	c.idle.Reset(tcpIdle + tcpReply)
	return id, nil
}

// questionSection returns the octets of the question of a query that we wrote ourselves.
func questionSection(msg []byte) []byte {
	at := dns.HeaderLen
	for msg[at] != 0 {
		at += 1 + int(msg[at])
	}
	return msg[dns.HeaderLen : at+5]
}

// read takes replies off the connection until it ends. A panic costs the questions that wait on it.
func (c *tcpConn) read() {
	defer c.pool.wg.Done()
	defer c.pool.r.recovered("reading replies over TCP", nil, func(f *failure) { c.end(f) })
	var head [2]byte
	for {
		if _, err := io.ReadFull(c.conn, head[:]); err != nil {
			c.end(errTCPLost)
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(c.conn, msg); err != nil {
			c.end(errTCPLost)
			return
		}
		if !c.deliver(msg) {
			c.end(errors.New("the server sent a reply over TCP to no question that was asked"))
			return
		}
	}
}

// deliver hands a reply to whoever asked. Over TCP the question's case does not matter: whoever could write here, could write it right.
func (c *tcpConn) deliver(msg []byte) bool {
	h, err := dns.ParseHeader(msg)
	if err != nil || h.Flags&dns.FlagQR == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.waiting[h.ID]
	if p == nil {
		return true // given up before
	}
	if h.QDCount > 0 && (len(msg) < dns.HeaderLen+len(p.wire) ||
		!bytes.EqualFold(msg[dns.HeaderLen:dns.HeaderLen+len(p.wire)], p.wire)) {
		return false
	}
	delete(c.waiting, h.ID)
	p.to <- &received{msg: msg, at: c.pool.r.clock.Boot()}
	if len(c.waiting) == 0 {
		c.idle.Reset(tcpIdle)
		if c.dead || c.sent >= tcpQuestions {
			_ = c.conn.Close() // retired, and the last reply is in
		}
	}
	return true
}

// retire takes the connection out of the pool; it is closed when nobody waits on it any more.
func (c *tcpConn) retire() {
	c.pool.remove(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	if len(c.waiting) == 0 {
		_ = c.conn.Close()
	}
}

func (c *tcpConn) closeIdle() {
	c.pool.remove(c)
	_ = c.conn.Close() // its reader tells whoever still waits
}

// end is the reader's last act.
func (c *tcpConn) end(err error) {
	c.pool.remove(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	c.idle.Stop()
	_ = c.conn.Close()
	for _, p := range c.waiting {
		p.to <- &received{err: fmt.Errorf("asking %v over TCP: %w", c.server, err)}
	}
	clear(c.waiting)
}

// closeIdleOne makes room for a connection by closing one on which nobody waits. The caller holds the lock.
func (t *tcpPool) closeIdleOne() bool {
	for _, list := range t.conns { // in random order
		for _, c := range list {
			c.mu.Lock()
			idle := len(c.waiting) == 0 && c.sent > 0 // one that was just made is about to be used
			if idle {
				c.dead = true
				_ = c.conn.Close()
			}
			c.mu.Unlock()
			if idle {
				t.removeLocked(c)
				return true
			}
		}
	}
	return false
}

func (t *tcpPool) remove(c *tcpConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(c)
}

func (t *tcpPool) removeLocked(c *tcpConn) {
	list := t.conns[c.server]
	for i := range list {
		if list[i] == c {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			t.count--
			break
		}
	}
	if len(list) == 0 {
		delete(t.conns, c.server)
		return
	}
	t.conns[c.server] = list
}

func (t *tcpPool) close() {
	t.mu.Lock()
	t.closed = true
	var all []*tcpConn
	for _, l := range t.conns {
		all = append(all, l...)
	}
	t.mu.Unlock()
	for _, c := range all {
		_ = c.conn.Close()
	}
}
