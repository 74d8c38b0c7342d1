package recurse

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// attempt is one question to one server.
type attempt struct {
	cand    int // index into the round's candidates
	started time.Duration
	tcp     bool
	edns    bool
	options bool
	mixed   bool
	asked   dns.Name // as it was sent, case and all
	cookie  bool     // the server's cookie was sent
	late    bool     // passed its time; still welcome
	span    span

	socket  *udpSocket
	pending *pending
	cancel  context.CancelFunc // TCP
}

// launch sends the question to c in the manner that it wants; overTCP where a reply said so.
func (ro *round) launch(ctx context.Context, c choice, m manner, overTCP bool) *failure {
	j, r := ro.j, ro.j.r
	if ro.attempts >= maxAttempts {
		r.m.limits.With("attempts").Inc()
		return ro.give()
	}
	now := r.clock.Boot()
	limit := j.table.Limits.ServerFetches
	if ro.a.recursive { // a forwarder is asked for everything; jobs are its limit
		limit = j.table.Limits.Jobs
	}
	if !c.fact.sent(now, limit) {
		r.m.limits.With("server_fetches").Inc()
		c.out = true
		ro.say(c.describe() + " has as many questions as recursion.limits.server_fetches allows")
		ro.mind = forget
		return nil
	}
	flying := false
	defer func() {
		if !flying { // whatever kept it from being sent
			c.fact.done()
		}
	}()
	if !j.budget.take() {
		r.m.limits.With("upstream_questions").Inc()
		return fail(forget, dns.EDEOther, fmt.Sprintf("the query cost more questions to name servers than recursion.limits.upstream_questions allows (%d)%s",
			j.table.Limits.UpstreamQuestions, ro.saidText()))
	}
	c.tries++
	ro.attempts++
	at := &attempt{cand: ro.index(c.candidate), started: now, tcp: overTCP || m.tcp}
	familyDead := r.servers.tryFamily(c.server.Addr(), now)
	// A server that was silent when asked with EDNS, and has never shown that it knows it, may drop what it does not know.
	at.edns = m.edns && (m.ednsProven || c.tries < 3)
	at.options = at.edns && m.options
	at.mixed = m.mixCase
	msg := ro.message(at, c.server, m)
	rto := ro.timeFor(c.candidate, now, familyDead)
	if ro.span.on() {
		at.span = ro.span.event(KindAsk, fmt.Sprintf("ask %s over %s: %s", c.describe(), transportName(at.tcp), c.why),
			"server", c.server.String(), "ns", c.name.String(), "transport", transportName(at.tcp), "why", c.why,
			"srtt_us", fmt.Sprint(c.fact.smoothed().Microseconds()))
	}
	r.m.upstream(at.tcp).Inc()
	if at.tcp {
		tctx, cancel := context.WithCancel(ctx)
		at.cancel = cancel
		ro.flying = append(ro.flying, at)
		flying = true
		r.wg.Add(1)
		go func() {
			defer r.wg.Done()
			got := &received{attempt: at}
			defer func() { ro.got <- got }()
			defer r.recovered("asking over TCP for", &ro.a.q, func(f *failure) { got.err = f })
			got.msg, got.err = r.tcp.ask(tctx, c.server, msg)
			got.at = r.clock.Boot()
		}()
		ro.wait(max(rto*2, tcpPatience))
		return nil
	}
	at.pending = &pending{attempt: at, server: c.server, id: uint16(msg[0])<<8 | uint16(msg[1]), wire: questionSection(msg), to: ro.got}
	u, err := r.udp(c.server).send(at.pending, msg)
	if err != nil {
		c.out = true
		ro.worst = dns.EDENetworkError
		ro.say(err.Error())
		r.servers.unreachable(c.server.Addr(), now)
		if ro.span.on() {
			at.span.event(KindReply, err.Error())
		}
		return nil
	}
	at.socket = u
	ro.flying = append(ro.flying, at)
	flying = true
	if rto == 0 {
		ro.inTime = false // the next one goes out beside it
		return nil
	}
	ro.wait(rto)
	return nil
}

// tcpPatience is how long a connection and a reply over it may take before another server is asked too: a connection costs a
// round trip more, and a lost SYN a second.
const tcpPatience = 600 * time.Millisecond

func transportName(tcp bool) string {
	if tcp {
		return "TCP"
	}
	return "UDP"
}

func (ro *round) index(c *candidate) int {
	for i := range ro.cands {
		if &ro.cands[i] == c {
			return i
		}
	}
	return -1 // cannot be: c points into cands
}

