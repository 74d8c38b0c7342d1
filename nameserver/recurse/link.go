package recurse

import (
	"context"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// Stale answers (RFC 8767).
const (
	staleTTL     = 30               // seconds; section 4: what a stale record's TTL is set to
	staleRecheck = 30 * time.Second // section 5: after a failed refresh, how long until the next one
)

// linkResult is what was found for one link of an alias chain.
type linkResult struct {
	outcome
	stale bool
	asked bool    // the cache alone did not do
	ede   dns.EDE // Code 0: none
}

// link finds one link: in the cache, among remembered failures, or by a job. begin is when the client's question came.
func (r *Resolver) link(ctx context.Context, q dns.Question, o Opts, begin time.Duration) linkResult {
	now := r.clock.Boot()
	var old *outcome // stale, but better than nothing
	if o.Fresh == FreshNot {
		found, state := r.cached(q, now, o)
		switch state {
		case cacheHit:
			return linkResult{outcome: found}
		case cacheStale:
			old = &found
		}
		if state != cacheUnchecked && !o.CD {
			if found, ok := r.deny(q, now, o); ok {
				return linkResult{outcome: found}
			}
		}
	}
	k := failureKey{q.Name, q.Type, r.space}
	if o.Fresh == FreshNot {
		if f, ok := r.failures.get(k, now, old != nil && o.Stale); ok && !(f.bogus && o.CD) {
			r.m.cachedFailures.Inc()
			if o.span.on() {
				o.span.event(KindCache, "this failed a moment ago and is not tried again yet: "+f.Error())
			}
			if old != nil && o.Stale && !f.forged() {
				return r.staleResult(*old, f)
			}
			return linkResult{outcome: outcome{err: f}, ede: dns.EDE{Code: dns.EDECachedError}}
		}
	}
	if o.Cached {
		return linkResult{outcome: outcome{err: errNotCached}}
	}
	var patience time.Duration
	if old != nil && o.Stale {
		patience = o.Table.Limits.StaleTimer
	}
	out := r.await(ctx, q, o, begin, patience)
	if out.err != nil && old != nil && o.Stale && !out.err.forged() { // servers that answer, and wrongly, are no outage
		return r.staleResult(*old, out.err)
	}
	if out.weak && old != nil && o.Stale {
		return r.staleResult(*old, fail(doubling, dns.EDENoReachable, fmt.Sprintf("no server of authority answers for %v", q)))
	}
	return linkResult{outcome: out, asked: true}
}

var errNotCached = fail(forget, dns.EDEOther, "not in the cache")

// ErrNotCached is the error of a resolution with [Opts.Cached] that would have to ask.
var ErrNotCached error = errNotCached

// staleResult is an old outcome, with the reason why there is no newer one.
func (r *Resolver) staleResult(old outcome, why *failure) linkResult {
	r.m.stale.Inc()
	l := linkResult{outcome: old, stale: true, ede: dns.EDE{Code: dns.EDEStaleAnswer, Text: why.Error()}}
	if old.denial != nil && old.denial.Kind == cache.NXDomain {
		l.ede.Code = dns.EDEStaleNXDomain
	}
	return l
}

// await joins or starts the job for q and waits for it, until ctx ends or, if patience is not 0, until the client (whose question came at
// begin) or the job, which may be older, has waited that long. The job goes on in any case.
func (r *Resolver) await(ctx context.Context, q dns.Question, o Opts, begin, patience time.Duration) outcome {
	out, joined := r.awaitOne(ctx, q, o, begin, patience)
	if joined && out.err != nil && out.err.mind == forget && ctx.Err() == nil {
		// The job ran into limits of the query that began it. They are not ours.
		out, _ = r.awaitOne(ctx, q, o, begin, patience)
	}
	return out
}

// awaitOne is await for one job; joined tells whether somebody else began it.
func (r *Resolver) awaitOne(ctx context.Context, q dns.Question, o Opts, begin, patience time.Duration) (_ outcome, joined bool) {
	if r.ctx.Err() != nil {
		return outcome{err: fail(forget, dns.EDENotReady, errClosed.Error())}, false
	}
	t := o.Table
	key := jobKey{q.Name, q.Type, t, o.Fresh, r.cache.Epoch(), o.server, o.CD, o.above}
	limit := t.Limits.Jobs
	if o.waiter != nil {
		limit *= 2 // what a running job needs is not refused for want of room, or nothing would ever end
	}
	j, started, err := r.flight.join(key, o.waiter, limit, func() *job {
		return &job{
			r: r, key: key, q: q, table: t, budget: o.Budget, depth: o.depth, epoch: key.epoch, began: r.clock.Boot(), span: o.span,
			client: o.waiter == nil && !o.silent, worked: o.Budget.work.Spent() != (dnssec.Spent{}),
			waitsFor: make(map[*job]int), done: make(chan struct{}),
		}
	})
	switch {
	case err == errJobs:
		r.m.limits.With("jobs").Inc()
		return outcome{err: fail(forget, dns.EDEOther, err.Error())}, false
	case err == errGroupJobs:
		r.m.limits.With("group_jobs").Inc()
		return outcome{err: fail(forget, dns.EDEOther, err.Error())}, false
	case err != nil:
		if o.span.on() {
			o.span.event(KindLimit, fmt.Sprintf("%v: %v", q, err))
		}
		f := fail(briefly, dns.EDENoReachable, fmt.Sprintf("%v can't be resolved: %v", q, err))
		return outcome{err: f}, false
	}
	defer r.flight.leave(o.waiter, j)
	if started {
		if !r.rootPrimed() && o.Fresh != FreshAll {
			r.prime(t)
		}
		if j.span.on() {
			j.span = j.span.event(KindJob, "not in the cache: ask", "name", q.Name.String(), "type", q.Type.String())
		}
		r.wg.Add(2) // for the job, and for a goroutine that may be new
		if !r.crew.Run(func() { r.runJob(j) }, r.wg.Done) {
			r.wg.Done()
		}
	} else if o.span.on() {
		o.span.event(KindJoin, "the same question is being resolved already: wait for it")
	}
	if patience > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, patience-(r.clock.Boot()-min(begin, j.began)))
		defer stop()
	}
	if err := wait(ctx, j); err != nil {
		return j.unfinished(), false
	}
	return j.out, !started
}

