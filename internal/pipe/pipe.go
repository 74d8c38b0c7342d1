// Package pipe is a network of two ends in memory, for tests on fake time: connections with a buffer, as those of a kernel have, that can be delayed, held and
// cut. It has no goroutine and reads the clock of the bubble that it is used in.
package pipe

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Buffer is how many octets a connection takes that nobody has read, each way.
const Buffer = 256 << 10

// Conn is one end. It is a net.Conn.
type Conn struct {
	in, out       *half
	local, remote Addr
	link          *Link
}

// Addr is the name of an end.
type Addr string

// Network is that of a net.Addr.
func (Addr) Network() string { return "pipe" }

func (a Addr) String() string { return string(a) }

// Link is what lies between the two ends.
type Link struct{ there, back half }

// New returns a connection from one end to another.
func New(from, to string) (a, b *Conn, l *Link) {
	l = &Link{}
	l.there.changed, l.back.changed = make(chan struct{}), make(chan struct{})
	return &Conn{&l.back, &l.there, Addr(from), Addr(to), l}, &Conn{&l.there, &l.back, Addr(to), Addr(from), l}, l
}

// Cut ends the connection at once: what is on the way is lost, and both ends hear of it.
func (l *Link) Cut() {
	l.each(func(h *half) { h.broken, h.queue, h.size = true, nil, 0 })
}

// Hold has nothing arrive any more, no word of a close either, until it is let go. Nobody hears of it.
func (l *Link) Hold(held bool) { l.each(func(h *half) { h.held = held }) }

// Delay has what is written from now on arrive after a time.
func (l *Link) Delay(d time.Duration) { l.each(func(h *half) { h.delay = d }) }

func (l *Link) each(do func(*half)) {
	l.there.change(func() { do(&l.there) })
	l.back.change(func() { do(&l.back) })
}

// half is one direction.
type half struct {
	mu      sync.Mutex
	changed chan struct{} // closed when something below has
	queue   []segment
	size    int
	delay   time.Duration
	held    bool
	broken  bool      // the connection was cut
	ended   bool      // who writes has closed
	endsAt  time.Time // when who reads hears of it
	left    bool      // who reads has closed

	readBy, writeBy time.Time // deadlines
}

type segment struct {
	b  []byte
	at time.Time // when it arrives
}

func (h *half) change(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	close(h.changed)
	h.changed = make(chan struct{})
}

// wait calls try, with the lock held, until it is done; it may name a time to try again at.
func (h *half) wait(deadline *time.Time, try func() (done bool, again time.Time)) error {
	for {
		h.mu.Lock()
		now := time.Now()
		if !deadline.IsZero() && !now.Before(*deadline) {
			h.mu.Unlock()
			return os.ErrDeadlineExceeded
		}
		done, again := try()
		if done {
			close(h.changed)
			h.changed = make(chan struct{})
			h.mu.Unlock()
			return nil
		}
		if !deadline.IsZero() && (again.IsZero() || deadline.Before(again)) {
			again = *deadline
		}
		changed := h.changed
		h.mu.Unlock()
		if again.IsZero() {
			<-changed
			continue
		}
		timer := time.NewTimer(again.Sub(now))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Read is that of a net.Conn.
func (c *Conn) Read(b []byte) (n int, err error) {
	h := c.in
	late := h.wait(&h.readBy, func() (bool, time.Time) {
		now := time.Now()
		switch {
		case h.left:
			err = net.ErrClosed
		case h.broken:
			err = syscall.ECONNRESET
		case len(b) == 0:
		case h.held:
			return false, time.Time{}
		case len(h.queue) > 0 && now.Before(h.queue[0].at):
			return false, h.queue[0].at
		case len(h.queue) > 0:
			s := &h.queue[0]
			n = copy(b, s.b)
			h.size -= n
			if s.b = s.b[n:]; len(s.b) == 0 {
				h.queue = h.queue[1:]
			}
		case h.ended && now.Before(h.endsAt):
			return false, h.endsAt
		case h.ended:
			err = io.EOF
		default:
			return false, time.Time{}
		}
		return true, time.Time{}
	})
	if late != nil {
		err = late
	}
	return n, c.wrap("read", err)
}

// Write is that of a net.Conn.
func (c *Conn) Write(b []byte) (n int, err error) {
	h := c.out
	for len(b) > 0 && err == nil {
		late := h.wait(&h.writeBy, func() (bool, time.Time) {
			switch {
			case h.ended:
				err = net.ErrClosed
			case h.broken:
				err = syscall.ECONNRESET
			case h.left && !h.held:
				err = syscall.EPIPE
			case h.size >= Buffer:
				return false, time.Time{}
			default:
				took := min(len(b), Buffer-h.size)
				h.queue = append(h.queue, segment{append([]byte(nil), b[:took]...), time.Now().Add(h.delay)})
				h.size += took
				n += took
				b = b[took:]
			}
			return true, time.Time{}
		})
		if late != nil {
			err = late
		}
	}
	return n, c.wrap("write", err)
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

// Close is that of a net.Conn.
func (c *Conn) Close() error {
	c.out.change(func() {
		if !c.out.ended {
			c.out.ended, c.out.endsAt = true, time.Now().Add(c.out.delay)
		}
	})
	c.in.change(func() { c.in.left, c.in.queue, c.in.size = true, nil, 0 })
	return nil
}

// Link returns what lies between this end and the other.
func (c *Conn) Link() *Link { return c.link }

// LocalAddr is the name of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the name of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is that of a net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is that of a net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.readBy = t })
	return nil
}

// SetWriteDeadline is that of a net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.change(func() { c.out.writeBy = t })
	return nil
}
