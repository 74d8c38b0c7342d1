package listen

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// accept takes connections until the listener is closed.
func (s *Server) accept(l net.Listener) {
	defer s.loops.Done()
	var pause backoff
	for {
		nc, err := l.Accept()
		if err == nil {
			pause.reset()
			s.metrics.accepted.Inc()
			s.serveConn(nc)
			continue
		}
		if s.stopping() || errors.Is(err, net.ErrClosed) {
			return
		}
		s.metrics.acceptErrors.Inc()
		if pause.first() {
			s.log.Error("accepting TCP connections; trying again", "address", l.Addr(), "error", err)
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			// The connection that waits in the kernel is worth more than one that does nothing.
			s.conns.closeLongestIdle()
		}
		if !pause.wait(s.stop) {
			return
		}
	}
}

// serveConn serves one connection in a goroutine of its own, if there is room.
func (s *Server) serveConn(nc net.Conn) {
	c := newConn(s, nc)
	if s.conns.add(c) {
		s.loops.Go(c.serve)
	}
}

// conns are the open TCP connections.
type conns struct {
	limits  Limits
	metrics *metrics
	open    atomic.Int64

	mu       sync.Mutex
	all      map[*conn]struct{}
	byClient map[netip.Prefix]map[*conn]struct{}
	closing  bool
}

// scanned bounds the search for the longest idle connection: of more, only that many, drawn at random (the order of a map),
// are looked at. 1,024 take some 20 us, about what accepting a connection takes.
const scanned = 1024

// clientOf is what counts as one client: an IPv4 address or an IPv6 /64.
func clientOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

// add takes in a connection, closing another or this one if there are too many, and tells whether this one is to be served.
func (t *conns) add(c *conn) bool {
	key := clientOf(c.client.Addr())
	t.mu.Lock()
	var crowd map[*conn]struct{} // one of these must go
	switch {
	case len(t.byClient[key]) >= t.limits.PerClient:
		t.metrics.limitPerClient.Inc()
		crowd = t.byClient[key]
	case len(t.all) >= t.limits.Connections:
		t.metrics.limitConnections.Inc()
		crowd = t.all
	}
	victim, why := longestIdle(crowd), byPressure
	switch {
	case t.closing:
		victim, why = c, byShutdown
	case victim == nil && crowd != nil:
		victim, why = c, byRefusal
	}
	if victim != c {
		if victim != nil {
			t.forget(victim)
		}
		t.all[c] = struct{}{}
		if t.byClient[key] == nil {
			t.byClient[key] = map[*conn]struct{}{}
		}
		t.byClient[key][c] = struct{}{}
		t.open.Store(int64(len(t.all)))
	}
	t.mu.Unlock()
	if victim != nil {
		victim.close(why)
	}
	return victim != c
}

// longestIdle returns the connection of set that has been idle longest, nil if none is idle.
func longestIdle(set map[*conn]struct{}) *conn {
	var longest *conn
	var since time.Time
	n := 0
	for c := range set {
		if n++; n > scanned {
			break
		}
		if t, idle := c.idleSince(); idle && (longest == nil || t.Before(since)) {
			longest, since = c, t
		}
	}
	return longest
}

// closeLongestIdle gives a file descriptor back.
func (t *conns) closeLongestIdle() {
	t.mu.Lock()
	victim := longestIdle(t.all)
	if victim != nil {
		t.forget(victim)
	}
	t.mu.Unlock()
	if victim != nil {
		victim.close(byPressure)
	}
}

// remove is called when a connection has ended.
func (t *conns) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(c)
}

func (t *conns) forget(c *conn) {
	delete(t.all, c)
	key := clientOf(c.client.Addr())
	if of := t.byClient[key]; of != nil {
		delete(of, c)
		if len(of) == 0 {
			delete(t.byClient, key)
		}
	}
	t.open.Store(int64(len(t.all)))
}

// end lets no more connections in and returns those that there are.
func (t *conns) end() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
	all := make([]*conn, 0, len(t.all))
	for c := range t.all {
		all = append(all, c)
	}
	return all
}

// idle is how long a connection may be idle now: [Limits.Idle] until half of the connections are open, then less in
// proportion to what is left, so that a crowd leaves room by itself (RFC 7766 section 6.2.3) and those who ask for the
// keepalive hear of it.
func (t *conns) idle() time.Duration {
	left, half := int64(t.limits.Connections)-t.open.Load(), int64(t.limits.Connections)/2
	if left >= half {
		return t.limits.Idle
	}
	d := time.Duration(float64(t.limits.Idle) * float64(max(left, 0)) / float64(half))
	return max(d, min(leastIdle, t.limits.Idle))
}

// backoff spaces the attempts at what goes wrong again and again: 5 ms, doubled up to 1 s.
type backoff time.Duration

const (
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second
)

func (b *backoff) reset()      { *b = 0 }
func (b *backoff) first() bool { return *b == 0 }

// wait returns false if stop was closed meanwhile.
func (b *backoff) wait(stop <-chan struct{}) bool {
	*b = backoff(min(max(2*time.Duration(*b), leastPause), mostPause))
	timer := time.NewTimer(time.Duration(*b))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}
