package recurse

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/crew"
	"github.com/ananas-edge/ananas/internal/siphash"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/telemetry"
)

// Clock is time as a parameter. Boot runs on through sleep and is never set: TTLs, round-trip times and back-off are counted on
// it. Wall is what the world calls now; nothing but signatures needs it.
type Clock struct {
	Boot func() time.Duration
	Wall func() time.Time
}

// Config is what a resolver needs from outside.
type Config struct {
	Network Network
	Clock   Clock
	Random  func() uint64 // cryptographic, safe for use by many goroutines
	Cache   *cache.Cache
	Limits  Limits // those that size the sockets and tables; the others are taken from each query's Table
	Metrics *telemetry.Metrics
	Crashes *telemetry.Crashes // nil: panics are counted only
	Log     *slog.Logger

	LocalRoot LocalRoot // nil: there is none

	// Earliest is a wall time that has passed for sure: while the clock is more than a day before it, or before a time that signatures have proved since,
	// signature times are not checked. The zero time trusts the clock whatever it shows.
	Earliest time.Time
}

// Resolver resolves. It holds what was learned (servers, failures, connections, jobs under way); settings come with each query.
//
// There is one, and one for each group of servers that is in use (see [Resolver.within]): they share the state, and differ in the space in which what they learn of names is kept, so that nothing of what one was told is known to another.
type Resolver struct {
	*state
	cache cache.View  // from the space
	space cache.Space // 0: of all queries without a group
}

