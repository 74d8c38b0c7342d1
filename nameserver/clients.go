package nameserver

import (
	"net/netip"
	"sync"
)

// clientKey is what counts as one client: an IPv4 address, or the /64 of an IPv6 address, which one host can have all of.
type clientKey netip.Addr

func clientOf(a netip.Addr) clientKey {
	if a.Is4() {
		return clientKey(a)
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil { // cannot be: 64 is in range
		return clientKey(a)
	}
	return clientKey(p.Addr())
}

// clients counts the queries that wait, of each client and in all. It is asked only for queries that the cache could not answer.
type clients struct {
	mu  sync.Mutex
	all int
	of  map[clientKey]int

	crowd chan struct{} // told when crowd wait
}

// Crowd is how many queries of clients have to wait to make a crowd. They take some 20 KiB each: 5 MiB, as much as the heap has otherwise.
const Crowd = 256

func newClients() *clients {
	return &clients{of: make(map[clientKey]int), crowd: make(chan struct{}, 1)}
}

// enter counts a query in, or returns the name of the limit that forbids it.
func (c *clients) enter(a netip.Addr, l *Limits) (k clientKey, limit string) {
	k = clientOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all >= l.Queries:
		return k, "queries"
	case c.of[k] >= l.QueriesPerClient:
		return k, "queries_per_client"
	}
	c.all++
	c.of[k]++
	if c.all == Crowd {
		select {
		case c.crowd <- struct{}{}:
		default:
		}
	}
	return k, ""
}

// Crowded tells when [Crowd] queries have come to wait.
func (s *Server) Crowded() <-chan struct{} { return s.clients.crowd }

// Waiting returns how many queries of clients wait for an answer that the cache did not have.
func (s *Server) Waiting() int {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	return s.clients.all
}

func (c *clients) leave(k clientKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.of[k]--; c.of[k] <= 0 {
		delete(c.of, k)
	}
}
