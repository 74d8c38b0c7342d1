package recurse

import (
	"context"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// material is what is to be validated: what was kept of one reply, or found unchecked in the cache.
type material struct {
	zone   dns.Name // whose servers said it
	q      dns.Question
	what   is       // isNXDomain or isNoData: end is denied
	end    dns.Name // the name at the end of the chain
	chain  []dns.RRset
	soa    dns.RRset
	proofs []dns.RRset
}

// finding is a result of package dnssec, with what the caller has to know of the way to it.
type finding struct {
	dnssec.Result
	mind   remember
	proofs []dns.RRset   // of a set that came from a wildcard: those of it that were verified
	until  time.Duration // boot time at which it ends for another reason than a TTL: a negative trust anchor; 0: none
	above  bool          // it is bogus because of what lies above: another server of this zone would say the same
}

// checked is what became of a material.
type checked struct {
	sets   []finding // of the chain
	denial finding
	proofs []dns.RRset // of the denial, those that were verified; nil: none was looked at
	proved is          // isNXDomain or isNoData where one of them is proved, which the response code need not be; else isAnswer
	bogus  *failure
	above  bool
}

// denied is what is denied, of which the reply said what: a response code is not signed.
func (c *checked) denied(said is) is {
	if c == nil || c.proved == isAnswer {
		return said
	}
	return c.proved
}

// check validates: each RRset of the chain, that of a wildcard together with the proof that nothing is closer, and the denial at its end.
// The first that is bogus ends it.
func (j *job) check(ctx context.Context, m material) (c checked) {
	bogus := func(f finding) checked {
		c.bogus = fail(f.mind, f.EDE.Code, f.EDE.Text)
		c.bogus.bogus, c.above = true, f.above
		return c
	}
	for i := range m.chain {
		set := &m.chain[i]
		f := j.checkSet(ctx, set, m.zone)
		switch {
		case !f.Secure() || f.Wildcard.IsZero():
		case set.Type == dns.TypeDNAME && set.Name != m.q.Name:
			// RFC 4592 section 4.4 leaves it undefined what it would redirect.
			f = bogusFinding(dns.EDEBogus, "%v DNAME comes from a wildcard, and can redirect nothing", set.Name)
		default:
			f = j.checkExpanded(ctx, set, f, m.proofs)
		}
		j.tellSet(set, &f)
		if f.Security == cache.Bogus {
			return bogus(f)
		}
		c.sets = append(c.sets, f)
	}
	if m.what != isNXDomain && m.what != isNoData {
		return c
	}
	c.denial = j.checkDenial(ctx, m, &c)
	j.tellDenial(&m, &c)
	if c.denial.Security == cache.Bogus {
		return bogus(c.denial)
	}
	return c
}

// maxSigners is how many zones are believed to be a set's signer, if its signatures name several. All but one are wrong: the zone that
// contains the set (RFC 4035 section 5.3.1). A second one is looked at because anybody on the way may add signatures.
const maxSigners = 2

// signersIn returns the zones that signatures name as their signers, at or above top and at or below the anchor; those nearest to top first.
func signersIn(top, anchor dns.Name, sigs ...dns.Records) []dns.Name {
	var out []dns.Name
	for _, records := range sigs {
		for data := range records.All() {
			sig, err := dns.ParseRRSIG(data)
			if err != nil {
				continue
			}
			s := sig.SignerName.Lower()
			if !top.IsWithin(s) || !s.IsWithin(anchor) {
				continue
			}
			at := len(out)
			for i, o := range out {
				if o == s {
					at = -1
					break
				}
				if o.Labels() < s.Labels() && at == len(out) {
					at = i
				}
			}
			if at < 0 || at >= maxSigners {
				continue
			}
			out = append(out[:at:at], append([]dns.Name{s}, out[at:]...)...)
			out = out[:min(len(out), maxSigners)]
		}
	}
	return out
}

// ownerZoneOf is the name to which what is said about (name, type) belongs: DS records and their denial are the parent's.
func ownerZoneOf(name dns.Name, t dns.Type) dns.Name {
	if t == dns.TypeDS && !name.IsRoot() {
		return name.Parent()
	}
	return name
}

// without is the finding for what is not to be validated, or can't be.
func without(t trust) finding {
	return finding{Result: dnssec.Result{Security: t.security, EDE: t.why, Zone: t.zone}, mind: t.mind, above: t.security == cache.Bogus}
}

// unanchored is the finding for what lies below no trust anchor, or below a negative one.
func unanchored(t trust) finding {
	f := without(t)
	if t.security == cache.Insecure {
		f.until = t.expires
	}
	return f
}

func bogusFinding(code dns.EDECode, format string, args ...any) finding {
	return finding{Result: dnssec.Result{Security: cache.Bogus, EDE: dns.EDE{Code: code, Text: fmt.Sprintf(format, args...)}}, mind: doubling}
}

func (j *job) findingOf(r dnssec.Result) finding { return finding{Result: r, mind: j.mindOf(r)} }

// checkSet validates one RRset that the servers of zone from gave.
func (j *job) checkSet(ctx context.Context, set *dns.RRset, from dns.Name) finding {
	if set.Type == dns.TypeRRSIG { // not signed (RFC 4035 section 2.2)
		return finding{Result: dnssec.Result{Security: cache.Insecure}}
	}
	top := ownerZoneOf(set.Name, set.Type)
	anchor, none, ok := j.anchored(top)
	if !ok {
		return unanchored(none)
	}
	if set.Type == dns.TypeDNSKEY {
		if f, ok := j.checkApex(ctx, set, anchor); ok {
			return f
		}
	}
	var worst finding
	signers := signersIn(top, anchor.Zone, set.Sigs)
	for _, s := range signers {
		if j.gaveAway(ctx, s, from, top) {
			continue
		}
		f := j.checkBy(ctx, s, func(keys *dnssec.Keys) dnssec.Result { return dnssec.CheckSet(set, keys, j.r.wall(), j.budget.work) })
		if f.Security != cache.Bogus {
			return f
		}
		if worst.Security == cache.Unchecked {
			worst = f
		}
		if s == from || f.Limit != dnssec.NoLimit {
			return worst
		}
	}
	// No signature of a zone that the set could be in: then it must be proved that it may have none.
	t := j.walk(ctx, from, top, anchor)
	switch {
	case t.security == cache.Bogus:
		f := without(t)
		if worst.Security != cache.Unchecked {
			f.EDE = worst.EDE
		} else {
			f.EDE = dns.EDE{Code: dns.EDERRSIGsMissing, Text: fmt.Sprintf("%v %v has no RRSIG, and nothing proves that it needs none: %s", set.Name, set.Type, t.why.Text)}
		}
		f.above = false
		return f
	case t.security != cache.Secure:
		return without(t)
	case worst.Security != cache.Unchecked:
		return worst
	case set.Sigs.Len() > 0: // let the check say what is wrong with them
		return j.findingOf(dnssec.CheckSet(set, t.keys, j.r.wall(), j.budget.work))
	}
	return bogusFinding(dns.EDERRSIGsMissing, "%v %v has no RRSIG, though its zone %v is signed", set.Name, set.Type, t.zone)
}

// gaveAway tells whether a signer has delegated the zone whose servers spoke, which contains the name: then it signs nothing there any more (RFC 4035
// section 5.3.1). Most of what is signed is signed by the zone whose servers gave it, and costs nothing here.
func (j *job) gaveAway(ctx context.Context, signer, from, top dns.Name) bool {
	if from == signer || !from.IsWithin(signer) || !top.IsWithin(from) {
		return false
	}
	return j.trust(ctx, from).zone == from
}

// checkBy has something checked by the keys of a zone. If it fails and the keys were known for a while, the zone may have new ones: they are
// asked for anew, once.
func (j *job) checkBy(ctx context.Context, zone dns.Name, check func(*dnssec.Keys) dnssec.Result) finding {
	t := j.trust(ctx, zone)
	switch {
	case t.security != cache.Secure:
		return without(t)
	case t.zone != zone:
		return bogusFinding(dns.EDEBogus, "the signer %v is no zone; the name lies in %v", zone, t.zone)
	}
	r := check(t.keys)
	if r.Security == cache.Bogus && r.Limit == dnssec.NoLimit {
		if renewed, ok := j.renew(ctx, zone, t); ok {
			r = check(renewed.keys)
		}
	}
	return j.findingOf(r)
}

// renewAfter is how old keys and DS records are at least before a failure is reason to ask for them anew: a zone that is broken costs
// one question more in this time, and one that rolls its keys is believed again after it.
const renewAfter = 10 * time.Second

// renew asks for the keys of a zone anew.
func (j *job) renew(ctx context.Context, zone dns.Name, old trust) (trust, bool) {
	if j.key.fresh != FreshNot && j.key.fresh != FreshAnswer || j.r.clock.Boot()-old.stored < renewAfter {
		return old, false
	}
	j.span.event(KindValidate, fmt.Sprintf("the cached keys of %v do not fit: ask for them anew", zone))
	out := j.needFresh(ctx, dns.Question{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET})
	t, ok := j.trusts().get(j.trustKey(zone), j.r.clock.Boot())
	if out.err != nil || !ok || t.stored == old.stored || t.security != cache.Secure {
		if ok && t.stored == old.stored { // not again for a while
			t.stored = j.r.clock.Boot()
			j.trusts().put(j.trustKey(zone), t, t.stored)
		}
		return old, false
	}
	return t, true
}

// needFresh is need past the cache.
func (j *job) needFresh(ctx context.Context, q dns.Question) outcome {
	return j.r.await(ctx, q, Opts{
		Table: j.table, Fresh: FreshAnswer, Budget: j.budget, waiter: j, span: j.span, depth: j.depth,
	}, j.r.clock.Boot(), 0)
}

// checkApex validates the DNSKEY set of a zone by what the zone above or an anchor says of its keys. ok is false if the name is no zone.
func (j *job) checkApex(ctx context.Context, set *dns.RRset, anchor Anchor) (finding, bool) {
	zone := set.Name
	s := signers{anchored: true, ds: anchor.DS, anchors: anchor.DNSKEY, expires: j.r.clock.Boot() + j.table.MaxTTL}
	if zone != anchor.Zone {
		switch s = j.signersOf(ctx, zone); s.state {
		case cutNone:
			return finding{}, false
		case cutSigned:
		default:
			return without(s.trust), true
		}
	}
	t := j.checkKeys(zone, set, s)
	if t.security == cache.Bogus && zone != anchor.Zone && t.set.Limit == dnssec.NoLimit && j.key.fresh != FreshAll {
		if renewed, ok := j.renewDS(ctx, zone, s); ok {
			t = j.checkKeys(zone, set, renewed)
		}
	}
	return j.findingOf(*t.set), true
}

// renewDS asks for the DS records of a zone anew, if those that are known were not just asked for: the zone may have rolled its keys.
func (j *job) renewDS(ctx context.Context, zone dns.Name, old signers) (signers, bool) {
	e, ok := j.r.peek(zone, dns.TypeDS)
	if now := j.r.clock.Boot(); ok && now-e.Stored < renewAfter || !j.r.renewals.claim(spaceName{j.r.space, zone}, now) {
		return old, false
	}
	j.span.event(KindValidate, fmt.Sprintf("the cached DS records of %v do not fit: ask for them anew", zone))
	out := j.needFresh(ctx, dns.Question{Name: zone, Type: dns.TypeDS, Class: dns.ClassINET})
	if out.err != nil {
		return old, false
	}
	for i := range out.chain {
		if e := &out.chain[i]; e.Set.Type == dns.TypeDS && e.Set.Name == zone && e.Security == cache.Secure {
			return setSigners(zone, e), string(e.Set.Data) != string(old.ds)
		}
	}
	return old, false
}

// walk finds out what holds for top, of which the servers of zone from spoke without a signature that counts: it goes down from the keys that are
// known, name by name, and has each proved to be no delegation, a signed one, or an unsigned one, which ends it.
func (j *job) walk(ctx context.Context, from, top dns.Name, anchor Anchor) trust {
	if !from.IsWithin(anchor.Zone) || !top.IsWithin(from) {
		from = anchor.Zone
	}
	t := j.trust(ctx, from)
	for n := from.Labels() + 1; n <= top.Labels() && t.security == cache.Secure; n++ {
		name := top.Ancestor(n)
		if known, ok := j.trusts().get(j.trustKey(name), j.r.clock.Boot()); ok {
			t = known
			continue
		}
		switch s := j.signersBelow(ctx, name, t); s.state {
		case cutSigned:
			t = j.trustKeys(ctx, name, s)
		case cutUnsigned:
			j.keepTrust(name, &s.trust)
			return s.trust
		default:
			t = s.trust
		}
	}
	return t
}

// checkExpanded validates an RRset that came from a wildcard, by the proof that no closer name exists (RFC 4035 section 5.3.4).
func (j *job) checkExpanded(ctx context.Context, set *dns.RRset, f finding, proofs []dns.RRset) finding {
	e := j.checkBy(ctx, f.Zone, func(keys *dnssec.Keys) dnssec.Result {
		var d *dnssec.Denial
		d, f.proofs = j.denialOf(keys, proofs)
		return d.Expanded(set.Name, f.Wildcard, j.budget.work)
	})
	switch e.Security {
	case cache.Bogus:
		e.EDE.Text = fmt.Sprintf("%v %v comes from a wildcard, and it is not proved that nothing is closer: %s", set.Name, set.Type, e.EDE.Text)
		return e
	case cache.Secure:
		f.TTL = min(f.TTL, e.TTL)
		return f
	}
	f.Security, f.EDE = e.Security, e.EDE
	return f
}

// denialOf collects the proofs that the keys verify, and returns these. Others may be forged, and must not be kept among them.
func (j *job) denialOf(keys *dnssec.Keys, proofs []dns.RRset) (d *dnssec.Denial, good []dns.RRset) {
	d = dnssec.NewDenial(keys.Zone())
	good = make([]dns.RRset, 0, len(proofs))
	for i := range proofs {
		if !d.Look(j.budget.work) {
			break
		}
		r := j.checkProof(&proofs[i], keys)
		err := d.Add(&proofs[i], r, j.budget.work)
		if err == nil && len(good) < cache.MaxProofs {
			good = append(good, proofs[i])
		}
		if err != nil && j.span.on() {
			text := err.Error()
			if r.Security == cache.Bogus {
				text = r.EDE.Text
			}
			j.span.event(KindRefused, "refuse the proof by "+proofs[i].Name.String()+": "+text, "name", proofs[i].Name.String(), "type", proofs[i].Type.String(), "why", text)
		}
	}
	return d, good
}

// checkProof checks a proof, unless the very same was checked before and is still kept: all denials of a zone by NSEC3 have one in common, and
// referrals to unsigned zones too.
func (j *job) checkProof(set *dns.RRset, keys *dnssec.Keys) dnssec.Result {
	now := j.r.clock.Boot()
	if j.key.fresh == FreshNot {
		e, ok := j.r.cache.CoveringDenial(keys.Zone(), set.Name, set.Type)
		if ok && e.Set.Name == set.Name && same(&e, set, now) {
			return dnssec.Result{Security: cache.Secure, Zone: keys.Zone(), TTL: min(set.TTL, remaining(now, e.Expires))}
		}
	}
	r := dnssec.CheckSet(set, keys, j.r.wall(), j.budget.work)
	if r.Secure() && r.Wildcard.IsZero() && j.key.fresh != FreshAll && !j.r.wall().IsZero() {
		kept := *set
		kept.TTL = min(kept.TTL, r.TTL)
		j.r.cache.PutProof(keys.Zone(), kept, cache.RankAuthority, now, now+min(time.Duration(kept.TTL)*time.Second, j.table.NegativeMaxTTL), j.epoch)
	}
	return r
}

// checkSOA is checkProof for the SOA record of a denial.
func (j *job) checkSOA(set *dns.RRset, keys *dnssec.Keys) dnssec.Result {
	if j.key.fresh == FreshNot {
		now := j.r.clock.Boot()
		if e, ok := j.r.cache.Peek(cache.Key{Name: set.Name, Type: dns.TypeSOA, Partition: denialSOAs}); ok && same(&e, set, now) {
			return dnssec.Result{Security: cache.Secure, Zone: keys.Zone(), TTL: min(set.TTL, remaining(now, e.Expires))}
		}
	}
	return dnssec.CheckSet(set, keys, j.r.wall(), j.budget.work)
}

// same tells whether a set that was validated is, octet by octet, this one.
func same(e *cache.Entry, set *dns.RRset, now time.Duration) bool {
	return e.Security == cache.Secure && now < e.Expires && string(e.Set.Data) == string(set.Data) && string(e.Set.Sigs) == string(set.Sigs)
}

// checkDenial validates that m.end does not exist, or has no records of the type. In c it leaves the proofs that count, and whether the first
// was said and the second is proved.
func (j *job) checkDenial(ctx context.Context, m material, c *checked) (f finding) {
	top := ownerZoneOf(m.end, m.q.Type)
	anchor, none, ok := j.anchored(top)
	if !ok {
		return unanchored(none)
	}
	if m.q.Type == dns.TypeDNSKEY && m.end != anchor.Zone {
		// Its keys would be needed to believe a signed zone that it has none.
		switch s := j.signersOf(ctx, m.end); s.state {
		case cutSigned:
			return bogusFinding(dns.EDEDNSKEYMissing, "%v says that it has no DNSKEY, though DS records name one", m.end)
		case cutNone:
		default:
			return without(s.trust)
		}
	} else if m.q.Type == dns.TypeDNSKEY {
		return bogusFinding(dns.EDEDNSKEYMissing, "%v says that it has no DNSKEY, though there is a trust anchor for it", m.end)
	}
	sigs := []dns.Records{m.soa.Sigs}
	for i := range m.proofs {
		sigs = append(sigs, m.proofs[i].Sigs)
	}
	from := m.zone
	if m.soa.Data != nil && m.soa.Name.IsWithin(from) {
		from = m.soa.Name
	}
	var worst finding
	for _, s := range signersIn(top, anchor.Zone, sigs...) {
		if j.gaveAway(ctx, s, m.zone, top) {
			continue
		}
		f = j.checkBy(ctx, s, func(keys *dnssec.Keys) (r dnssec.Result) {
			r, c.proved, c.proofs = j.prove(&m, keys)
			return r
		})
		if f.Security != cache.Bogus {
			return f
		}
		if worst.Security == cache.Unchecked {
			worst = f
		}
		if s == from || f.Limit != dnssec.NoLimit {
			return worst
		}
	}
	t := j.walk(ctx, from, top, anchor)
	switch {
	case t.security != cache.Secure && t.security != cache.Bogus:
		return without(t)
	case worst.Security != cache.Unchecked:
		return worst
	case len(m.proofs) > 0 || m.soa.Data != nil && m.soa.Sigs.Len() == 0:
		return bogusFinding(dns.EDERRSIGsMissing, "the denial of %v has no RRSIG, though the zone %v is signed", m.end, from)
	}
	return bogusFinding(dns.EDENSECMissing, "%v is denied without NSEC or NSEC3, though the zone %v is signed", m.end, from)
}

// prove asks the proofs of a denial for what was said, and tells what it is that they prove.
func (j *job) prove(m *material, keys *dnssec.Keys) (r dnssec.Result, proved is, good []dns.RRset) {
	w, zone := j.budget.work, keys.Zone()
	soa := dnssec.Result{Security: cache.Secure, TTL: ^uint32(0)}
	if m.soa.Data != nil { // a referral has none
		if m.soa.Name != zone {
			return dnssec.Result{Security: cache.Bogus, Zone: zone, EDE: dns.EDE{Code: dns.EDEBogus,
				Text: fmt.Sprintf("%v is denied by %v, but the proofs are of %v", m.end, m.soa.Name, zone)}}, isAnswer, nil
		}
		if soa = j.checkSOA(&m.soa, keys); !soa.Secure() {
			return soa, isAnswer, nil
		}
	}
	d, good := j.denialOf(keys, m.proofs)
	proved = m.what
	if m.what == isNXDomain {
		r = d.NXDomain(m.end, w)
		if r.Security == cache.Bogus && r.Limit == dnssec.NoLimit { // the response code is not signed: some servers mistake it
			if n := d.NoData(m.end, m.q.Type, w); n.Security != cache.Bogus {
				r, proved = n, isNoData
			}
		}
	} else {
		r = d.NoData(m.end, m.q.Type, w)
		if r.Security == cache.Bogus && r.Limit == dnssec.NoLimit && m.q.Type == dns.TypeDS {
			if n := d.Unsigned(m.end, w); n.Security != cache.Bogus { // an opt-out span, which covers delegations that are not there
				r = n
			}
		}
		if r.Security == cache.Secure || r.Security == cache.Bogus && r.Limit == dnssec.NoLimit {
			// What does not exist has no records either. Of a compact denial (RFC 9824) both are proved by one record.
			switch n := d.NXDomain(m.end, w); n.Security {
			case cache.Secure:
				r, proved = n, isNXDomain
			case cache.Insecure:
				if r.Security == cache.Bogus {
					r = n
				}
			}
		}
	}
	if r.Security == cache.Secure {
		r.TTL = min(r.TTL, soa.TTL)
	}
	return r, proved, good
}