// state is what all of them share.
type state struct {
	network Network
	clock   Clock
	random  func() uint64
	whole   *cache.Cache
	crashes *telemetry.Crashes
	log     *slog.Logger
	local   LocalRoot
	m       *metrics

	servers  *servers
	failures *failures
	trusts   *trusts
	renewals renewals
	earliest time.Time
	proven   atomic.Int64 // wall time, seconds since 1970; 0: none yet
	flight   flight
	crew     *crew.Crew // runs jobs
	rooms    sync.Pool  // of *room
	zones    zoneCounts
	udp4     *sockets
	udp6     *sockets
	tcp      *tcpPool
	secret   siphash.Key // of our cookies

	dnames                     atomic.Int32 // 1: a secure DNAME was kept; until then none is looked for above each name
	lastHeard                  atomic.Int64 // boot time of the last reply from anybody
	priming                    atomic.Bool
	primeAgain                 atomic.Int64  // boot time before which a failed priming is not repeated
	reports                    chan struct{} // under way
	reportsBegun, reportsSince atomic.Int64  // in the interval since that boot time
	ahead                      chan struct{} // prefetches under way, as many at a time
	refreshing                 sync.Map      // failureKey of each
	groups                     groups

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// maxSpare is how many goroutines wait for the next job: as many as run at a time at 1,000 cold queries a second of 60 ms each. With 16 KiB of stack, 1 MiB.
const maxSpare = 64

// New returns a resolver that is ready. Close it.
func New(c Config) *Resolver {
	r := &Resolver{cache: c.Cache.In(0), state: &state{
		network: c.Network, clock: c.Clock, random: c.Random, whole: c.Cache, crashes: c.Crashes, log: c.Log, local: c.LocalRoot, earliest: c.Earliest,
		ahead: make(chan struct{}, maxAhead), reports: make(chan struct{}, maxReports),
	}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.m = newMetrics(c.Metrics, r)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.rooms.New = func() any { return new(room) }
	r.crew = crew.New(maxSpare, r.ctx.Done())
	r.servers = newServers(c.Limits.Servers, func() { r.m.limits.With("servers").Inc() })
	r.failures = newFailures(maxFailures, func() { r.m.limits.With("failures").Inc() })
	r.renewals.m = make(map[spaceName]time.Duration)
	r.trusts = newTrusts(func() { r.m.limits.With("trusts").Inc() })
	r.flight.jobs, r.flight.parts = make(map[jobKey]*job), make(map[partKey]*part)
	r.zones.m = make(map[spaceName]int)
	r.groups.m = make(map[string]*Resolver)
	r.udp4 = newSockets(r, false, &c.Limits)
	r.udp6 = newSockets(r, true, &c.Limits)
	r.tcp = newTCPPool(r, c.Limits.TCPConnections, &r.wg)
	for i := range r.secret {
		r.secret[i] = byte(r.random())
	}
	r.lastHeard.Store(int64(-1))
	return r
}

// Close ends all jobs and connections and waits for them.
func (r *Resolver) Close() {
	r.cancel()
	r.udp4.close()
	r.udp6.close()
	r.tcp.close()
	r.wg.Wait()
}

func (r *Resolver) udp(a netip.AddrPort) *sockets {
	if a.Addr().Is4() {
		return r.udp4
	}
	return r.udp6
}

// heard notes that some server replied.
func (r *Resolver) heard(now time.Duration) { r.lastHeard.Store(int64(now)) }

func (r *Resolver) heardSince(t time.Duration) bool { return r.lastHeard.Load() >= int64(t) }

// clientCookie is our cookie for a server (RFC 7873 section 4.1): the same for the server as long as we run.
func (r *Resolver) clientCookie(a netip.Addr) [8]byte {
	b := a.As16()
	sum := siphash.Sum64(&r.secret, b[:])
	var out [8]byte
	for i := range out {
		out[i] = byte(sum >> (8 * i))
	}
	return out
}

// recovered turns a panic into a failure, with a report. It is deferred. about says more of what was being done, if that is worth writing; nil: nothing.
func (r *Resolver) recovered(what string, about fmt.Stringer, set func(*failure)) {
	p := recover()
	if p == nil {
		return
	}
	stack := debug.Stack()
	if about != nil {
		what += " " + inWords(about)
	}
	signature := "unrecorded"
	if r.crashes != nil {
		signature = r.crashes.Report(what, p, stack)
	}
	r.m.panics.Inc()
	set(fail(forget, dns.EDEOther, "a fault of this resolver ended the resolution; crash report "+signature))
}

// inWords is what something says of itself. If that is what is broken, nothing: the fault must end here.
func inWords(about fmt.Stringer) (text string) {
	defer func() {
		if recover() != nil {
			text = "(can't be written)"
		}
	}()
	return about.String()
}

// Resolve answers a question: the one door for clients' misses, prefetch, stale refresh, look-ups of name servers and of modules.
// It follows aliases to their end. An error says why there is no answer, as
// the extended errors of the Answer do. The question's name may be in any case.
func (r *Resolver) Resolve(ctx context.Context, q dns.Question, o Opts) (Answer, error) {
	q.Name = q.Name.Lower()
	r, full := r.within(o.Table)
	if full != nil {
		return r.failed(o, full)
	}
	if o.Budget == nil && !o.Cached {
		o.Budget = r.NewBudget(o.Table)
	}
	if o.Trace != nil {
		o.span = span{t: o.Trace}
	}
	if o.span.on() {
		o.span = o.span.event(KindResolve, "resolve "+q.String(), "name", q.Name.String(), "type", q.Type.String())
	}
	o.CD = o.CD || o.server || !o.Table.validate
	ans := Answer{Security: cache.Secure, Until: math.MaxInt64}
	begin := r.clock.Boot()
	var seen []dns.Name
	var spare *outcome // for the next link
	for link := q; ; {
		if a, ok := local(o.Table, link); ok {
			o.span.event(KindLocal, "answered here: a special-use name", "name", link.Name.String())
			ans.join(a)
			ans.Security, ans.Until = cache.Unchecked, 0
			return ans, nil
		}
		if len(seen) > o.Table.Limits.CNAMEDepth {
			r.m.limits.With("cname_depth").Inc()
			return r.failed(o, fail(doubling, dns.EDEOther, "more aliases in a row than recursion.limits.cname_depth allows, the last to "+link.Name.String()))
		}
		for _, s := range seen {
			if s == link.Name {
				return r.failed(o, fail(doubling, dns.EDEOther, "the aliases of "+q.Name.String()+" turn in a circle at "+s.String()))
			}
		}
		seen = append(seen, link.Name)
		l := r.link(ctx, link, o, begin)
		if l.err != nil && l.err != errNotCached && !l.err.bogus && spare != nil {
			l = linkResult{outcome: *spare}
		}
		if l.err != nil {
			return r.failed(o, l.err, l.ede)
		}
		spare = l.spare
		next, more := ans.extend(link, l, r.clock.Boot())
		ans.Compact = o.Proofs && ans.RCode == dns.RCodeNameError && l.denial != nil && nxname(l.denial.Name, ans.Authority)
		if ans.aliases() > o.Table.Limits.CNAMEDepth {
			r.m.limits.With("cname_depth").Inc()
			return r.failed(o, fail(doubling, dns.EDEOther, "more aliases in a row than recursion.limits.cname_depth allows, the last to "+next.String()))
		}
		if ans.size() > int(o.Table.Limits.AnswerSize) {
			r.m.limits.With("answer_size").Inc()
			return r.failed(o, fail(doubling, dns.EDEOther, "the answer is larger than recursion.limits.answer_size allows"))
		}
		if !more {
			if f := sentinel(o.Table, q, &ans); f != nil && !o.CD {
				return r.failed(o, f)
			}
			r.additional(&ans, q, &o)
			r.tellAnswer(o, &ans)
			return ans, nil
		}
		if next.IsZero() { // RFC 6672 section 2.2: a DNAME made the name too long
			ans.RCode, ans.Until = dns.RCodeYXDomain, 0
			return ans, nil
		}
		link.Name = next
	}
}

// failed makes the answer of a resolution that came to nothing. also is said beside the reason, if it has a code.
func (r *Resolver) failed(o Opts, f *failure, also ...dns.EDE) (Answer, error) {
	if f == errNotCached {
		return Answer{}, f
	}
	if o.span.on() {
		o.span.event(KindAnswer, "SERVFAIL: "+f.ede.Text, "rcode", "SERVFAIL")
	}
	a := Answer{RCode: dns.RCodeServerFailure, EDEs: []dns.EDE{f.ede}}
	if f.bogus {
		a.Security = cache.Bogus
	}
	for _, e := range also {
		if e.Code != 0 {
			a.EDEs = append(a.EDEs, e)
		}
	}
	return a, f
}

func (r *Resolver) tellAnswer(o Opts, a *Answer) {
	if !o.span.on() {
		return
	}
	text := a.RCode.String()
	if a.Security != cache.Unchecked {
		text += ", " + a.Security.String()
	}
	for i := range a.Answer {
		text += "\n" + a.Answer[i].String()
	}
	if a.RCode == dns.RCodeSuccess && len(a.Answer) == 0 {
		text += ", no records of this type"
	}
	o.span.event(KindAnswer, text, "rcode", a.RCode.String(), "security", a.Security.String())
}

// join adds the answer to the last link.
func (a *Answer) join(b Answer) {
	a.RCode, a.Local = b.RCode, b.Local && len(a.Answer) == 0
	a.Answer = append(a.Answer, b.Answer...)
	a.Authority = append(a.Authority, b.Authority...)
}

// extend adds what was found for a link of the chain. more tells whether the chain goes on, at next; a zero next: it can't, the
// name got too long.
func (a *Answer) extend(link dns.Question, l linkResult, now time.Duration) (next dns.Name, more bool) {
	a.RCode = l.rcode
	name := link.Name
	ttl := func(e time.Duration) uint32 {
		if l.stale {
			return staleTTL
		}
		return remaining(now, e)
	}
	a.Stale, a.Asked = a.Stale || l.stale, a.Asked || l.asked
	if l.stale || l.rcode != dns.RCodeSuccess {
		a.Until = 0
	}
	for _, e := range l.edes {
		if !slices.Contains(a.EDEs, e) {
			a.EDEs = append(a.EDEs, e)
		}
	}
	if l.ede.Code != 0 && !slices.ContainsFunc(a.EDEs, func(e dns.EDE) bool { return e.Code == l.ede.Code }) {
		a.EDEs = append(a.EDEs, l.ede) // once, if several links of a chain are stale
	}
	until := time.Duration(math.MaxInt64)
	for i := range l.chain {
		e := &l.chain[i]
		until = min(until, e.Expires)
		a.Security = least(a.Security, e.Security)
		set := e.Set
		set.TTL = a.bounded(set.TTL, ttl(e.Expires))
		a.Until = min(a.Until, renewal(e))
		if set.Type != dns.TypeDNAME || !a.has(set.Name, set.Type) { // one DNAME may redirect several links of a chain
			a.Answer = append(a.Answer, set)
		}
		switch {
		case set.Type == dns.TypeDNAME && set.Name != name: // also where DNAME is what is asked for (RFC 6672 section 3.2)
			cname, ok := synthesise(name, set)
			if !ok {
				return dns.Name{}, true
			}
			a.Answer = append(a.Answer, cname)
			if next, more = aliasTarget(cname); link.Type == dns.TypeCNAME || link.Type == dns.TypeANY {
				next, more = dns.Name{}, false
			}
		case set.Type == link.Type || link.Type == dns.TypeANY:
			next, more = dns.Name{}, false
		case set.Type == dns.TypeCNAME:
			next, more = aliasTarget(set)
		}
		if more {
			name = next
		}
	}
	if l.denial == nil {
		a.prove(l.proofs, ttl(until))
		return next, more
	}
	a.Security, a.Until = least(a.Security, l.denial.Security), min(a.Until, l.denial.Expires)
	if l.denial.SOA.Data != nil {
		soa := l.denial.SOA
		soa.TTL = a.bounded(soa.TTL, ttl(l.denial.Expires))
		a.Authority = append(a.Authority, soa)
	}
	a.prove(l.denial.Proof, ttl(l.denial.Expires))
	a.prove(l.proofs, ttl(until))
	if l.denial.Kind == cache.NXDomain {
		a.RCode = dns.RCodeNameError
	}
	return dns.Name{}, false
}

// bounded returns the TTL of a set that was received with one and has another one left. If that is the longer, as with cache.min_ttl, it does not count down yet.
func (a *Answer) bounded(received, left uint32) uint32 {
	if received < left {
		a.Until = 0
		return received
	}
	return left
}

// prove adds proofs to the authority section, each once, and with a TTL of no more than ttl.
func (a *Answer) prove(proofs []dns.RRset, ttl uint32) {
	from := len(a.Authority)
	a.Authority = addSets(a.Authority, proofs...)
	for i := range a.Authority[from:] {
		p := &a.Authority[from+i]
		p.TTL = a.bounded(p.TTL, ttl)
	}
}

// addSets adds sets that are not there yet.
func addSets(to []dns.RRset, sets ...dns.RRset) []dns.RRset {
	for _, s := range sets {
		if !slices.ContainsFunc(to, func(o dns.RRset) bool { return o.Type == s.Type && o.Name == s.Name }) {
			to = append(to, s)
		}
	}
	return to
}

// least is what the whole is worth of which these are parts.
func least(a, b cache.Security) cache.Security {
	if a == cache.Bogus || b == cache.Bogus {
		return cache.Bogus
	}
	return min(a, b)
}

// has tells whether the answer section has that RRset.
func (a *Answer) has(name dns.Name, t dns.Type) bool {
	for i := range a.Answer {
		if a.Answer[i].Type == t && a.Answer[i].Name == name {
			return true
		}
	}
	return false
}

// aliases counts the CNAME records of the chain, those that a DNAME makes included.
func (a *Answer) aliases() int {
	n := 0
	for i := range a.Answer {
		if a.Answer[i].Type == dns.TypeCNAME {
			n++
		}
	}
	return n
}

// size is how many octets the records take, uncompressed owner names left out.
func (a *Answer) size() int {
	n := 0
	for _, sets := range [...][]dns.RRset{a.Answer, a.Authority} {
		for i := range sets {
			n += len(sets[i].Data) + len(sets[i].Sigs)
		}
	}
	return n
}

func aliasTarget(cname dns.RRset) (dns.Name, bool) {
	n, ok := dns.RdataName(dns.TypeCNAME, cname.Data.First())
	return n.Lower(), ok
}

// synthesise makes the CNAME record that a DNAME implies for a name (RFC 6672 section 3.1), with the DNAME's TTL.
func synthesise(name dns.Name, dname dns.RRset) (dns.RRset, bool) {
	target, ok := dns.RdataName(dns.TypeDNAME, dname.Data.First())
	if !ok {
		return dns.RRset{}, false
	}
	to, err := name.ReplaceSuffix(dname.Name, target)
	if err != nil {
		return dns.RRset{}, false
	}
	return dns.RRset{
		Name: name, Type: dns.TypeCNAME, Class: dname.Class, TTL: dname.TTL, Data: dns.Records{}.Append([]byte(to.Wire())),
	}, true
}