// message writes the query for an attempt.
func (ro *round) message(at *attempt, server netip.AddrPort, m manner) []byte {
	r := ro.j.r
	q := ro.a.q
	if at.mixed {
		q.Name = q.Name.MixCase(r.random)
	}
	at.asked = q.Name
	var flags dns.Flags
	if ro.a.recursive {
		flags |= dns.FlagRD
	}
	var size uint16
	var o dns.Options
	if at.edns {
		size = uint16(ro.j.table.Limits.UDPPayload)
		if ro.a.recursive {
			flags |= dns.FlagCD // validation is ours to do, not the forwarder's
		}
		if at.options {
			client := r.clientCookie(server.Addr())
			o = o.Append(dns.OptionCookie, client[:], m.cookie[:m.cookieLen])
			at.cookie = m.cookieLen > 0
		}
	}
	return dns.AppendQuestion(nil, uint16(r.random()), flags, q, size, true, o)
}

// drop gives an attempt up.
func (ro *round) drop(at *attempt) {
	if at.socket != nil {
		ro.j.r.udp(at.pending.server).forget(at.socket, at.pending)
	}
	if at.cancel != nil {
		at.cancel()
	}
	ro.cands[at.cand].fact.done()
}

// landed takes an attempt out of those under way; false if it was given up before.
func (ro *round) landed(at *attempt) bool {
	for i, f := range ro.flying {
		if f == at {
			ro.flying = append(ro.flying[:i], ro.flying[i+1:]...)
			ro.cands[at.cand].fact.done()
			if at.cancel != nil {
				at.cancel()
			}
			return true
		}
	}
	return false
}

