package recurse

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// job is the resolution of one name and type, whoever waits for it.
type job struct {
	r      *Resolver
	key    jobKey
	q      dns.Question
	table  *Table
	budget *Budget
	depth  int
	began  time.Duration // boot time
	epoch  uint64        // of the cache when the work began: a purge since then keeps its results out
	span   span

	latest atomic.Pointer[string] // what it met with last, for those who can't wait for its end

	cuts     map[dns.Name]cut // what referrals on the way brought along, for validation
	below    map[belowKey]signers
	worked   bool               // validation had cost something on the way to this answer before this job began
	client   bool               // nobody but a client, or what stands for one, waits: its failure is worth a report
	agent    dns.Name           // whom the servers asked last want failures reported to (RFC 9567)
	bogus    *bogusReply        // the first answer that failed validation
	retries  int                // servers that were asked because of that
	spent    map[spentKey]spent // what servers were asked in rounds that failed
	waitsFor map[*job]int       // guarded by flight.mu
	done     chan struct{}
	out      outcome // set before done is closed
}

// cut is what a referral brought along of a zone.
type cut struct {
	from   dns.Name // the zone whose servers referred to it
	ds     dns.RRset
	proofs []dns.RRset   // that there is none, if there is none
	until  time.Duration // boot time
}

// material makes a question for DS of it, and its answer.
func (c *cut) material(zone dns.Name) material {
	m := material{zone: c.from, q: dns.Question{Name: zone, Type: dns.TypeDS, Class: dns.ClassINET}, end: zone}
	if c.ds.Data != nil {
		m.chain = []dns.RRset{c.ds}
		return m
	}
	m.what, m.proofs = isNoData, c.proofs
	return m
}

// bogusReply is an answer that failed validation.
type bogusReply struct {
	rep *reply
	k   kept
	f   *failure
}

// runJob runs a job to its end, whoever still waits. A panic costs this job.
func (r *Resolver) runJob(j *job) {
	defer r.wg.Done()
	defer r.flight.finish(j)
	defer r.recovered("the resolution of", &j.q, func(f *failure) { j.out = outcome{err: f} })
	ctx, cancel := context.WithTimeout(r.ctx, j.table.Limits.QueryTime)
	defer cancel()
	start := r.clock.Boot()
	j.out = j.resolve(ctx)
	if j.out.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.m.limits.With("query_time").Inc()
	}
	r.m.jobSeconds.Observe(r.clock.Boot() - start)
	k := failureKey{j.q.Name, j.q.Type, r.space}
	if j.out.err == nil {
		r.failures.clear(k, j.key.cd)
		return
	}
	r.m.failures.Inc()
	if j.key.fresh == FreshAll || r.ctx.Err() != nil {
		return
	}
	if j.out.err.mind == doubling && !r.heardSince(start) {
		f := *j.out.err  // others may share it
		f.mind = briefly // when nothing anywhere answers, nobody is to blame
		j.out.err = &f
	}
	j.report(j.out.err)
	r.failures.put(k, j.out.err, r.clock.Boot(), j.table.Limits.FailureTTLMin, j.table.Limits.FailureTTLMax)
}

// resolve is the loop over the stages. It ends: each turn follows a referral, asks for a part of the name or goes back to the parent, and
// each of these is bounded.
func (j *job) resolve(ctx context.Context) outcome {
	r, t := j.r, j.table
	if out, ok := j.fromCache(ctx); ok {
		return out
	}
	d := r.deepest(t, j.q, j.key.fresh)
	above := !j.key.above.IsZero()
	if above {
		d = r.above(t, j.q, j.key.above, j.key.fresh)
	}
	j.keysAhead(ctx, d)
	m := minimiser{q: j.q, off: t.Minimisation == MinimiseOff || d.from == fromForward || above}
	cached, parentAgain := d.from == fromReferral, false
	for referrals := 0; ; {
		q, whole := m.next(d.zone)
		if !whole && r.noCutAt(q, d.zone, j.key.fresh) {
			continue
		}
		var rep *reply
		var f *failure
		if whole {
			rep, f = j.ask(ctx, d, q, false)
		} else {
			rep, f = j.askPart(ctx, d, q)
		}
		if f != nil {
			switch {
			case j.bogus != nil: // no other server did better
				return j.concludeBogus()
			case f.mind == forget || ctx.Err() != nil:
				return outcome{err: f}
			case !whole && t.Minimisation == MinimiseRelaxed:
				j.span.event(KindDelegation, "the minimised question was of no use: ask for the whole name", "why", f.Error())
				m.off = true
				continue
			case cached && !parentAgain:
				// The zone may have moved since the parent was asked.
				j.span.event(KindDelegation, fmt.Sprintf("the servers of %v that were cached are of no use: ask the parent again", d.zone))
				parentAgain, cached = true, false
				d, m.shown = r.above(t, j.q, d.zone, j.key.fresh), 0
				continue
			}
			return outcome{err: f}
		}
		if j.agent = agentOf(rep.msg); rep.v.what == isReferral {
			j.agent = dns.Name{} // the parent has no part in what fails below
		}
		k := scrub(rep.msg, rep.a, rep.v)
		j.tellScrubbed(rep, &k)
		switch {
		case rep.v.what == isReferral:
			if referrals++; referrals > t.Limits.DelegationDepth {
				r.m.limits.With("delegation_depth").Inc()
				return outcome{err: fail(doubling, dns.EDEOther, fmt.Sprintf("more zones on the way to %v than recursion.limits.delegation_depth allows", j.q.Name))}
			}
			d, cached = j.keepReferral(rep, &k, d), false
			j.keysAhead(ctx, d)
			if out, ok := j.glued(&k); ok {
				return out
			}
		case whole, rep.v.what == isNXDomain && t.Minimisation == MinimiseStrict:
			// Nothing exists below a name that does not (RFC 8020). Relaxed asks on, for servers that get empty non-terminals wrong.
			if out, ok := j.settle(ctx, rep, &k); ok {
				return out
			}
		case rep.v.what == isNXDomain, rep.v.what == isAlias && len(k.chain) > 0 && k.chain[0].Type == dns.TypeDNAME:
			m.off = true
		default:
			j.compose(rep, &k, nil, 1) // kept: the next name in this zone need not ask
		}
	}
}

