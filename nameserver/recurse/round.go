package recurse

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// round is one question to the servers of one zone: attempts at one server after the other, until one gives a reply that can be
// used. An attempt that is late is not given up: its reply is welcome until the round ends, while the next server is asked already.
type round struct {
	j     *job
	d     *delegation
	a     asked
	span  span
	cands []candidate
	got   chan *received
	found chan addressesFound

	flying   []*attempt
	timer    *time.Timer
	inTime   bool // the newest attempt may still answer in time
	last     bool // nothing is left to ask: late replies are waited for
	attempts int

	nextOther int // NS records of which the other family was looked up
	nextName  int // NS records whose addresses were looked up, or found
	lookups   int // running
	looked    int
	lookedAt  time.Duration // boot time of the newest

	silent []*attempt // given up without a reply
	pocket *reply     // a weak answer: better than none
	before *failure   // of an earlier round with the same servers
	said   []string
	cause  string // why the last look-up of a name server failed
	worst  dns.EDECode
	mind   remember
}

// recursiveRTO is how long a forwarder has at least if no other one is left to be asked beside it: what it does not know it has to ask for in
// turn, however near it is itself. Three tries and the last wait are as long as a client waits.
const recursiveRTO = time.Second

// lastWait is how long late replies are waited for when nothing is left to ask.
const lastWait = time.Second

// maxAttempts bounds the questions of one round, and the queue of replies: each attempt gives at most one.
const maxAttempts = 32

// reply is what a round ends with.
type reply struct {
	msg     *dns.Message
	v       verdict
	a       asked
	server  netip.AddrPort
	name    dns.Name // of the server
	attempt *attempt
}

func (j *job) newRound(d *delegation, q dns.Question, minimised bool) *round {
	ro := &round{
		j: j, d: d, span: j.span,
		a:     asked{zone: d.zone, q: q, recursive: d.from == fromForward, minimised: minimised, elsewhere: j.table.Elsewhere(q.Name)},
		got:   make(chan *received, maxAttempts),
		worst: dns.EDENoReachable, mind: briefly,
	}
	var never []netip.Addr
	ro.cands, never = j.r.addresses(d, j.table, j.r.clock.Boot())
	for _, a := range never {
		ro.say(fmt.Sprintf("%v is in recursion.never_query", a))
	}
	ro.recall()
	if ro.span.on() {
		ro.span = ro.span.event(KindDelegation, "ask "+q.String()+" of "+d.describe(), "zone", d.zone.String(), "name", q.Name.String(),
			"type", q.Type.String(), "source", d.from.String())
	}
	return ro
}

// askPart is ask for a part of the name, which jobs for other names of the zone may be asking for already: it is asked once.
func (j *job) askPart(ctx context.Context, d *delegation, q dns.Question) (*reply, *failure) {
	if j.key.fresh == FreshAll || d.from == fromLocal {
		return j.ask(ctx, d, q, true)
	}
	key := partKey{d.zone, q, j.table, j.epoch}
	p, own := j.r.flight.joinPart(key, j)
	if p == nil {
		return j.ask(ctx, d, q, true)
	}
	if own {
		defer j.r.flight.finishPart(key, p)
		p.f = fail(forget, dns.EDEOther, "the resolution that asked ended early") // if it panics
		p.rep, p.f = j.ask(ctx, d, q, true)
		return p.rep, p.f
	}
	defer j.r.flight.leave(j, p.owner)
	if j.span.on() {
		j.span.event(KindJoin, fmt.Sprintf("%v is being asked of the servers of %v already: wait for it", q, d.zone))
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, fail(briefly, dns.EDENoReachable, fmt.Sprintf("no time left while the servers of %v are asked", d.zone))
	}
	if p.f != nil {
		if p.f.mind == forget { // its limits are not ours
			return j.ask(ctx, d, q, true)
		}
		return nil, p.f
	}
	rep := *p.rep
	rep.attempt = &attempt{span: j.span}
	return &rep, nil
}

// ask asks the servers of d and returns the first reply that can be used.
func (j *job) ask(ctx context.Context, d *delegation, q dns.Question, minimised bool) (*reply, *failure) {
	if d.from == fromLocal {
		rep, servers := j.askLocal(d, q, minimised)
		if rep != nil {
			return rep, nil
		}
		d = servers
	}
	zone := d.zone
	if d.from == fromForward { // it stands for all that lies below: two labels more are about what has servers of its own
		zone = q.Name.Ancestor(zone.Labels() + 2)
	}
	if !j.r.zones.enter(spaceName{j.r.space, zone}, j.table.Limits.ZoneFetches) {
		j.r.m.limits.With("zone_fetches").Inc()
		return nil, fail(forget, dns.EDEOther, fmt.Sprintf("as many questions to %v are under way as recursion.limits.zone_fetches allows", d.zone))
	}
	defer j.r.zones.leave(spaceName{j.r.space, zone})
	ro := j.newRound(d, q, minimised)
	var rep *reply
	defer func() { ro.close(rep != nil) }() // a panic too gives back what the round has taken
	rep, f := ro.run(ctx)
	if f != nil {
		ro.remember(f)
	}
	return rep, f
}

