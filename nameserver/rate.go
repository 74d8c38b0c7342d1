package nameserver

import (
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/siphash"
	"github.com/ananas-edge/ananas/listen"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/telemetry"
)

// The rate of each client is kept in one word (GCRA, the generic cell rate algorithm of ITU-T I.371): the time at which all that it has asked so far would have been
// asked if it kept to its rate. How far that lies ahead is how much of its burst is used up. A word that lies behind says nothing, so a client that is quiet takes
// no room that another could want.
const (
	// rateBuckets of rateWays words, one cache line, are 512 KiB. A client needs a word while it is ahead: at a tenth of its rate for a tenth of the time. Of 20,000
	// who are ahead at once one in 2,000 loses its word to another, and may begin anew; of 40,000 one in 50.
	rateBuckets = 8192
	rateWays    = 8

	// rateTick is the unit of time in a word: at the highest rate, ten million a second, one query is six of them. From a million up, what
	// is allowed is up to a sixth more than is said.
	rateTick = 16 * time.Nanosecond
	// rateTimeBits are of time, 52 days before it begins anew, after which a client that was away for just so long is taken to be ahead for once. The rest names the
	// client: of 9,000 in a full table one shares its account.
	rateTimeBits = 48
	rateTimeMask = 1<<rateTimeBits - 1

	// rateSkew is by how much the times of loops may differ, which each takes once for a batch: a word that is full by one's time must be so by another's.
	rateSkew = uint64(time.Second / rateTick)

	// sayRateEvery is how often the log names a client that is over its rate, so that who floods does not fill the log.
	sayRateEvery = time.Minute

	// leastBurst is how many queries a client may ask at once however low its rate is: a page with all that it loads.
	leastBurst = 100
)

// Rate is what a client may ask, compiled.
type Rate struct {
	cost  uint64 // ticks of one query; 0: as many as it likes
	burst uint64 // ticks that it may be ahead
}

// rateOf returns the rate of so many queries a second, 0 for any. The burst is what that is in a second, or leastBurst.
func rateOf(queries int) Rate {
	if queries == 0 {
		return Rate{}
	}
	cost := uint64(time.Second/rateTick) / uint64(queries)
	return Rate{cost, cost * uint64(max(queries, leastBurst))}
}

// accounts are the words of all clients, shared by all loops. Nobody waits for anybody.
type accounts struct {
	buckets [rateBuckets][rateWays]atomic.Uint64 // at the beginning, so that each lies on one cache line
	key     siphash.Key                          // secret: who could choose who shares a bucket with whom could spend another's rate
	given   *telemetry.Counter
}

// account is where the word of a client is found. Each has two: one for queries whose address may be forged, and one for those who are where they say they are, since they
// speak TCP or bring our cookie. So a flood in a client's name takes nothing from what that client can prove to be its own.
type account struct {
	client netip.Addr
	proven bool
	bucket *[rateWays]atomic.Uint64
	tag    uint64 // what the word begins with; not 0
}

// of returns an account of a client.
func (a *accounts) of(c netip.Addr, proven bool) account {
	var b [17]byte
	if c.Is4() {
		v := c.As4()
		copy(b[:], v[:])
	} else {
		v := netip.Addr(clientOf(c)).As16()
		copy(b[:], v[:])
		b[16] = 6
	}
	if proven {
		b[16] |= 1
	}
	h := siphash.Sum64(&a.key, b[:])
	return account{c, proven, &a.buckets[h%rateBuckets], max(1, h>>rateTimeBits)}
}

// charge takes one query off what the client may ask at boot time now, and tells whether there was enough.
func (a *accounts) charge(c account, r Rate, now time.Duration) bool {
	at := uint64(now/rateTick) & rateTimeMask
	for {
		slot, word, ahead := c.find(at, r)
		other := word>>rateTimeBits != c.tag
		lost := other && ahead > 0
		if other {
			ahead = 0
		}
		if ahead+r.cost > r.burst {
			return false
		}
		if slot.CompareAndSwap(word, c.tag<<rateTimeBits|(at+ahead+r.cost)&rateTimeMask) {
			if lost {
				a.given.Inc()
			}
			return true
		} // else somebody else got further
	}
}

