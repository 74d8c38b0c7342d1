package listen

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

const (
	// outBuffer is borrowed while a connection answers at once: some hundred answers, written together.
	outBuffer = 16 << 10
	// roomyAnswer is the room that an answer should find in it; with less the buffer is written first.
	roomyAnswer = 2 << 10
	// lingerTime is how long a connection that we end is read on after the last answer, because closing it with octets unread
	// would reset it, and a reset may overtake the answer.
	lingerTime = 200 * time.Millisecond
	lingerMost = 128 << 10 // octets read meanwhile: two of the largest messages
)

// longAgo is a deadline that has passed: it wakes whoever reads.
var longAgo = time.Unix(1, 0)

// conn is one TCP connection (RFC 7766). Its goroutine reads queries and writes what is answered at once. Answers that come
// later are queued, and written by a goroutine that lives as long as the queue is not empty. Only one of the two writes at a
// time; whoever sets writing.
//
// An example: a client sends the queries 1, 2, 3 in one segment, then ends its side. 1 and 3 are in the cache: they are
// written together as soon as there is nothing more to read. The reader learns of the end and waits, because 2 is pending.
// 2 is answered: its answer is queued, a writer starts, writes it and ends; the reader finds nothing pending and closes.
//
// A hard one: a client sends thousands of queries and reads nothing. The kernel's buffer fills, so the write blocks, be it the
// reader's own or the writer's; in the second case answers queue up until the reader stops for that ([Limits.Queue]) or for
// what is pending ([Limits.Pipeline]). Either way no more is read, and when the write has taken [Limits.WriteTime] the
// connection is closed. No goroutine of the handler was held up.
type conn struct {
	s             *Server
	nc            net.Conn
	client, local netip.AddrPort

	// Of the reader alone.
	in     frames
	buf    *[outBuffer]byte // borrowed; nil: none
	out    []byte           // frames that are not yet written, in buf unless it was too small
	ticket *ticket          // at hand, not used
	began  time.Time        // when the first octet of a message that is not whole was seen

	mu       sync.Mutex
	changed  sync.Cond // pending fell, the queue was written, or the connection was closed
	pending  int       // queries that are with the handler
	queue    []byte    // frames that wait for the writer
	queued   int       // octets in queue and in what the writer is writing from it
	writing  bool
	partial  time.Time // as began, zero: between messages
	since    time.Time // the last moment with a query or answer
	draining bool      // nothing more is to be read
	closed   bool
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, client: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()), since: time.Now()}
	c.changed.L = &c.mu
	return c
}

// addrPort returns the zero AddrPort for what is not a TCP address.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func (c *conn) serve() {
	c.finish(c.read())
	c.s.conns.remove(c)
}

// read serves queries until there are no more, and says why.
func (c *conn) read() reason {
	for {
		for {
			message, ok, err := c.in.next()
			if err != nil {
				return byShort
			}
			if !ok {
				break
			}
			c.began = time.Time{}
			if !c.enter() {
				return byReset // closed already, and counted
			}
			c.handle(message)
		}
		c.flush()
		if why, ok := c.fill(); !ok {
			return why
		}
	}
}