// spentKey is a server and what it was asked; spent is what came of it. A question is put to the same servers again after their parent was
// asked who they are: then no server is asked more often than in one round (RFC 9520 section 3.1), nor one that has said no.
type spentKey struct {
	server netip.AddrPort
	q      dns.Question
}

type spent struct {
	tries int
	out   bool
	f     *failure
}

func (ro *round) remember(f *failure) {
	if ro.j.spent == nil {
		ro.j.spent = make(map[spentKey]spent)
	}
	for i := range ro.cands {
		c := &ro.cands[i]
		ro.j.spent[spentKey{c.server, ro.a.q}] = spent{c.tries, c.out, f}
	}
}

// recall takes over what was spent on the candidates before.
func (ro *round) recall() {
	for i := range ro.cands {
		c := &ro.cands[i]
		s, ok := ro.j.spent[spentKey{c.server, ro.a.q}]
		if !ok {
			continue
		}
		c.tries, c.out, ro.before = s.tries, s.out, s.f
	}
}

func (ro *round) run(ctx context.Context) (*reply, *failure) {
	ro.timer = time.NewTimer(time.Hour)
	defer ro.timer.Stop()
	for {
		for !ro.inTime { // until a question is out: one that could not be sent leads to the next
			if f := ro.next(ctx); f != nil {
				if ro.pocket != nil {
					return ro.pocket, nil
				}
				return nil, f
			}
		}
		select {
		case got := <-ro.got:
			if rep := ro.take(ctx, got); rep != nil {
				return rep, nil
			}
		case found := <-ro.found:
			ro.learn(found)
		case <-ro.timer.C:
			ro.late()
		case <-ctx.Done():
			return nil, fail(briefly, dns.EDENoReachable, fmt.Sprintf("no time left while asking the servers of %v%s", ro.d.zone, ro.saidText()))
		}
	}
}

// next asks the next server, looks for addresses, or waits for what is under way; a failure when none of it is left.
func (ro *round) next(ctx context.Context) *failure {
	r := ro.j.r
	if ro.attempts < maxAttempts {
		c, ok := r.choose(ro.cands, ro.d.zone, r.clock.Boot())
		if !ok || c.weak || c.tries > 0 {
			ro.lookUp(ctx) // before a server is asked again, another one may be found
		}
		if !ok {
			ro.lookUpOther(ctx)
		}
		if ok {
			return ro.launch(ctx, c, c.fact.manner(r.clock.Boot()), ro.suspect(c.candidate))
		}
	} else {
		r.m.limits.With("attempts").Inc()
	}
	switch {
	case ro.lookups > 0:
		ro.wait(lookupPatience)
		return nil
	case len(ro.flying) > 0 && !ro.last:
		ro.last = true
		if ro.span.on() {
			ro.span.event(KindChoose, fmt.Sprintf("all servers were asked as often as they may be: wait %v for late replies", lastWait))
		}
		ro.wait(lastWait)
		return nil
	}
	return ro.give()
}

// suspect tells whether a question to c got replies that did not match it, too few to give it up for them alone: the next one goes over TCP.
func (ro *round) suspect(c *candidate) bool {
	for _, at := range ro.flying {
		if at.socket != nil && &ro.cands[at.cand] == c && at.socket.wrong(at.pending) {
			ro.j.r.m.spoofed.Inc()
			return true
		}
	}
	return false
}

// wait lets the round wait this long before next is called again.
func (ro *round) wait(d time.Duration) {
	ro.inTime = true
	ro.timer.Reset(d)
}

// give says why no server could be asked with success.
func (ro *round) give() *failure {
	if len(ro.cands) == 0 {
		if ro.looked == 0 && ro.mind == briefly {
			return fail(doubling, dns.EDENoReachable, fmt.Sprintf("no usable address of any name server of %v is known%s", ro.d.zone, ro.saidText()))
		}
		f := fail(ro.mind, dns.EDENoReachable, fmt.Sprintf("no address could be found for the name servers of %v%s", ro.d.zone, ro.saidText()))
		f.cause = ro.cause
		return f
	}
	if ro.attempts == 0 && ro.before != nil {
		return ro.before
	}
	text := fmt.Sprintf("no server of %v gave an answer to %v", ro.d.zone, ro.a.q)
	return fail(ro.mind, ro.worst, text+ro.saidText())
}

