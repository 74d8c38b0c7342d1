package lab

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Question is one question that a server of the lab got, or that was lost on the way to it.
type Question struct {
	At      time.Duration // since the carrier began
	Client  netip.AddrPort
	Server  netip.Addr
	TCP     bool
	Name    dns.Name // as it was sent, with its case
	Type    dns.Type
	EDNS    bool
	DO, CO  bool
	Attempt int // how many times this server was asked this, this time included
}

// Stats sums up what a lab was asked. Lost questions count: they were asked.
type Stats struct {
	Questions uint64
	TCP       uint64 // of them over TCP
	Lost      uint64 // questions or replies that were lost on the way
	Overrun   uint64 // packets that a socket had no room for
	Uncounted uint64 // questions that Asked does not know of, because its table was full
	Faults    map[string]uint64
	Types     map[dns.Type]uint64
	Servers   map[netip.Addr]uint64
}

// counts is what a lab remembers of the questions.
type counts struct {
	questions, tcp, lost, overrun, uncounted atomic.Uint64

	mu       sync.Mutex
	attempts *generations[uint64, uint32] // by hash of server, name and type
	asked    map[questionKey]uint64
	servers  map[netip.Addr]uint64
	types    map[dns.Type]uint64
	faults   map[string]uint64
	log      []Question
	keep     int
	observe  func(Question)
}

type questionKey struct {
	name  dns.Name
	qtype dns.Type
}

// Bounds of the tables. A flood of random names fills them in minutes: then the attempts of the oldest questions are forgotten, and
// Asked knows no new ones.
const (
	maxAttempts = 1 << 20 // at about 40 octets, 40 MiB
	maxAsked    = 1 << 18 // questions, and servers; at about 120 octets, 30 MiB each
)

func newCounts(keep int, observe func(Question)) *counts {
	return &counts{keep: keep, observe: observe, attempts: newGenerations[uint64, uint32](maxAttempts), asked: map[questionKey]uint64{},
		servers: map[netip.Addr]uint64{}, types: map[dns.Type]uint64{}, faults: map[string]uint64{}}
}

// question counts one question and returns how many times it came to this server.
func (c *counts) question(x *exchange) (attempt int) {
	c.questions.Add(1)
	if x.tcp {
		c.tcp.Add(1)
	}
	q := &x.q
	id := uint64(x.server.draw.text(q.name.Wire()).with(uint64(q.qtype)))
	key := questionKey{q.name, q.qtype}
	c.mu.Lock()
	n, _ := c.attempts.get(id)
	c.attempts.put(id, n+1)
	if _, known := c.asked[key]; known || len(c.asked) < maxAsked {
		c.asked[key]++
	} else {
		c.uncounted.Add(1)
	}
	if _, known := c.servers[x.server.addr]; known || len(c.servers) < maxAsked {
		c.servers[x.server.addr]++
	}
	c.types[q.qtype]++
	observe := c.observe
	if c.keep == 0 && observe == nil {
		c.mu.Unlock()
		return int(n) + 1
	}
	seen := Question{At: x.since, Client: x.client, Server: x.server.addr, TCP: x.tcp, Name: q.name, Type: q.qtype,
		EDNS: q.edns, DO: q.do, CO: q.co, Attempt: int(n) + 1}
	if len(q.sent) > 4 {
		if sent, err := dns.NameFromWire(q.sent[:len(q.sent)-4]); err == nil {
			seen.Name = sent
		}
	}
	if len(c.log) < c.keep {
		c.log = append(c.log, seen)
	}
	c.mu.Unlock()
	if observe != nil {
		observe(seen)
	}
	return int(n) + 1
}

func (c *counts) fault(f *fault) {
	c.mu.Lock()
	c.faults[f.kind.name]++
	c.mu.Unlock()
}

// Asked tells how many times any server was asked for a name (in any case) and type.
func (l *Lab) Asked(name dns.Name, t dns.Type) int {
	l.count.mu.Lock()
	defer l.count.mu.Unlock()
	return int(l.count.asked[questionKey{name.Lower(), t}])
}

// AskedOf tells how many questions a server was asked.
func (l *Lab) AskedOf(server netip.Addr) int {
	l.count.mu.Lock()
	defer l.count.mu.Unlock()
	return int(l.count.servers[server])
}

// Questions returns the first questions that were asked, as many as Config.Log says, in their order.
func (l *Lab) Questions() []Question {
	l.count.mu.Lock()
	defer l.count.mu.Unlock()
	return append([]Question(nil), l.count.log...)
}

// Forget sets all counts to zero and empties the log. Attempts go on counting, so that faults are drawn anew.
func (l *Lab) Forget() {
	c := l.count
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.asked)
	clear(c.servers)
	clear(c.types)
	clear(c.faults)
	c.log = nil
	for _, n := range []*atomic.Uint64{&c.questions, &c.tcp, &c.lost, &c.overrun, &c.uncounted} {
		n.Store(0)
	}
}

// Stats returns the counts.
func (l *Lab) Stats() Stats {
	c := l.count
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Questions: c.questions.Load(), TCP: c.tcp.Load(), Lost: c.lost.Load(), Overrun: c.overrun.Load(),
		Uncounted: c.uncounted.Load(), Faults: maps.Clone(c.faults), Types: maps.Clone(c.types), Servers: maps.Clone(c.servers)}
}
