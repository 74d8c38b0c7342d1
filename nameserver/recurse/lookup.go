package recurse

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// addressesFound is what a look-up of a name server's addresses came to.
type addressesFound struct {
	name  dns.Name
	addrs []netip.Addr
	err   error
}

// lookupPatience is how long the first look-up of a name server has before a second one is started beside it, and so on. Looking up
// all at once would make a delegation to a hundred names of others a weapon (NXNS, CVE-2020-8616), and cost most zones questions in vain.
const lookupPatience = 400 * time.Millisecond

// lookUp starts to look up the address of the next name server that has none. It is a job of its own, within the same budget; what it
// finds is a candidate more.
func (ro *round) lookUp(ctx context.Context) {
	j, t := ro.j, ro.j.table
	if ro.d.from == fromHints || ro.lookups > 0 && j.r.clock.Boot()-ro.lookedAt < lookupPatience {
		return
	}
	names := ro.d.names[:min(len(ro.d.names), t.Limits.NSNames)]
	if ro.nextName == 0 && len(names) > 1 { // start anywhere, so that all servers of a zone get their share
		k := int(j.r.random() % uint64(len(names)))
		ro.d.names = append(append([]nsName(nil), names[k:]...), names[:k]...)
		names = ro.d.names
	}
	for ; ro.nextName < len(names); ro.nextName++ {
		ns := names[ro.nextName]
		if len(ns.addrs) > 0 {
			continue
		}
		var above dns.Name
		if ns.name.IsWithin(ro.d.zone) {
			// Only the servers of this zone could tell, and if one of them did answer, nothing would have to be looked up. But the zone above
			// may have forgotten the glue, and know it when asked.
			if len(ro.cands) > 0 || ro.d.zone.IsRoot() || j.key.above == ro.d.zone {
				ro.say(fmt.Sprintf("%v lies in the zone and has no glue", ns.name))
				continue
			}
			above = ro.d.zone
		}
		if ro.looked >= t.Limits.Glueless {
			j.r.m.limits.With("glueless").Inc()
			return
		}
		if j.depth >= t.Limits.JobDepth {
			j.r.m.limits.With("job_depth").Inc()
			ro.say(fmt.Sprintf("the address of %v is %d look-ups away", ns.name, j.depth))
			ro.mind = forget // it is near enough for those who need it at less depth
			return
		}
		ro.looked++
		ro.lookedAt = j.r.clock.Boot()
		ro.nextName++
		ro.startLookup(ctx, ns.name, above, ro.families())
		return
	}
}

// lookUpOther starts to look up the address in the other family of the next name server of which only one is known: when nobody is left
// to ask, that may be the one address at which the zone is served.
func (ro *round) lookUpOther(ctx context.Context) {
	t := ro.j.table
	if ro.d.from == fromHints || !t.IPv4 || !t.IPv6 || ro.lookups > 0 {
		return
	}
	names := ro.d.names[:min(len(ro.d.names), t.Limits.NSNames)]
	for ; ro.nextOther < len(names); ro.nextOther++ {
		name := names[ro.nextOther].name
		missing, one := ro.otherFamily(name)
		if !one || name.IsWithin(ro.d.zone) || ro.j.depth >= t.Limits.JobDepth {
			continue
		}
		if ro.looked >= t.Limits.Glueless {
			ro.j.r.m.limits.With("glueless").Inc()
			return
		}
		ro.looked++
		ro.nextOther++
		ro.startLookup(ctx, name, dns.Name{}, []dns.Type{missing})
		return
	}
}

// otherFamily tells which type of address is missing of a name server of which exactly one is known.
func (ro *round) otherFamily(name dns.Name) (missing dns.Type, one bool) {
	v4, v6 := false, false
	for i := range ro.cands {
		if ro.cands[i].name == name {
			v4, v6 = v4 || ro.cands[i].server.Addr().Is4(), v6 || ro.cands[i].server.Addr().Is6()
		}
	}
	if v4 {
		return dns.TypeAAAA, !v6
	}
	return dns.TypeA, v6
}