// find returns the client's word, or the one in its bucket that is the least ahead, and by how many ticks it is.
func (c *account) find(at uint64, r Rate) (slot *atomic.Uint64, word, ahead uint64) {
	ahead = math.MaxUint64
	for i := range c.bucket {
		w := c.bucket[i].Load()
		if w>>rateTimeBits == c.tag {
			return &c.bucket[i], w, aheadOf(w, at, r)
		}
		if d := aheadOf(w, at, r); d < ahead {
			slot, word, ahead = &c.bucket[i], w, d
		}
	}
	return slot, word, ahead
}

// aheadOf is how many ticks a word lies ahead. What lies behind is not ahead; nor is what lies further ahead than this rate can have brought it: that is of another
// rate, or of so long ago that the time has begun anew.
func aheadOf(word, at uint64, r Rate) uint64 {
	const rest = 64 - rateTimeBits
	if d := int64((word-at)<<rest) >> rest; word != 0 && d > 0 && uint64(d) <= r.burst+rateSkew {
		return uint64(d)
	}
	return 0
}

// within charges the client for a query; false: it asks for more than its rate.
func (s *Server) within(q *query) bool {
	if q.table.Rate.cost == 0 {
		return true
	}
	a := s.accounts.Load()
	return a.charge(a.of(q.Client.Addr(), s.proven(q)), q.table.Rate, q.start)
}

// charged tells whether the loop that has read the query has charged its client.
func (q *query) charged() bool {
	_, ok := q.Note.(*note)
	return ok
}

// proven tells whether the client is where it says it is.
func (s *Server) proven(q *query) bool {
	if q.Transport != listen.UDP {
		return true
	}
	option, _ := q.EDNS.Options.Find(dns.OptionCookie)
	return s.proves(option, q.Client.Addr())
}

// within is that of [Server], which keeps the account of the client that asked before: mostly it is the same one.
func (l *loop) within(t *Table, k *ask, now time.Duration) bool {
	if t.Rate.cost == 0 {
		return true
	}
	a, c := l.s.accounts.Load(), k.query.Client.Addr()
	if proven := l.s.proves(k.cookie, c); l.account.client != c || l.account.proven != proven {
		l.account = a.of(c, proven)
	}
	return a.charge(l.account, t.Rate, now)
}

// overRate is the answer to a client that is over its rate. Where the address may be forged it is TC, which is at most 16 octets longer than the query
// (our part of a cookie, which proves the address the next time): who is who he says he is comes back over TCP. Others are told.
func (s *Server) overRate(q *query) (recurse.Answer, next) {
	s.m.limits.With("client_rate").Inc()
	if said := s.rateSaid.Load(); q.start-time.Duration(said) >= sayRateEvery && s.rateSaid.CompareAndSwap(said, int64(q.start)) {
		s.log.Info("a client asks more than limits.client_rate allows, and perhaps others do", "client", q.Client.Addr(), "transport", q.Transport.String(), "rate", q.table.Limits.ClientRate,
			"counted", `ananas_nameserver_limits_total{limit="client_rate"}`)
	}
	if s.proven(q) {
		return refusal(dns.RCodeRefused, dns.EDEProhibited, "more queries than limits.client_rate allows"), answer
	}
	if q.QName == nil {
		return recurse.Answer{}, drop
	}
	return recurse.Answer{Truncated: true}, answer
}

// account makes sure that there are accounts if the table wants them.
func (s *Server) account(t *Table) {
	if t.Rate.cost != 0 && s.accounts.Load() == nil {
		s.accounts.CompareAndSwap(nil, &accounts{key: s.rateKey, given: s.m.accountsGiven})
	}
}
