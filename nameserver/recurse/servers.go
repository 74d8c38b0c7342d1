package recurse

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// What is remembered of a server, and for how long. All of it is forgotten soon enough that an outage or a mended server needs
// nobody's help.
const (
	unknownRTT   = 120 * time.Millisecond // taken for a server never heard of when it is compared with others
	unknownRTO   = 300 * time.Millisecond // waited for its first reply: most of the world is nearer
	minRTO       = 50 * time.Millisecond  // below it jitter would be taken for loss
	rttMargin    = 25 * time.Millisecond  // the least that is waited beyond the smoothed round-trip time, also for a server that is steady
	maxRTO       = 2 * time.Second
	maxBackoff   = 30 * time.Second // how long a silent server is passed over at most, if another one is there
	lameTime     = 60 * time.Second // how long a server that does not serve a zone is passed over for it
	ednsMemory   = 10 * time.Minute // how long it is remembered that a server can't EDNS, or wants TCP, or flattens case
	factMemory   = 15 * time.Minute // how long round-trip times are believed without being renewed
	maxLame      = 8                // zones that a server is remembered to be lame for; the oldest gives way
	maxCookie    = 32               // octets of a server's cookie (RFC 7873 section 4)
	serverShards = 64

	truncationsInRow = 3                // truncated replies in a row after which a server is asked over TCP at once
	suspectNew       = 1                // silences in a row after which a family that never answered is put aside
	suspectKnown     = 5                // the same for one that did answer: single servers die more often than families
	familyRecheck    = 30 * time.Second // how often one question still tries a family that was put aside
)

// fact is what is remembered of one server address.
type fact struct {
	mu sync.Mutex

	srtt, rttvar time.Duration // RFC 6298, zero: never measured
	timeouts     int           // in a row
	backoff      time.Duration // boot time until which the server is passed over
	used         time.Duration // boot time of the last question

	ednsOK      bool          // has answered with an OPT record
	noEDNS      time.Duration // until when it is asked without EDNS
	noOptions   time.Duration // until when it is asked without options
	tcpOnly     time.Duration // until when it is asked over TCP
	tcpDead     time.Duration // until when it is passed over, because it had to be asked over TCP and could not be
	flattens    time.Duration // until when its case is not mixed
	cookie      [maxCookie]byte
	cookieLen   int
	lame        []lameness
	truncations int // replies over UDP in a row
	outstanding int // questions in flight
}

type lameness struct {
	zone  dns.Name
	until time.Duration
}

// servers is what is remembered of all servers, bounded: a full shard forgets the server not asked for the longest time among
// a few that the map gives.
type servers struct {
	limit  int // a shard
	shards [serverShards]struct {
		mu    sync.Mutex
		facts map[netip.AddrPort]*fact
	}
	forgotten func()
	families  [2]family
}

// family is what is remembered of IPv4 and IPv6 as a whole.
type family struct {
	mu       sync.Mutex
	silent   int           // timeouts in a row, while the other family answered
	dead     bool          // put aside
	recheck  time.Duration // boot time of the next try
	answered bool
}

func newServers(limit int, forgotten func()) *servers {
	s := &servers{limit: max(1, limit/serverShards), forgotten: forgotten}
	for i := range s.shards {
		s.shards[i].facts = make(map[netip.AddrPort]*fact)
	}
	return s
}

func shardOf(a netip.AddrPort) int {
	b := a.Addr().As16()
	h := uint32(a.Port())
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return int(h>>8) % serverShards
}

// of returns the facts of a server, new ones if there are none.
func (s *servers) of(a netip.AddrPort, now time.Duration) *fact {
	sh := &s.shards[shardOf(a)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.facts[a]; f != nil {
		return f
	}
	if len(sh.facts) >= s.limit {
		s.evict(sh.facts)
	}
	f := &fact{used: now}
	sh.facts[a] = f
	return f
}

func (s *servers) evict(facts map[netip.AddrPort]*fact) {
	var oldest netip.AddrPort
	var at time.Duration
	n := 0
	for a, f := range facts { // the map's order is random: eight are a sample
		f.mu.Lock()
		used, busy := f.used, f.outstanding > 0
		f.mu.Unlock()
		if !busy && (n == 0 || used < at) {
			oldest, at = a, used
			n++
		}
		if n >= 8 {
			break
		}
	}
	if n > 0 {
		delete(facts, oldest)
		s.forgotten()
	}
}

// sent notes a question in flight; false if the server has as many as the limit allows.
func (f *fact) sent(now time.Duration, limit int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outstanding >= limit {
		return false
	}
	f.outstanding++
	f.used = now
	return true
}

func (f *fact) done() {
	f.mu.Lock()
	f.outstanding--
	f.mu.Unlock()
}

// replied takes a round-trip time into the average (RFC 6298 section 2) and ends any back-off.
func (f *fact) replied(rtt time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.srtt == 0 {
		f.srtt, f.rttvar = rtt, rtt/2
	} else {
		d := f.srtt - rtt
		if d < 0 {
			d = -d
		}
		f.rttvar = (3*f.rttvar + d) / 4
		f.srtt = (7*f.srtt + rtt) / 8
	}
	f.timeouts, f.backoff = 0, 0
}

// silent blames the server for a question that got no reply while others did reply.
func (f *fact) silent(now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timeouts++
	if f.timeouts >= 2 { // one loss is weather
		f.backoff = now + min(time.Second<<min(f.timeouts-2, 10), maxBackoff)
	}
}

// rto returns how long to wait for the server before another is asked too. It does not grow with silence: a late reply is taken anyway, and
// who asks for a zone that is dead should be told so before he gives up.
func (f *fact) rto(now time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	base := unknownRTO
	if f.srtt > 0 && now-f.used < factMemory {
		base = max(f.srtt+max(4*f.rttvar, rttMargin), minRTO)
	}
	return min(base, maxRTO)
}

// doubtful tells whether the server was silent when it was asked last.
func (f *fact) doubtful() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.timeouts > 0
}