// enter waits until one more query may be pending; false: the connection is closed.
func (c *conn) enter() bool {
	full := func() bool {
		return !c.closed && (c.pending >= c.s.limits.Pipeline || c.queued > c.s.limits.Queue/16)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if full() {
		c.s.metrics.limitPipeline.Inc()
		c.mu.Unlock()
		c.flush() // what has its answer must not wait for what has none
		c.mu.Lock()
		for full() {
			c.changed.Wait()
		}
	}
	c.pending++
	return !c.closed
}

// handle serves one query, which counts as pending.
func (c *conn) handle(message []byte) {
	m := c.s.metrics
	m.tcp.received.Inc()
	m.tcp.receivedBytes.Add(uint64(len(message)))
	if c.buf == nil {
		c.buf = c.s.buffers.Get().(*[outBuffer]byte)
		c.out = c.buf[:0]
	}
	if c.ticket == nil {
		c.ticket = c.s.tickets.get(c)
	}
	at := len(c.out) + lengthLen
	room := c.out[at:at:cap(c.out)]
	reply := c.ticket.reply()
	answer, ok := c.s.call(Packet{message, c.client, c.local, TCP, c.s.conns.idle(), nil}, room, reply)
	if answer == nil && ok && c.ticket != nil {
		c.ticket = nil // it is the handler's, and answer will be told
		return
	}
	if c.ticket != nil && !c.ticket.claim(reply.gen) {
		c.ticket = nil
		if ok {
			m.replyMisused.Inc() // both returned and written
		}
		return
	}

	c.mu.Lock()
	c.pending--
	c.mu.Unlock()
	switch {
	case !ok:
		m.dropTCPPanic.Inc()
	case len(answer) == 0: // without a ticket nothing tells "later" from "dropped"
		m.dropTCPHandler.Inc()
	case len(answer) > dns.MaxMessageLen:
		m.dropTCPLong.Inc()
	default:
		m.tcp.sent.Inc()
		m.tcp.sentBytes.Add(uint64(len(answer)))
		c.out = binary.BigEndian.AppendUint16(c.out, uint16(len(answer)))
		if cap(room) >= len(answer) && &answer[0] == &room[:1][0] {
			c.out = c.out[:at+len(answer)]
		} else {
			c.out = append(c.out, answer...)
		}
		if outBuffer-len(c.out) < roomyAnswer {
			c.flush()
		}
	}
}

// fill reads more octets; if there are no more, it says why.
func (c *conn) fill() (why reason, ok bool) {
	c.giveBack()
	now := time.Now()
	if !c.in.partial() {
		c.began = time.Time{}
	} else if c.began.IsZero() {
		c.began = now
	}
	c.mu.Lock()
	c.partial = c.began
	if c.partial.IsZero() { // octets that make no message do not count as a sign of life
		c.since = now
	}
	c.arm()
	c.mu.Unlock()
	for {
		n, err := c.nc.Read(c.in.space())
		c.in.wrote(n)
		switch {
		case n > 0:
			return 0, true
		case errors.Is(err, io.EOF):
			return byClient, false
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return byReset, false
		}
		if why, late := c.late(); late {
			return why, false
		}
	}
}

// giveBack returns what a connection that waits for its client does not need.
func (c *conn) giveBack() {
	if c.buf != nil {
		c.s.buffers.Put(c.buf)
		c.buf, c.out = nil, nil
	}
	if c.ticket != nil {
		c.s.tickets.put(c.ticket)
		c.ticket = nil
	}
}

// late tells, when reading has timed out, for which reason. There may be none by now: the deadline was for a state that has
// changed in the same moment.
func (c *conn) late() (reason, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.draining:
		return byShutdown, true
	case !c.partial.IsZero():
		c.s.metrics.limitMessage.Inc()
		return bySlowness, true
	case !c.busy() && time.Since(c.since) >= c.s.conns.idle():
		return byIdle, true
	}
	c.arm()
	return 0, false
}

// busy tells whether the client is owed something. The caller holds mu.
func (c *conn) busy() bool { return c.pending > 0 || c.writing || len(c.queue) > 0 }

// arm sets the deadline of reading by the state of the connection. The caller holds mu.
func (c *conn) arm() {
	var deadline time.Time
	switch {
	case c.draining:
		deadline = longAgo
	case !c.partial.IsZero():
		deadline = c.partial.Add(c.s.limits.MessageTime)
	case !c.busy():
		deadline = c.since.Add(c.s.conns.idle())
	}
	c.nc.SetReadDeadline(deadline)
}

// settle is called when the client is owed less than before. The caller holds mu.
func (c *conn) settle() {
	if !c.busy() && !c.closed {
		c.since = time.Now()
		c.arm()
	}
	c.changed.Broadcast()
}