// settle validates an answer and concludes with it. ok is false if it is bogus and another server is to be asked.
func (j *job) settle(ctx context.Context, rep *reply, k *kept) (out outcome, ok bool) {
	if j.key.cd {
		return j.concludeChain(rep, k, nil), true
	}
	c := j.check(ctx, material{zone: rep.a.zone, q: rep.a.q, what: rep.v.what, end: rep.v.end, chain: k.chain, soa: k.soa, proofs: k.proofs})
	switch {
	case c.bogus == nil:
		return j.concludeChain(rep, k, &c), true
	case len(c.sets) > 0 && isAliasType(k.chain[len(c.sets)-1].Type, rep.a.q.Type): // what an alias leads to: its own servers may say it better
		j.tellCut(rep, "is bogus: "+c.bogus.Error())
		head, first := cutChain(rep, k, len(c.sets))
		c.denial, c.bogus = finding{}, nil
		return j.conclude(head, first, &c), true
	}
	if j.bogus == nil {
		j.bogus = &bogusReply{rep, *k, c.bogus}
	}
	if c.above || c.bogus.mind != doubling || j.retries >= j.table.Limits.BogusRetries || ctx.Err() != nil {
		return j.concludeBogus(), true
	}
	j.retries++
	if j.span.on() {
		j.span.event(KindValidate, "bogus: another server of "+rep.a.zone.String()+" may know better", "why", c.bogus.Error())
	}
	if j.spent == nil {
		j.spent = make(map[spentKey]spent)
	}
	j.spent[spentKey{rep.server, rep.a.q}] = spent{tries: maxTries, out: true, f: c.bogus}
	return outcome{}, false
}

// unfinished is the failure of those who waited for the job and can't any longer.
func (j *job) unfinished() outcome {
	text := fmt.Sprintf("no answer to %v in time", j.q)
	if met := j.latest.Load(); met != nil {
		text += ": " + *met
	}
	return outcome{err: fail(briefly, dns.EDENoReachable, text)}
}

// above returns the closest zone above the one whose servers failed.
func (r *Resolver) above(t *Table, q dns.Question, failed dns.Name, fresh Fresh) *delegation {
	if failed.IsRoot() {
		return r.hints(t)
	}
	return r.deepest(t, dns.Question{Name: failed.Parent(), Type: dns.TypeNS, Class: q.Class}, fresh)
}

// noCutAt tells whether the cache knows already that a minimised question would find no delegation: the name lies in this zone.
func (r *Resolver) noCutAt(q dns.Question, zone dns.Name, fresh Fresh) bool {
	if fresh == FreshAll {
		return false
	}
	now := r.clock.Boot()
	if d, ok := r.cache.PeekDenial(q.Name, q.Type); ok && now < d.Expires && d.Type == q.Type && d.Zone == zone {
		return true
	}
	e, ok := r.peek(q.Name, q.Type)
	return ok && now < e.Expires && e.Zone == zone
}

func (j *job) tellScrubbed(rep *reply, k *kept) {
	sp := rep.attempt.span
	if !sp.on() {
		return
	}
	for i := range k.chain {
		sp.event(KindKept, "keep "+k.chain[i].String(), "section", "answer")
	}
	if k.ns.Data != nil {
		sp.event(KindKept, fmt.Sprintf("keep the delegation of %v to %d name servers, %d with addresses", rep.v.cut, k.ns.Data.Len(), gluedNames(k)),
			"section", "authority", "zone", rep.v.cut.String())
	}
	if k.soa.Data != nil {
		sp.event(KindKept, fmt.Sprintf("keep the denial by %v", k.soa.Name), "section", "authority")
	}
	for _, x := range k.refused {
		sp.event(KindRefused, "refuse "+x.String(), "name", x.name.String(), "type", x.typ.String(), "why", x.why)
	}
}

func gluedNames(k *kept) int {
	n := 0
	for i := range k.glue {
		if i == 0 || k.glue[i].Name != k.glue[i-1].Name {
			n++
		}
	}
	return n
}

// remaining returns what is left of a TTL, in whole seconds, at least 1 while it lives. All TTLs tick together, when boot time comes to a whole
// second: so what one was at one time tells what it is at another, whatever fraction of a second it ends at (see [Answer.Until]).
func remaining(now, expires time.Duration) uint32 {
	if expires <= now {
		return 0
	}
	return uint32(max(1, expires/time.Second-now/time.Second))
}