// cacheState says what the cache had.
type cacheState uint8

const (
	cacheMiss cacheState = iota
	cacheHit
	cacheStale
	cacheUnchecked // it is there and was not validated yet, which takes a job
)

// usable tells whether what has this state may be given; what may not is looked at again, or asked for.
func (o *Opts) usable(s cache.Security) bool { return o.CD || validated(s) }

// validated tells whether validation had a look, and nothing against it.
func validated(s cache.Security) bool {
	return s == cache.Secure || s == cache.Insecure || s == cache.Indeterminate
}

// cached looks for a link in the cache: the type asked for, an alias, a denial; an expired one is returned as stale. A question
// for CNAME or ANY follows no alias.
func (r *Resolver) cached(q dns.Question, now time.Duration, o Opts) (outcome, cacheState) {
	var old outcome
	state := cacheMiss
	if q.Type == dns.TypeANY || q.Type == dns.TypeRRSIG { // each server's own choice: never cached
		return old, cacheMiss
	}
	types := [...]dns.Type{q.Type, dns.TypeCNAME}
	n := 2
	if q.Type == dns.TypeCNAME {
		n = 1
	}
	for _, t := range types[:n] {
		e, ok := r.get(q.Name, t)
		if !ok {
			continue
		}
		if !o.usable(e.Security) {
			if e.Security == cache.Unchecked && now < e.Expires {
				return old, cacheUnchecked
			}
			continue
		}
		proofs, whole := r.proofsOf(&e, now)
		if now < e.Expires && whole {
			r.tellCached(o, &e, now)
			r.refreshAhead(q, &e, now, o)
			return outcome{chain: []cache.Entry{e}, proofs: proofs}, cacheHit
		}
		if state == cacheMiss && now < e.Expires+o.Table.Stale {
			old, state = outcome{chain: []cache.Entry{e}, proofs: proofs}, cacheStale
		}
	}
	if e, ok := r.throughDNAME(q.Name, now); ok && !o.usable(e.Security) {
		return old, cacheUnchecked
	} else if ok {
		r.tellCached(o, &e, now)
		return outcome{chain: []cache.Entry{e}}, cacheHit
	}
	d, ok := r.cache.GetDenial(q.Name, q.Type)
	ok = ok && d.SOA.Data != nil // a referral's proof that there is no DS is no answer
	switch {
	case ok && !o.usable(d.Security):
		if d.Security == cache.Unchecked && now < d.Expires {
			return old, cacheUnchecked
		}
	case ok && now < d.Expires:
		if o.span.on() {
			o.span.event(KindCache, fmt.Sprintf("the cache holds that %v has no %v, for another %d s", q.Name, deniedWhat(&d), remaining(now, d.Expires)))
		}
		return outcome{denial: &d}, cacheHit
	case ok && state == cacheMiss && now < d.Expires+o.Table.Stale:
		old, state = outcome{denial: &d}, cacheStale
	}
	if o.span.on() && state == cacheStale {
		o.span.event(KindCache, "the cache holds an answer that has expired")
	}
	return old, state
}