// families is the order in which a name server's addresses are looked up; the second family only if the first has none, which saves a question
// for most names.
func (ro *round) families() []dns.Type {
	types := familiesOf(ro.j.table)
	if len(types) == 2 && ro.j.r.servers.familyDead(netip.IPv4Unspecified(), ro.j.r.clock.Boot()) {
		types[0], types[1] = types[1], types[0]
	}
	return types
}

// startLookup looks for addresses of the types in turn, until there is one; above is as in Opts.
func (ro *round) startLookup(ctx context.Context, name, above dns.Name, types []dns.Type) {
	if ro.found == nil {
		ro.found = make(chan addressesFound, ro.j.table.Limits.Glueless+1)
	}
	ro.lookups++
	j, r := ro.j, ro.j.r
	waiting := fmt.Sprintf("the address of name server %v is being looked up", name)
	j.latest.Store(&waiting)
	span := ro.span
	if span.on() {
		span = span.event(KindDelegation, fmt.Sprintf("look up the address of name server %v", name), "ns", name.String())
	}
	found := ro.found
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		out := addressesFound{name: name}
		defer func() { found <- out }()
		defer r.recovered("the look-up of name server", name, func(f *failure) { out.err = f })
		for _, typ := range types {
			a, err := r.Resolve(ctx, dns.Question{Name: name, Type: typ, Class: dns.ClassINET}, Opts{
				Table: j.table, Fresh: below(j.key.fresh), Budget: j.budget, server: true, above: above, waiter: j, span: span, depth: j.depth + 1,
			})
			if err != nil { // the other family lies in the same zone and would fail the same way
				out.err = err
				return
			}
			for _, set := range a.Answer {
				if set.Type == typ {
					out.addrs = appendAddrs(out.addrs, set.Data)
				}
			}
			if len(out.addrs) > 0 {
				return
			}
			if out.err == nil {
				out.err = fail(doubling, dns.EDENoReachable, fmt.Sprintf("%v has no address", name))
			}
		}
	}()
}

func familiesOf(t *Table) []dns.Type {
	switch {
	case t.IPv4 && t.IPv6:
		return []dns.Type{dns.TypeA, dns.TypeAAAA}
	case t.IPv6:
		return []dns.Type{dns.TypeAAAA}
	}
	return []dns.Type{dns.TypeA}
}

// learn takes in what a look-up found.
func (ro *round) learn(f addressesFound) {
	ro.lookups--
	j := ro.j
	now := j.r.clock.Boot()
	usable := 0
	for _, a := range f.addrs {
		if j.table.NeverQuery(a) || a.Is4() && !j.table.IPv4 || a.Is6() && !j.table.IPv6 || len(ro.cands) >= j.table.Limits.Addresses {
			continue
		}
		usable++
		s := netip.AddrPortFrom(a, dnsPort)
		if !ro.has(s) {
			ro.cands = append(ro.cands, candidate{server: s, name: f.name, fact: j.r.servers.of(s, now)})
		}
	}
	switch {
	case f.err != nil && len(f.addrs) == 0:
		why := asFailure(f.err)
		ro.cause = why.root()
		ro.say(fmt.Sprintf("%v: %s", f.name, ro.cause))
		if ro.mind != forget && why.mind != briefly {
			ro.mind = why.mind
		}
	case usable == 0:
		ro.say(fmt.Sprintf("%v has only addresses that are never asked", f.name))
	}
	if len(ro.flying) == 0 || ro.allLate() {
		ro.inTime = false // nothing in time is under way: ask it now
	}
}

func (ro *round) allLate() bool {
	for _, at := range ro.flying {
		if !at.late {
			return false
		}
	}
	return true
}

func (ro *round) has(s netip.AddrPort) bool {
	for i := range ro.cands {
		if ro.cands[i].server == s {
			return true
		}
	}
	return false
}

// below is how fresh the answers must be that a job needs on its way.
func below(f Fresh) Fresh {
	if f == FreshAll {
		return FreshAll
	}
	return FreshNot
}
