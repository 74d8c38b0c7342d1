package recurse

import (
	"context"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// prime asks a server of the hints for the root's own name servers (RFC 9609). It runs beside the first resolution: until it is done,
// and if it fails, the hints serve, and it is not tried again for primingRetry.
func (r *Resolver) prime(t *Table) {
	if _, _, _, ok := t.Lookup(dns.Root); ok {
		return // the root's servers are never asked
	}
	if r.localUsable(t) {
		return // nor are they while there is a copy of what they say
	}
	if int64(r.clock.Boot()) < r.primeAgain.Load() || !r.priming.CompareAndSwap(false, true) {
		return
	}
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		defer r.priming.Store(false)
		defer r.recovered("priming", nil, func(*failure) {})
		j := &job{
			r: r, q: dns.Question{Name: dns.Root, Type: dns.TypeNS, Class: dns.ClassINET}, table: t,
			budget: r.budget(t, maxPriming), epoch: r.cache.Epoch(), waitsFor: map[*job]int{},
		}
		ctx, cancel := context.WithTimeout(r.ctx, t.Limits.QueryTime)
		defer cancel()
		rep, f := j.ask(ctx, r.hints(t), j.q, false)
		if f != nil {
			r.primed(f)
			return
		}
		set, ok := collect(rep.msg, dns.Answer, dns.Root, dns.TypeNS, newUsed(rep.msg))
		if !ok {
			r.primed(fail(forget, dns.EDEInvalidData, "the answer has no NS records of the root"))
			return
		}
		// The same rules as for a referral: addresses of the names in the NS records, from who speaks for all of the tree.
		k := kept{}
		sections := rep.msg.Sections
		rep.msg.Sections[dns.Authority] = sections[dns.Answer]
		rep.v = verdict{what: isReferral, cut: dns.Root}
		k.keepReferral(rep.msg, rep.a, rep.v, newUsed(rep.msg))
		k.ns = set
		if len(k.glue) == 0 {
			r.primed(fail(forget, dns.EDEInvalidData, "the answer has no addresses of the root's servers"))
			return
		}
		j.keepReferral(rep, &k, r.hints(t))
		r.primed(nil)
	}()
}

// primingRetry is how long a failed priming is let be: resolutions need none, and must not cost more questions each.
const primingRetry = time.Minute

// maxPriming bounds the questions of priming: three for each of half the root's servers.
const maxPriming = 20

func (r *Resolver) primed(f *failure) {
	result := "done"
	if f != nil {
		result = "failed"
		r.primeAgain.Store(int64(r.clock.Boot() + primingRetry))
		if r.ctx.Err() == nil {
			r.log.Warn("priming failed; the root hints serve on", "error", f.Error())
		}
	}
	r.m.priming.With(result).Inc()
}

// rootPrimed tells whether the root's own list of its servers is cached.
func (r *Resolver) rootPrimed() bool {
	_, ok := r.cache.Peek(cache.Key{Name: dns.Root, Type: dns.TypeNS, Partition: delegations})
	return ok
}
