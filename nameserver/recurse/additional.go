package recurse

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// The additional section: the addresses that who asks for HTTPS, SVCB, SRV or MX records asks for next (RFC 9460 section 4.2, RFC 2782,
// RFC 1035 section 3.3.9). They come from the cache, at the rank of an answer, and are never asked for: a client that needs what is missing
// asks for it itself (RFC 9460 section 5.2). docs/RATIONALE.md says why these types and no others.

const (
	// maxAdditionalLooks is how many look-ups into the cache one answer is worth: eight targets with two families, and some aliases. A miss
	// takes 100 ns and a hit 250 ns: 8 us at most, less than the packets of one question that it saves.
	maxAdditionalLooks = 32

	// maxAdditionalAliases is how many aliases are followed from one target, those of SVCB and CNAME records together. RFC 9460 section 4.2
	// leaves the length to the resolver; honest chains have one or two.
	maxAdditionalAliases = 4

	// maxAdditionalOctets is how much data, signatures included, an answer may get by it: all that fits into the largest answer over UDP,
	// and four times as much as is usual.
	maxAdditionalOctets = 4096
)

// gatherer looks for what belongs into the additional section of one answer.
type gatherer struct {
	r     *Resolver
	o     *Opts
	a     *Answer
	now   time.Duration
	looks int
	size  int
}

// additional fills the additional section of an answer to q.
func (r *Resolver) additional(a *Answer, q dns.Question, o *Opts) {
	switch q.Type {
	case dns.TypeHTTPS, dns.TypeSVCB, dns.TypeSRV, dns.TypeMX:
	default:
		return
	}
	if len(a.Answer) == 0 || a.RCode != dns.RCodeSuccess {
		return
	}
	set := &a.Answer[len(a.Answer)-1]
	if set.Type != q.Type {
		return // an alias whose target has no such records
	}
	g := gatherer{r: r, o: o, a: a, now: r.clock.Boot()}
	if q.Type == dns.TypeHTTPS || q.Type == dns.TypeSVCB {
		g.services(*set)
		return
	}
	for data := range set.Data.All() {
		// RFC 2782 and RFC 2181 section 10.3: the target of these is no alias, so none is followed. "." says that there is none.
		if target, ok := dns.RdataName(set.Type, data); ok && !target.IsRoot() {
			g.addresses(target, maxAdditionalAliases)
		}
	}
}

// services follows SVCB-compatible records (RFC 9460 section 4.2): one in AliasMode to the records of its target, those in ServiceMode to
// the addresses of theirs, the preferred first.
func (g *gatherer) services(set dns.RRset) {
	for steps := 0; ; steps++ {
		var services, aliases []service
		for data := range set.Data.All() {
			target, ok := dns.RdataName(set.Type, data)
			if !ok {
				continue
			}
			s := service{priority: binary.BigEndian.Uint16(data), target: target}
			if s.priority == 0 {
				aliases = append(aliases, s)
			} else {
				services = append(services, s)
			}
		}
		if len(aliases) == 0 {
			slices.SortStableFunc(services, func(a, b service) int { return int(a.priority) - int(b.priority) })
			for _, s := range services {
				if s.target.IsRoot() { // section 2.5.2: the owner itself
					s.target = set.Name
				}
				g.addresses(s.target, steps)
			}
			return
		}
		// Section 4.2: one of them at random; others beside it are ignored (section 2.4.1).
		if len(aliases) > 1 {
			g.a.Until = 0
		}
		alias := aliases[int(g.r.random()%uint64(len(aliases)))]
		if alias.target.IsRoot() || steps == maxAdditionalAliases { // section 2.5.1: "." says that there is no service
			return
		}
		chain, next, ok := g.find(alias.target, steps+1, set.Type)
		if !ok {
			g.addresses(alias.target, steps+1)
			return
		}
		if next[0].Name.Equal(set.Name) {
			return // an alias of itself
		}
		g.add(chain...)
		g.add(next...)
		set = next[0]
	}
}

// service is what counts of one SVCB-compatible record.
type service struct {
	priority uint16 // 0: AliasMode
	target   dns.Name
}

// addresses adds what is known of the addresses of a name to which that many aliases led.
func (g *gatherer) addresses(name dns.Name, aliases int) {
	chain, found, _ := g.find(name, aliases, dns.TypeA, dns.TypeAAAA)
	if len(found) > 0 {
		g.add(chain...)
		g.add(found...)
	}
}

// find looks for RRsets of any of these types at a name to which that many aliases led, or where further aliases lead from it.
func (g *gatherer) find(name dns.Name, aliases int, types ...dns.Type) (chain, found []dns.RRset, ok bool) {
	for ; ; aliases++ {
		for _, t := range types {
			if set, ok := g.look(name, t); ok {
				found = append(found, set)
			}
		}
		if len(found) > 0 || aliases >= maxAdditionalAliases {
			return chain, found, len(found) > 0
		}
		alias, ok := g.look(name, dns.TypeCNAME)
		if !ok {
			return chain, nil, false
		}
		to, ok := dns.RdataName(dns.TypeCNAME, alias.Data.First())
		if !ok {
			return chain, nil, false
		}
		chain, name = append(chain, alias), to
	}
}

// look returns an RRset of the cache that may stand beside the answer.
func (g *gatherer) look(name dns.Name, t dns.Type) (dns.RRset, bool) {
	if g.looks == maxAdditionalLooks {
		g.r.m.limits.With("additional_looks").Inc()
	}
	if g.looks++; g.looks > maxAdditionalLooks {
		return dns.RRset{}, false
	}
	e, ok := g.r.peek(name, t)
	switch {
	case !ok || !e.Live(g.now) || e.Rank < cache.RankAnswer || !g.beside(e.Security):
		return dns.RRset{}, false
	case g.o.Proofs && expanded(&e.Set):
		return dns.RRset{}, false // its proofs would have to come along (RFC 9460 section 4.3)
	}
	e.Set.TTL = g.a.bounded(e.Set.TTL, remaining(g.now, e.Expires))
	g.a.Until = min(g.a.Until, e.Expires)
	return e.Set, true
}

// beside tells whether what has this security may stand beside the answer: beside one that is secure nothing less, as people take AD for the
// whole, whatever RFC 4035 section 3.2.3 says; and nothing that is bogus, even for who set CD and will not look at it.
func (g *gatherer) beside(s cache.Security) bool {
	if g.a.Security == cache.Secure {
		return s == cache.Secure
	}
	return s != cache.Bogus && g.o.usable(s)
}

// add puts sets into the section, each once.
func (g *gatherer) add(sets ...dns.RRset) {
	for _, set := range sets {
		n := len(set.Data) + len(set.Sigs)
		if g.size+n > maxAdditionalOctets {
			g.r.m.limits.With("additional_octets").Inc()
			continue
		}
		same := func(s dns.RRset) bool { return s.Type == set.Type && s.Name.Equal(set.Name) }
		if slices.ContainsFunc(g.a.Answer, same) || slices.ContainsFunc(g.a.Additional, same) {
			continue
		}
		g.size += n
		g.a.Additional = append(g.a.Additional, set)
	}
}
