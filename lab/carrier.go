package lab

import (
	"net/netip"
	"sync"
	"time"
)

// carrier is what brings questions and takes replies away: in memory or through sockets. It owns the time that faults go by.
type carrier struct {
	lab   *Lab
	start time.Time

	mu      sync.Mutex
	buckets *generations[bucketKey, bucket]
}

// maxBuckets bounds how many pairs of server and client have their rate watched.
const maxBuckets = 1 << 16

func newCarrier(l *Lab) *carrier {
	return &carrier{lab: l, start: time.Now(), buckets: newGenerations[bucketKey, bucket](maxBuckets)}
}

func (c *carrier) since() time.Duration { return time.Since(c.start) }

type bucketKey struct {
	server, client netip.Addr
	place          uint64 // of the fault
}

// bucket holds what a client may still ask: n questions a second, saved up for at most one second.
type bucket struct {
	tokens float64
	at     time.Duration
}

// over takes a token, and tells whether there was none.
func (c *carrier) over(x *exchange, f *fault) bool {
	k := bucketKey{x.server.addr, x.client.Addr(), f.place}
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.buckets.get(k)
	if !ok {
		b = bucket{float64(f.n), x.since}
	}
	b.tokens = min(float64(f.n), b.tokens+float64(f.n)*(x.since-b.at).Seconds())
	b.at = x.since
	over := b.tokens < 1
	if !over {
		b.tokens--
	}
	c.buckets.put(k, b)
	return over
}

// dial tells what comes of a connection to a server: how long the handshake takes, and what it ends in.
func (c *carrier) dial(to netip.AddrPort) (time.Duration, connectFault) {
	s := c.lab.server(to.Addr())
	if s == nil {
		return 0, silent
	}
	if to.Port() != port {
		return s.latency, refuses
	}
	given := connectionConditions(to.Addr(), true)
	for _, f := range s.faults {
		if f.kind.connect != connects && f.inForceOn(s, c.since(), given) {
			c.lab.count.fault(f)
			return s.latency, f.kind.connect
		}
	}
	return s.latency, connects
}