func deniedWhat(d *cache.Denial) string {
	if d.Kind == cache.NXDomain {
		return "records at all"
	}
	return d.Type.String() + " records"
}

func (r *Resolver) tellCached(o Opts, e *cache.Entry, now time.Duration) {
	if o.span.on() {
		server := fromLocal.String()
		if e.Server.IsValid() {
			server = e.Server.String()
		}
		o.span.event(KindCache, fmt.Sprintf("cached for another %d s: %v", remaining(now, e.Expires), e.Set.String()),
			"zone", e.Zone.String(), "server", server)
	}
}

// Refreshing ahead: an answer that is asked for again in the last tenth of its life is asked for anew beside, so that popular names
// are always there.
const (
	aheadPart = 10               // the last tenth
	aheadMin  = 10 * time.Second // shorter lives are not worth it
	maxAhead  = 100              // at a time; more are skipped, and asked for when they have expired
)

// renewal returns when an entry is to be asked for anew, if it is asked for: the end of its life, or the last tenth of it.
func renewal(e *cache.Entry) time.Duration {
	if life := e.Expires - e.Stored; life >= aheadMin {
		return e.Expires - life/aheadPart
	}
	return e.Expires
}

func (r *Resolver) refreshAhead(q dns.Question, e *cache.Entry, now time.Duration, o Opts) {
	if e.Expires-e.Stored < aheadMin || e.Hits == 0 || now < renewal(e) || !o.Ahead {
		return
	}
	k := failureKey{q.Name, q.Type, r.space}
	if _, failed := r.failures.get(k, now, true); failed {
		return // it was tried a moment ago
	}
	if _, begun := r.refreshing.LoadOrStore(k, struct{}{}); begun {
		return
	}
	select {
	case r.ahead <- struct{}{}:
	default:
		r.refreshing.Delete(k)
		r.m.limits.With("ahead").Inc()
		return
	}
	r.m.prefetches.Inc()
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		defer func() { <-r.ahead }()
		defer r.refreshing.Delete(k)
		defer r.recovered("refreshing", &q, func(*failure) {})
		r.await(r.ctx, dns.Question{Name: q.Name, Type: q.Type, Class: q.Class}, Opts{
			Table: o.Table, Fresh: FreshAnswer, CD: o.CD && !validated(e.Security), Budget: r.NewBudget(o.Table),
		}, 0, 0)
	}()
}
