package listen

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Reply is the right to answer one query, once. It is a small value: copy it freely; the first Write or Drop of any copy
// counts and the others do nothing. It stays safe to use after its connection or the server is gone.
//
// The zero Reply swallows the answer. The handler gets one if [Limits.InFlight] queries are waiting already: an answer that
// is returned at once is still sent, one that comes later is not. See [Reply.Wanted].
type Reply struct {
	t   *ticket
	gen uint32
}

// Write sends the answer, and does not keep it. Over UDP it is one system call; over TCP the answer is queued and Write does
// not wait for the client. A message that cannot be sent is counted and forgotten: the client asks again.
func (r Reply) Write(answer []byte) {
	switch {
	case r.t == nil:
	case r.t.claim(r.gen):
		r.t.via.answer(r.t, answer)
		r.t.home.put(r.t)
	default:
		r.t.home.metrics.replyMisused.Inc()
	}
}

// Drop ends the query without an answer. It may be deferred, to end the query on every way out: after Write it does nothing.
func (r Reply) Drop() {
	if r.t != nil && r.t.claim(r.gen) {
		r.t.via.answer(r.t, nil)
		r.t.home.put(r.t)
	}
}

// Wanted tells whether a later Write can have an effect. If not, resolving is in vain, unless the cache is to be filled.
func (r Reply) Wanted() bool { return r.t != nil && r.t.gen.Load() == r.gen }

// ticket is the place of one query that is waited for. Whoever raises gen from the value that a Reply holds owns it until it
// is put back, after which it serves another query under the raised generation. 4 billion uses of one ticket pass before an
// old Reply could be mistaken for a new one.
type ticket struct {
	gen    atomic.Uint32
	home   *tickets
	via    answerer
	client netip.AddrPort
	local  netip.Addr
	next   *ticket // while free
}

// answerer is where an answer that comes later goes to: a UDP socket or a TCP connection.
type answerer interface {
	answer(t *ticket, message []byte) // nil: dropped by the handler
}

// claim makes the caller the owner, if nobody was before: of all that hold one generation, one is told true.
func (t *ticket) claim(gen uint32) bool { return t.gen.CompareAndSwap(gen, gen+1) }

// reply returns the right to the ticket as it is now; a nil ticket, for a query over the limit, gives the zero Reply.
func (t *ticket) reply() Reply {
	if t == nil {
		return Reply{}
	}
	return Reply{t, t.gen.Load()}
}

// tickets hands out at most limit tickets at a time. Only queries that are not answered at once need its lock: a reader keeps
// one ticket at hand and takes the next when that one stayed with the handler.
type tickets struct {
	metrics *metrics
	limit   int

	mu    sync.Mutex
	free  *ticket
	out   int
	empty chan struct{} // closed when the last ticket is back; nil: nobody waits
}

// get returns nil at the limit.
func (ts *tickets) get(via answerer) *ticket {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.out >= ts.limit {
		ts.metrics.limitInFlight.Inc()
		return nil
	}
	ts.out++
	t := ts.free
	if t == nil {
		t = &ticket{home: ts}
	} else {
		ts.free, t.next = t.next, nil
	}
	t.via = via
	return t
}

// put takes back a ticket that the caller has claimed, or that nobody else ever had.
func (ts *tickets) put(t *ticket) {
	t.via, t.client, t.local = nil, netip.AddrPort{}, netip.Addr{}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.next, ts.free = ts.free, t
	ts.out--
	if ts.out == 0 && ts.empty != nil {
		close(ts.empty)
		ts.empty = nil
	}
}

func (ts *tickets) inFlight() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.out
}

// drained returns a channel that is closed once no ticket is out.
func (ts *tickets) drained() <-chan struct{} {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	c := make(chan struct{})
	if ts.out == 0 {
		close(c)
		return c
	}
	if ts.empty == nil {
		ts.empty = c
	}
	return ts.empty
}
