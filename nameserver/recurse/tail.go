package recurse

import (
	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// What stands behind the first alias of a reply was not asked for (RFC 2181 section 5.4.1): a forged alias of some random name could bring along an
// alias or an address of one that matters. Only the first is kept. The others are followed for this answer, and what they lead to is asked for on its
// own; what the reply had of it is used where that comes to nothing. What validation found secure needs no second question, and a
// forwarder was asked for all of it.

// concludeChain is conclude for a reply that may hold more than the first alias.
func (j *job) concludeChain(rep *reply, k *kept, c *checked) outcome {
	n := len(k.chain)
	if !rep.v.denies() && n > 0 && !isAliasType(k.chain[n-1].Type, rep.a.q.Type) {
		n--
	}
	whole := n == len(k.chain) && !rep.v.denies() // nothing but aliases
	if n == 0 || rep.a.recursive || rep.a.q.Type == dns.TypeANY || whole && n == 1 || secureFrom(c, 1) {
		return j.conclude(rep, k, c)
	}
	stored := 1
	for stored < n && c != nil && c.sets[stored].Security == cache.Secure {
		stored++
	}
	if whole {
		return j.compose(rep, k, c, stored)
	}
	j.tellCut(rep, "was not asked for")
	head, first := cutChain(rep, k, n)
	rest, behind := *rep, *k
	rest.a.q.Name, behind.chain = head.v.end, k.chain[n:]
	var headChecked, restChecked *checked
	if c != nil {
		h, r := *c, *c
		h.sets, h.denial, r.sets = c.sets[:n], finding{}, c.sets[n:]
		headChecked, restChecked = &h, &r
	}
	out := j.compose(head, first, headChecked, stored)
	spare := j.compose(&rest, &behind, restChecked, 0)
	out.spare = &spare
	return out
}

// isAliasType tells whether a set leads on from where it stands, when that type is wanted.
func isAliasType(t, wanted dns.Type) bool {
	return (t == dns.TypeCNAME || t == dns.TypeDNAME) && t != wanted
}

// secureFrom tells whether validation found all secure that is behind the first n sets of a chain, and the denial if there is one.
func secureFrom(c *checked, n int) bool {
	if c == nil {
		return false
	}
	for i := min(n, len(c.sets)); i < len(c.sets); i++ {
		if c.sets[i].Security != cache.Secure {
			return false
		}
	}
	return c.denial.Security == cache.Secure || c.denial.Security == cache.Unchecked
}

// cutChain is a reply that ends with the first n sets of its chain, which are aliases.
func cutChain(rep *reply, k *kept, n int) (*reply, *kept) {
	head, first := *rep, *k
	head.v.what, head.v.end, head.v.soa = isAlias, rep.a.q.Name, dns.Name{}
	first.chain, first.soa = k.chain[:n], dns.RRset{}
	for i := range first.chain {
		head.v.end = leadsTo(head.v.end, first.chain[i])
	}
	return &head, &first
}

// leadsTo is where an alias leads a name; the name itself if it leads nowhere.
func leadsTo(name dns.Name, set dns.RRset) dns.Name {
	if set.Type == dns.TypeDNAME {
		var ok bool
		if set, ok = synthesise(name, set); !ok {
			return name
		}
	}
	if to, ok := aliasTarget(set); ok {
		return to
	}
	return name
}

func (j *job) tellCut(rep *reply, why string) {
	if j.span.on() {
		j.span.event(KindKept, "what the reply says of the target of the alias "+why, "name", rep.v.end.String())
	}
}