// answer queues an answer that comes late; see [answerer].
func (c *conn) answer(_ *ticket, message []byte) {
	m := c.s.metrics
	why, start := reasons, false
	c.mu.Lock()
	c.pending--
	switch {
	case len(message) == 0:
		m.dropTCPHandler.Inc()
	case c.closed:
		m.dropTCPGone.Inc()
	case len(message) > dns.MaxMessageLen:
		m.dropTCPLong.Inc()
	case !c.reserve(lengthLen + len(message)):
		m.dropTCPGone.Inc()
		why = byQueue
	default:
		m.tcp.sent.Inc()
		m.tcp.sentBytes.Add(uint64(len(message)))
		c.queue = appendFrame(c.queue, message)
		start, c.writing = !c.writing, true
	}
	c.settle()
	if start {
		// The reader waits until the writer has ended, so the group is not empty now.
		c.s.loops.Go(c.writeQueue)
	}
	c.mu.Unlock()
	if why != reasons {
		c.close(why)
	}
}

// reserve takes room in the queue for n octets, if there is. The caller holds mu.
func (c *conn) reserve(n int) bool {
	if c.queued+n > c.s.limits.Queue {
		c.s.metrics.limitQueue.Inc()
		return false
	}
	if c.s.queued.Add(int64(n)) > int64(c.s.limits.QueueAll) {
		c.s.queued.Add(int64(-n))
		c.s.metrics.limitQueueAll.Inc()
		return false
	}
	c.queued += n
	return true
}

// release gives back what reserve took. The caller holds mu.
func (c *conn) release(n int) {
	c.queued -= n
	c.s.queued.Add(int64(-n))
}

// flush writes what was answered at once, or leaves it to the writer if there is one.
func (c *conn) flush() {
	if len(c.out) == 0 {
		return
	}
	c.mu.Lock()
	switch {
	case c.closed:
		c.mu.Unlock()
	case !c.writing:
		c.writing = true
		c.mu.Unlock()
		c.write(c.out)
		c.writeQueue() // what came meanwhile; it also resets writing
	case c.reserve(len(c.out)):
		c.queue = append(c.queue, c.out...)
		c.mu.Unlock()
	default:
		c.mu.Unlock()
		c.close(byQueue)
	}
	c.out = c.buf[:0]
}

// writeQueue writes until the queue is empty. The caller has set writing.
func (c *conn) writeQueue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		b := c.queue
		c.queue = nil
		c.mu.Unlock()
		c.write(b)
		c.mu.Lock()
		c.release(len(b))
	}
	c.writing = false
	c.settle()
}

// write writes to the client, or closes the connection.
func (c *conn) write(b []byte) {
	c.nc.SetWriteDeadline(time.Now().Add(c.s.limits.WriteTime))
	_, err := c.nc.Write(b)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.s.metrics.limitWrite.Inc()
		c.close(bySlowness)
	default:
		c.close(byReset)
	}
}

// finish ends the connection after the last answer.
func (c *conn) finish(why reason) {
	c.flush()
	c.giveBack()
	c.mu.Lock()
	linger := c.busy() && why != byClient || why == byShort || why == bySlowness
	for why != byReset && c.busy() && !c.closed {
		c.changed.Wait()
	}
	c.mu.Unlock()
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && linger && why != byReset {
		half.CloseWrite()
		c.nc.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, c.nc, lingerMost)
	}
	c.close(why)
}

// drain ends the connection as soon as the client is owed nothing.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	c.arm()
}

// close closes the connection now. Only the first reason counts.
func (c *conn) close(why reason) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.release(len(c.queue))
	c.queue = nil
	c.changed.Broadcast()
	c.mu.Unlock()
	c.s.metrics.closed[why].Inc()
	c.nc.Close()
}

// idleSince returns since when the connection waits for its client, which may have sent half a message.
func (c *conn) idleSince() (t time.Time, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, !c.busy() && !c.closed
}