// standing is a server's place in the comparison with others.
type standing struct {
	estimate time.Duration
	known    bool
	passed   bool // in back-off, or lame for the zone: only if nobody else is there
	lame     bool
}

func (f *fact) standing(zone dns.Name, now time.Duration) standing {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := standing{estimate: unknownRTT}
	if f.srtt > 0 && now-f.used < factMemory {
		s.estimate, s.known = f.srtt, true
	}
	s.estimate <<= min(f.timeouts, 4)
	s.passed = now < f.backoff || now < f.tcpDead
	for _, l := range f.lame {
		if l.zone == zone && now < l.until {
			s.passed, s.lame = true, true
		}
	}
	return s
}

// setLame remembers that the server does not serve the zone.
func (f *fact) setLame(zone dns.Name, now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.lame {
		if f.lame[i].zone == zone {
			f.lame[i].until = now + lameTime
			return
		}
	}
	if len(f.lame) >= maxLame {
		f.lame = append(f.lame[:0], f.lame[1:]...)
	}
	f.lame = append(f.lame, lameness{zone, now + lameTime})
}

// manner is how a server wants to be asked.
type manner struct {
	edns, options, tcp, mixCase bool
	ednsProven                  bool
	cookie                      [maxCookie]byte
	cookieLen                   int
}

func (f *fact) manner(now time.Duration) manner {
	f.mu.Lock()
	defer f.mu.Unlock()
	return manner{
		edns: now >= f.noEDNS, options: now >= f.noOptions, tcp: now < f.tcpOnly, mixCase: now >= f.flattens,
		ednsProven: f.ednsOK, cookie: f.cookie, cookieLen: f.cookieLen,
	}
}

func (f *fact) setNoEDNS(now time.Duration) {
	f.mu.Lock()
	f.noEDNS, f.ednsOK = now+ednsMemory, false
	f.mu.Unlock()
}

func (f *fact) setNoOptions(now time.Duration) {
	f.mu.Lock()
	f.noOptions = now + ednsMemory
	f.mu.Unlock()
}

// overTCP notes how a question over TCP went. A server that truncates and can't be reached over TCP may be quick over UDP, and is of no use.
func (f *fact) overTCP(answered bool, now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tcpDead = 0; !answered {
		f.tcpDead = now + lameTime
	}
}

// truncated notes whether a reply over UDP was truncated. A server that does nothing else is asked over TCP at once, for a while.
func (f *fact) truncated(yes bool, now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !yes {
		f.truncations = 0
		return
	}
	if f.truncations++; f.truncations >= truncationsInRow {
		f.tcpOnly, f.truncations = now+ednsMemory, 0
	}
}

func (f *fact) setFlattens(now time.Duration) {
	f.mu.Lock()
	f.flattens = now + ednsMemory
	f.mu.Unlock()
}

// learnEDNS notes what a good reply says of EDNS and of cookies. An empty cookie forgets the server's.
func (f *fact) learnEDNS(has bool, cookie []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if has {
		f.ednsOK = true
	}
	f.cookieLen = copy(f.cookie[:], cookie)
}

// heard notes that a family works.
func (s *servers) heard(a netip.Addr) {
	f := s.family(a)
	f.mu.Lock()
	f.silent, f.dead, f.answered = 0, false, true
	f.mu.Unlock()
}

// unheard notes a question of a family that got no reply while another question did.
func (s *servers) unheard(a netip.Addr, now time.Duration) {
	f := s.family(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent++
	if f.silent >= suspectKnown || f.silent >= suspectNew && !f.answered {
		f.dead, f.recheck = true, now+familyRecheck
	}
}

// unreachable notes that the kernel has no route for a family.
func (s *servers) unreachable(a netip.Addr, now time.Duration) {
	f := s.family(a)
	f.mu.Lock()
	if !f.answered {
		f.dead, f.recheck = true, now+familyRecheck
	}
	f.mu.Unlock()
}

// familyDead tells whether to pass a family over; now and then it says no to one caller, so that a family that works again is seen.
func (s *servers) familyDead(a netip.Addr, now time.Duration) bool {
	f := s.family(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead && now < f.recheck
}

// tryFamily takes the turn to try a family that was put aside; dead tells that it was.
func (s *servers) tryFamily(a netip.Addr, now time.Duration) (dead bool) {
	f := s.family(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead && now >= f.recheck {
		f.recheck = now + familyRecheck
	}
	return f.dead
}

// familyProven tells whether a family ever answered.
func (s *servers) familyProven(a netip.Addr) bool {
	f := s.family(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answered
}

func (s *servers) family(a netip.Addr) *family {
	if a.Is4() {
		return &s.families[0]
	}
	return &s.families[1]
}

// smoothed returns the smoothed round-trip time, 0 if none was measured.
func (f *fact) smoothed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.srtt
}