// say keeps what a server did, for the text of a failure.
func (ro *round) say(text string) {
	ro.j.latest.Store(&text)
	for _, s := range ro.said {
		if s == text {
			return
		}
	}
	if len(ro.said) < 4 { // an EDE text has to fit a UDP answer
		ro.said = append(ro.said, text)
	}
}

func (ro *round) saidText() string {
	if len(ro.said) == 0 {
		return ""
	}
	return ": " + strings.Join(ro.said, ", ")
}

// maxLate is how old an attempt gets while nothing else is left to do. A zone whose only server is silent (three attempts, 0.3, 0.6 and 1.2 s
// apart) has failed after 4 s, before the client gives up: it is told who is silent.
const maxLate = 3 * time.Second

// late notes that the newest attempts gave no reply in time. They go on.
func (ro *round) late() {
	ro.inTime = false
	now := ro.j.r.clock.Boot()
	waiting := 0
	for _, at := range ro.flying {
		c := &ro.cands[at.cand]
		if !at.late {
			at.late = true
			ro.doubtFamily(c)
			ro.say("no reply from " + c.describe())
			if ro.span.on() {
				at.span.event(KindTimeout, fmt.Sprintf("no reply in %v", (now-at.started).Round(time.Millisecond)), "server", c.server.String())
			}
		}
		if now-at.started < maxLate {
			waiting++
		}
	}
	if waiting == 0 && ro.attempts > 0 && len(ro.flying) > 0 {
		ro.dropFlying() // nothing can be expected of them any more
	}
}

// doubtFamily puts the servers of a silent one's family behind the others, if none of that family was ever heard: a family that is dead
// as a whole costs one time-out.
func (ro *round) doubtFamily(silent *candidate) {
	a := silent.server.Addr()
	if ro.j.r.servers.familyProven(a) {
		return
	}
	for i := range ro.cands {
		if ro.cands[i].server.Addr().Is4() == a.Is4() {
			ro.cands[i].doubt = true
		}
	}
}

// timeFor is how long an attempt at c has until another server is asked too.
func (ro *round) timeFor(c *candidate, now time.Duration, familyDead bool) time.Duration {
	rto := c.fact.rto(now)
	if ro.a.recursive {
		rto = max(rto, unknownRTO)
		if !ro.othersUntried(c) {
			rto = max(rto, recursiveRTO)
		}
	}
	rto = min(rto<<(c.tries-1), maxRTO)
	for i := range ro.cands {
		if o := &ro.cands[i]; o == c || o.out || o.tries > 0 || o.server.Addr().Is4() == c.server.Addr().Is4() && familyDead {
			continue
		}
		// Somebody else is there. A family that was put aside is tried beside a question to the other one, and a server that was silent
		// the last time is given no more time than a new one.
		switch {
		case familyDead:
			return 0
		case c.fact.doubtful():
			return min(rto, unknownRTO)
		}
	}
	return rto
}

// othersUntried tells whether a server other than c was not asked yet.
func (ro *round) othersUntried(c *candidate) bool {
	for i := range ro.cands {
		if o := &ro.cands[i]; o != c && !o.out && o.tries == 0 {
			return true
		}
	}
	return false
}

// dropFlying gives up all attempts under way.
func (ro *round) dropFlying() {
	for _, at := range ro.flying {
		ro.drop(at)
		ro.silent = append(ro.silent, at)
	}
	ro.flying = ro.flying[:0]
}

// close ends what is still under way, and settles who is to blame for silence: a server is, if another one was heard since it was
// asked. When nothing anywhere answers, it is the network, and nobody is blamed.
func (ro *round) close(answered bool) {
	r := ro.j.r
	now := r.clock.Boot()
	ro.dropFlying()
	for _, at := range ro.silent {
		if !at.late {
			continue // cut short by a better one
		}
		c := &ro.cands[at.cand]
		switch {
		case !answered && !r.heardSince(at.started):
		case at.tcp:
			c.fact.overTCP(false, now)
		default:
			c.fact.silent(now)
			r.servers.unheard(c.server.Addr(), now)
		}
	}
}

func (c *candidate) describe() string {
	if c.name.IsZero() {
		return c.server.String()
	}
	return fmt.Sprintf("%v (%v)", c.name, c.server.Addr())
}