// take looks at what came for an attempt: a reply that can be used ends the round, anything else leads to another attempt.
func (ro *round) take(ctx context.Context, got *received) *reply {
	at := got.attempt
	if !ro.landed(at) {
		return nil
	}
	r := ro.j.r
	c := &ro.cands[at.cand]
	now := r.clock.Boot()
	if !at.late {
		ro.inTime = false // whatever comes of it, the wait for it is over
	}
	switch {
	case got.wrong:
		ro.say("replies that looked forged in place of " + c.describe())
		ro.tell(at, "replies that do not match the question: forged, or a server that changes its case; asked again over TCP")
		c.cased = c.cased || got.cased
		ro.again(ctx, c, c.fact.manner(now), true)
		return nil
	case got.err != nil:
		ro.say(fmt.Sprintf("%s: %v", c.describe(), got.err))
		ro.tell(at, got.err.Error())
		if !at.tcp {
			c.out = true
		} else if ctx.Err() == nil {
			c.tries = max(c.tries, maxTries-1) // TCP that fails costs most
			if r.heardSince(at.started) {
				c.fact.overTCP(false, now)
			}
			if c.cased && !c.lower {
				// TCP can't tell who changed the case. Who forged the first reply has to guess id and port of another one.
				c.lower = true
				m := c.fact.manner(now)
				m.mixCase = false
				ro.again(ctx, c, m, false)
			}
		}
		return nil
	}
	rtt := got.at - at.started
	if at.tcp {
		c.fact.overTCP(true, now)
	} else {
		c.fact.replied(rtt)
	}
	r.heard(now)
	r.servers.heard(c.server.Addr())

	flattened := at.restoreCase(got.msg)
	msg := new(dns.Message)
	if err := dns.Parse(got.msg, msg); err != nil {
		if !at.tcp && len(got.msg) >= replyBufSize { // it ended where our buffer does
			ro.tell(at, "the reply is larger than was asked for, and cut off; asked again over TCP")
			ro.again(ctx, c, c.fact.manner(now), true)
			return nil
		}
		r.m.malformed.Inc()
		ro.fault(c, at, "malformed reply: "+err.Error(), dns.EDEInvalidData)
		c.out = at.tcp || c.tries >= 2
		return nil
	}
	if !ro.cookieHolds(at, c, msg) {
		ro.tell(at, "the server's cookie is missing or wrong; asked again over TCP")
		ro.again(ctx, c, c.fact.manner(now), true)
		return nil
	}
	a := ro.a
	a.edns, a.options, a.tcp = at.edns, at.options, at.tcp
	v := classify(msg, a)
	if at.tcp && flattened || !at.tcp && c.lower {
		c.fact.setFlattens(now) // nobody else can have written it over TCP, or guessed twice: this server changes case
	}
	if at.span.on() {
		at.span.event(KindReply, fmt.Sprintf("%v in %.1f ms: %v%s", msg.RCode(), float64(rtt.Microseconds())/1000, v.what, because(v.why)),
			"rcode", msg.RCode().String(), "is", v.what.String(), "rtt_us", fmt.Sprint(rtt.Microseconds()), "size", fmt.Sprint(len(got.msg)))
	}
	return ro.judge(ctx, at, c, msg, a, v)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// judge acts on the verdict of classify.
func (ro *round) judge(ctx context.Context, at *attempt, c *candidate, msg *dns.Message, a asked, v verdict) *reply {
	now := ro.j.r.clock.Boot()
	m := c.fact.manner(now)
	if !at.tcp {
		c.fact.truncated(v.what == isTruncated, now)
	}
	switch v.what {
	case isTruncated:
		if at.tcp {
			break
		}
		ro.again(ctx, c, m, true)
		return nil
	case isNoOptions:
		c.fact.setNoOptions(now)
		m.options = false
		ro.again(ctx, c, m, at.tcp)
		return nil
	case isNoEDNS:
		c.fact.setNoEDNS(now)
		m.edns = false
		ro.again(ctx, c, m, at.tcp)
		return nil
	case isBadCookie:
		// The cookie was learned in cookieHolds. A second refusal is settled over TCP (RFC 7873 section 5.3).
		ro.again(ctx, c, m, at.tcp || at.cookie)
		return nil
	case isLame:
		if !a.minimised { // some refuse only what is not the whole name
			c.fact.setLame(ro.d.zone, now)
		}
		ro.mind = doubling
		ro.fault(c, at, v.why, dns.EDENoReachable)
		c.out = true
		return nil
	case isBroken:
		ro.mind = doubling
		ro.fault(c, at, v.why, dns.EDENoReachable)
		c.out = at.tcp || c.tries >= 2
		return nil
	}
	if !at.edns && m.edns && !at.tcp {
		c.fact.setNoEDNS(now) // it answers so, and was silent with EDNS
	}
	rep := &reply{msg: msg, v: v, a: a, server: c.server, name: c.name, attempt: at}
	if v.weak != "" {
		if v.weak == weakRecursive || v.weak == weakNoZone && !a.minimised {
			c.fact.setLame(ro.d.zone, now)
		}
		c.out = true
		ro.say(c.describe() + " " + v.weak)
		switch {
		case a.minimised && v.weak != weakRecursive: // the whole name will be asked for
			ro.mind = doubling
		case ro.pocket == nil || ro.pocket.v.denies() && !v.denies():
			ro.pocket = rep
		}
		return nil
	}
	return rep
}

// restoreCase writes the question of a reply in lower case, so that names that are compressed to it don't carry our random case to clients,
// and tells whether the server had changed it.
func (at *attempt) restoreCase(reply []byte) (flattened bool) {
	end := dns.HeaderLen + at.asked.Len()
	if !at.mixed || len(reply) < end || reply[4]|reply[5] == 0 {
		return false
	}
	name := reply[dns.HeaderLen:end]
	if !strings.EqualFold(string(name), at.asked.Wire()) {
		return false // not our question; the caller sees to that
	}
	flattened = string(name) != at.asked.Wire()
	copy(name, at.asked.Lower().Wire())
	return flattened
}

// fault notes what is wrong with a server's reply.
func (ro *round) fault(c *candidate, at *attempt, why string, code dns.EDECode) {
	ro.worst = code
	ro.say(c.describe() + ": " + why)
}

func (ro *round) tell(at *attempt, text string) {
	if at.span.on() {
		at.span.event(KindReply, text)
	}
}

// again asks the same server once more, in another manner. It counts as any other question.
func (ro *round) again(ctx context.Context, c *candidate, m manner, tcp bool) {
	if c.tries > maxTries+1 { // truncation, EDNS and a cookie may each ask for one more; then it goes in circles
		c.out = true
		return
	}
	if f := ro.launch(ctx, choice{candidate: c, why: "again, in another manner"}, m, tcp); f != nil {
		c.out = true
	}
}

// cookieHolds checks the cookie of a reply (RFC 7873 section 5.3) and learns the server's. A server that has sent cookies before and
// sends none now may be somebody else; over TCP that is believed, and the cookie forgotten.
func (ro *round) cookieHolds(at *attempt, c *candidate, msg *dns.Message) bool {
	if !at.options {
		if msg.HasEDNS && at.edns {
			c.fact.learnEDNS(true, nil)
		}
		return true
	}
	data, ok := msg.EDNS.Options.Find(dns.OptionCookie)
	client := ro.j.r.clientCookie(c.server.Addr())
	if ok && (len(data) < 8 || string(data[:8]) != string(client[:])) {
		return false
	}
	// An error without OPT may come from a server that has lost EDNS; data without it may come from anybody.
	if rc := msg.RCode(); !ok && at.cookie && !at.tcp && (msg.HasEDNS || rc == dns.RCodeSuccess || rc == dns.RCodeNameError) {
		return false
	}
	if ok && len(data) >= 16 && len(data) <= 8+maxCookie {
		c.fact.learnEDNS(true, data[8:])
	} else {
		c.fact.learnEDNS(msg.HasEDNS, nil)
	}
	return true
}
