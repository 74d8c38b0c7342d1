package recurse

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/nameserver/dnssec"
)

// The chain of trust (RFC 4035 section 5): from an anchor down, each zone's DS records are signed by the keys of the zone above, and name
// the keys of the zone. What is known of a zone is a trust.
//
// Example: the keys of example.com. are needed. The anchor is the root's. trust(example.com.) needs trust(com.), which needs trust(.), whose
// DNSKEY set is asked for and checked with the anchor; then DS of com., which the root's referral brought along, is checked with these
// keys, DNSKEY of com. with it, and so on down. Each DS and DNSKEY set that has to be asked for is a job of its own, in the budget of the
// query, and known to the search for cycles; it is asked once however many wait.
//
// A hard one: with a forwarder no referral tells where zones begin. A signature names its signer, which may be a zone or not. Its DS
// is asked for; if the zone above proves that there is no delegation at that name, the name lies in that zone, and trust returns that zone's.

// trust is what is known of a zone, or of the zone that a name lies in.
type trust struct {
	zone     dns.Name       // whose keys they are; not the zone that was asked for if that is none
	security cache.Security // Secure: keys are there. Insecure: proved to be unsigned. Bogus: broken. Indeterminate: no anchor is above
	keys     *dnssec.Keys
	why      dns.EDE // of what is not secure; code 0 and no text: an unsigned delegation, as most are
	mind     remember
	stored   time.Duration // boot time
	expires  time.Duration // boot time

	// iterations and salt are those of its latest NSEC3 denial; hashes tells whether there was one.
	hashes     bool
	iterations uint16
	salt       string

	ds  dns.Records    // what it was checked with, for the trace
	set *dnssec.Result // of the DNSKEY set, for the trace
}

// maxTrusts bounds what is remembered of zones: at some 500 octets for a signed zone and 200 for one that is not, 25 MiB.
const maxTrusts = 50_000

// trusts remembers what is known of zones, by zone and by what it depends on in the settings.
type trusts struct {
	mu   sync.RWMutex
	m    map[trustKey]trust
	full func()
}

type trustKey struct {
	zone  dns.Name
	space cache.Space
	terms [16]byte // Table.terms: anchors, and what is supported
}

func newTrusts(full func()) *trusts { return &trusts{m: make(map[trustKey]trust), full: full} }

func (s *trusts) get(k trustKey, now time.Duration) (trust, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.m[k]
	return t, ok && now < t.expires
}

func (s *trusts) put(k trustKey, t trust, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.m[k]; !ok && len(s.m) >= maxTrusts {
		s.evict(now)
	}
	s.m[k] = t
}

// evict makes room: what is over first, else any but the root, on which all depends.
func (s *trusts) evict(now time.Duration) {
	n := 0
	for k, t := range s.m { // random order: 16 are a sample
		if now >= t.expires || n >= 15 && !k.zone.IsRoot() {
			delete(s.m, k)
			s.full()
			return
		}
		n++
	}
}

// purge forgets a zone, or all zones below a name.
func (s *trusts) purge(name dns.Name, subtree bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k := range s.m {
		if k.zone == name || subtree && k.zone.IsWithin(name) {
			delete(s.m, k)
			n++
		}
	}
	return n
}

// noteHash remembers how the names of a zone were hashed for a secure denial.
func (s *trusts) noteHash(k trustKey, iterations uint16, salt []byte) {
	s.mu.RLock()
	t, ok := s.m[k]
	s.mu.RUnlock()
	if !ok || t.hashes && t.iterations == iterations && t.salt == string(salt) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok = s.m[k]; ok {
		t.hashes, t.iterations, t.salt = true, iterations, string(salt)
		s.m[k] = t
	}
}

func (s *trusts) len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.m)
}

// clockTerm is how long what was checked without a clock is kept: the clock may be right any moment, and then times count.
const clockTerm = time.Minute

// trusts returns where this job keeps what it finds of zones: with nothing cached, that is the query's own memory.
func (j *job) trusts() *trusts {
	if j.key.fresh == FreshAll {
		return j.budget.trusts
	}
	return j.r.trusts
}

func (j *job) trustKey(zone dns.Name) trustKey { return trustKey{zone, j.r.space, j.table.terms} }

// anchored tells whether a name is to be validated at all: the deepest trust anchor at or above it, unless a negative one (RFC 7646) is as
// deep. ok is false where it is not, and then why says so.
func (j *job) anchored(name dns.Name) (anchor Anchor, why trust, ok bool) {
	now := j.r.clock.Boot()
	anchor, ok = j.table.Anchor(name)
	if !ok {
		return anchor, trust{zone: name, security: cache.Indeterminate, expires: now + j.table.MaxTTL}, false
	}
	if n, negative := j.table.negated(anchor, name, j.r.clock.Wall()); negative {
		t := trust{zone: n.Zone, security: cache.Insecure, expires: now + j.table.MaxTTL}
		if !n.Until.IsZero() {
			t.expires = min(t.expires, now+n.Until.Sub(j.r.clock.Wall()))
		}
		return anchor, t, false
	}
	return anchor, trust{}, true
}

// trust finds out what is known of a zone, which lies at or below anchor. A Bogus result says why there is none.
func (j *job) trust(ctx context.Context, zone dns.Name) trust {
	now := j.r.clock.Boot()
	anchor, none, ok := j.anchored(zone)
	if !ok {
		return none
	}
	if t, ok := j.trusts().get(j.trustKey(zone), now); ok {
		return t
	}
	var t trust
	if zone == anchor.Zone {
		t = j.trustKeys(ctx, zone, signers{anchored: true, anchors: anchor.DNSKEY, ds: anchor.DS, expires: now + j.table.MaxTTL})
	} else {
		s := j.signersOf(ctx, zone)
		if s.state != cutSigned {
			return s.trust
		}
		t = j.trustKeys(ctx, zone, s)
	}
	return t
}

// signers is what names the keys of a zone.
type signers struct {
	state    delegationState
	anchored bool // by the settings, not by the zone above
	ds       dns.Records
	anchors  dns.Records
	expires  time.Duration // boot time
	trust    trust         // if the state is another than cutSigned
	denied   cache.Denial  // that there are DS records, if that was checked just now
}

// delegationState is what the zone above says of a name.
type delegationState uint8

const (
	cutSigned   delegationState = iota // it has DS records
	cutUnsigned                        // proved to be a delegation without, or below one; or nothing is to be validated here
	cutNone                            // proved to be no delegation: it lies in the zone above
	cutBroken                          // none of it is proved
)

// signersOf finds out whether a name, which has a trust anchor strictly above it, is a signed delegation.
func (j *job) signersOf(ctx context.Context, zone dns.Name) signers {
	above := j.trust(ctx, j.zoneAbove(zone))
	if above.security != cache.Secure {
		above.zone = zone
		return signers{state: stateOf(above), trust: above}
	}
	s := j.signersBelow(ctx, zone, above)
	if s.state == cutUnsigned {
		j.keepTrust(zone, &s.trust)
	}
	return s
}

func stateOf(t trust) delegationState {
	if t.security == cache.Bogus {
		return cutBroken
	}
	return cutUnsigned
}

// zoneAbove is the zone that delegates a zone: the one whose servers referred to it, as far as that is known, else the name above.
func (j *job) zoneAbove(zone dns.Name) dns.Name {
	above := zone.Parent()
	if c, ok := j.cuts[zone]; ok {
		above = c.from
	} else if j.key.fresh != FreshAll {
		if e, ok := j.r.cache.Peek(cache.Key{Name: zone, Type: dns.TypeNS, Partition: delegations}); ok && e.Live(j.r.clock.Boot()) {
			above = e.Zone
		}
	}
	anchor, _ := j.table.Anchor(zone.Parent())
	if !above.IsWithin(anchor.Zone) || above == zone {
		above = anchor.Zone
	}
	return above
}

// belowKey names what was asked of a zone about a name below it.
type belowKey struct{ zone, above dns.Name }

// signersBelow is signersOf below a zone that is secure. A job finds it out once for each name: what is found of a name needs what is found of all names
// above it, some of it twice, which is without end for a deep name if each begins anew.
func (j *job) signersBelow(ctx context.Context, zone dns.Name, above trust) signers {
	k := belowKey{zone, above.zone}
	if s, ok := j.below[k]; ok {
		return s
	}
	s := j.findSigners(ctx, zone, above)
	if j.below == nil {
		j.below = make(map[belowKey]signers)
	}
	j.below[k] = s
	return s
}

func (j *job) findSigners(ctx context.Context, zone dns.Name, above trust) signers {
	if ctx.Err() != nil {
		return brokenSigners(zone, fail(forget, dns.EDENoReachable, fmt.Sprintf("no time was left to find out whether %v is signed", zone)))
	}
	now := j.r.clock.Boot()
	// What a referral brought along needs no question.
	if j.key.fresh != FreshAll {
		if s, ok := j.cachedSigners(ctx, zone, above, now); ok {
			return s
		}
	} else if c, ok := j.cuts[zone]; ok {
		if s, f := j.signersFrom(ctx, zone, above, c.material(zone), c.until); f == nil {
			return s
		}
	}
	q := dns.Question{Name: zone, Type: dns.TypeDS, Class: dns.ClassINET}
	out := j.need(ctx, q)
	switch {
	case out.err != nil:
		return brokenSigners(zone, out.err)
	case out.denial != nil && len(out.chain) == 0:
		return j.deniedSigners(zone, above, out.denial)
	}
	if len(out.chain) > 0 { // of aliases only the first is about this name: what it leads to, or what is denied there, is about another
		switch e := &out.chain[0]; {
		case e.Set.Type == dns.TypeDS && e.Set.Name == zone:
			return setSigners(zone, e)
		case e.Security == cache.Insecure:
			return signers{state: cutUnsigned, trust: trust{zone: zone, security: cache.Insecure, expires: e.Expires}}
		}
	}
	// An alias: DS of a name that is no delegation was answered with what stands there.
	return signers{state: cutNone, trust: above}
}

// setSigners is what a DS set that was validated says. It is proved to count for nothing, or it counts: one that was checked without a clock is no more
// than Indeterminate, and that is no proof of anything.
func setSigners(zone dns.Name, e *cache.Entry) signers {
	if e.Security != cache.Insecure {
		return signers{state: cutSigned, ds: e.Set.Data, expires: e.Expires}
	}
	return signers{state: cutUnsigned, trust: trust{zone: zone, security: cache.Insecure, expires: e.Expires}}
}

func brokenSigners(zone dns.Name, f *failure) signers {
	return signers{state: cutBroken, trust: trust{zone: zone, security: cache.Bogus, why: f.ede, mind: f.mind}}
}

// cachedSigners looks for DS records, or their denial, in the cache, and checks what was kept unchecked.
func (j *job) cachedSigners(ctx context.Context, zone dns.Name, above trust, now time.Duration) (signers, bool) {
	if e, ok := j.r.peek(zone, dns.TypeDS); ok && now < e.Expires {
		switch e.Security {
		case cache.Secure, cache.Insecure:
			return setSigners(zone, &e), true
		case cache.Bogus:
		default:
			m := material{zone: e.Zone, q: dns.Question{Name: zone, Type: dns.TypeDS, Class: dns.ClassINET}, end: zone, chain: []dns.RRset{e.Set}}
			s, f := j.signersFrom(ctx, zone, above, m, e.Expires)
			switch {
			case f == nil && s.state == cutSigned && !j.r.wall().IsZero():
				e.Security, e.Expires = cache.Secure, s.expires
				j.r.put(e, j.epoch)
			case f != nil && f.forged(): // not to be checked again by everybody who comes by
				e.Security, e.Expires = cache.Bogus, min(e.Expires, now+j.table.Limits.BogusTTL)
				j.r.put(e, j.epoch)
			}
			if f == nil {
				return s, true
			}
		}
	}
	d, ok := j.r.cache.PeekDenial(zone, dns.TypeDS)
	if !ok || now >= d.Expires || d.Type != dns.TypeDS && d.Kind != cache.NXDomain {
		return signers{}, false
	}
	switch d.Security {
	case cache.Secure, cache.Insecure:
		s := j.deniedSigners(zone, above, &d)
		return s, s.state != cutBroken
	case cache.Bogus:
		return signers{}, false
	}
	m := material{zone: d.Zone, q: dns.Question{Name: zone, Type: dns.TypeDS, Class: dns.ClassINET}, end: zone, soa: d.SOA, proofs: d.Proof, what: isNoData}
	if d.Kind == cache.NXDomain {
		m.what = isNXDomain
	}
	s, f := j.signersFrom(ctx, zone, above, m, d.Expires)
	if f == nil && s.state == cutUnsigned && !j.r.wall().IsZero() {
		// One from a referral has no SOA record and answers nobody by itself; but its proofs can deny.
		d.Security, d.Expires, d.Proof = s.denied.Security, min(d.Expires, s.trust.expires), s.denied.Proof
		if d.Security == cache.Secure { // it may be one of a zone below, whose servers are the same
			d.Zone = s.denied.Zone
		}
		j.r.putDenial(d, j.epoch)
	}
	return s, f == nil
}

// signersFrom checks DS records, or what should prove that there are none. If it can't be believed, the zone above is to be asked.
func (j *job) signersFrom(ctx context.Context, zone dns.Name, above trust, m material, until time.Duration) (signers, *failure) {
	if len(m.chain) == 0 && len(m.proofs) == 0 {
		return signers{}, fail(forget, dns.EDENSECMissing, fmt.Sprintf("nothing is known of DS records of %v", zone))
	}
	c := j.check(ctx, m)
	if c.bogus != nil {
		return signers{}, c.bogus
	}
	if len(m.chain) > 0 {
		e := cache.Entry{Set: m.chain[0], Security: c.sets[0].Security, Expires: min(until, j.until(&c.sets[0]))}
		return setSigners(zone, &e), nil
	}
	d := cache.Denial{Name: zone, Type: dns.TypeDS, Zone: c.denial.Zone, Proof: m.proofs, Security: c.denial.Security, Expires: min(until, j.until(&c.denial))}
	if m.what == isNXDomain {
		d.Kind = cache.NXDomain
	}
	if c.proofs != nil {
		d.Proof = c.proofs
	}
	s := j.deniedSigners(zone, above, &d)
	s.denied = d
	return s, nil
}

// deniedSigners says what a validated denial of DS means: an unsigned delegation, or no delegation.
func (j *job) deniedSigners(zone dns.Name, above trust, d *cache.Denial) signers {
	insecure := signers{state: cutUnsigned, trust: trust{zone: zone, security: cache.Insecure, expires: d.Expires}}
	if d.Security == cache.Insecure {
		return insecure
	}
	w := j.budget.work
	proof := dnssec.NewDenial(d.Zone)
	for i := range d.Proof {
		// Each was verified before it became part of a secure denial; one that is of no use is ignored here as there.
		_ = proof.Add(&d.Proof[i], dnssec.Result{Security: cache.Secure, Zone: d.Zone, TTL: d.Proof[i].TTL}, w)
	}
	r := proof.Unsigned(zone, w)
	if r.Security != cache.Bogus {
		return insecure
	}
	if d.Zone != above.zone {
		// Another zone than the one above denies it, which lies between the two.
		above = j.trustOf(d.Zone, above)
	}
	if n := proof.NoCut(zone, w); n.Secure() {
		return signers{state: cutNone, trust: above}
	}
	return signers{state: cutBroken, trust: trust{zone: zone, security: cache.Bogus, why: r.EDE, mind: j.mindOf(r)}}
}

// trustOf returns what is remembered of a zone, or, if that is gone, other.
func (j *job) trustOf(zone dns.Name, other trust) trust {
	if t, ok := j.trusts().get(j.trustKey(zone), j.r.clock.Boot()); ok {
		return t
	}
	return other
}

// need asks for what validation needs, as a job of its own: another type, or of another name, than this job's.
func (j *job) need(ctx context.Context, q dns.Question) outcome {
	span := j.span
	if span.on() {
		span = span.event(KindValidate, "needs "+q.String(), "name", q.Name.String(), "type", q.Type.String())
	}
	l := j.r.link(ctx, q, Opts{
		Table: j.table, Fresh: below(j.key.fresh), Budget: j.budget, Proofs: true, waiter: j, span: span, depth: j.depth,
	}, j.r.clock.Boot())
	return l.outcome
}

// trustKeys finds the keys of a zone that DS records or anchors name.
func (j *job) trustKeys(ctx context.Context, zone dns.Name, s signers) trust {
	if ok, why := j.table.validation.Usable(zone, s.ds, s.anchors); !ok { // RFC 4035 section 5.2: nothing of it is supported
		t := trust{zone: zone, security: cache.Insecure, why: why, ds: s.ds, expires: s.expires}
		j.tellTrust(&t)
		j.keepTrust(zone, &t)
		return t
	}
	q := dns.Question{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET}
	out := j.need(ctx, q)
	if out.err != nil {
		t := trust{zone: zone, security: cache.Bogus, why: out.err.ede, mind: out.err.mind}
		if out.err.ede.Code == dns.EDENoReachable || out.err.ede.Code == dns.EDENetworkError {
			t.why.Text = fmt.Sprintf("the keys of %v could not be had: %s", zone, out.err.root())
		}
		return t
	}
	if t, ok := j.trusts().get(j.trustKey(zone), j.r.clock.Boot()); ok { // the job that asked for it has left it
		return t
	}
	var set *dns.RRset
	expires := s.expires
	for i := range out.chain {
		if e := &out.chain[i]; e.Set.Type == dns.TypeDNSKEY && e.Set.Name == zone {
			set, expires = &e.Set, min(expires, e.Expires)
		}
	}
	s.expires = expires
	return j.checkKeys(zone, set, s)
}

// checkKeys is the check of a DNSKEY set. What it finds is remembered, unless a limit of ours ended it.
func (j *job) checkKeys(zone dns.Name, set *dns.RRset, s signers) trust {
	wall := j.r.wall()
	keys, r := dnssec.CheckKeys(zone, set, s.ds, s.anchors, wall, j.budget.work)
	if r.Secure() && s.anchored { // what a zone below says of time would be any zone's word
		j.r.prove(wall, r.Since)
	}
	now := j.r.clock.Boot()
	t := trust{zone: zone, security: r.Security, keys: keys, why: r.EDE, ds: s.ds, stored: now, set: &r}
	t.expires = s.expires
	if r.Security == cache.Bogus {
		t.mind = j.mindOf(r)
	} else {
		t.expires = min(t.expires, j.until(&finding{Result: r}))
	}
	j.tellTrust(&t)
	if r.Security != cache.Bogus {
		j.keepTrust(zone, &t)
	}
	return t
}

// keepTrust remembers what was found of a zone.
func (j *job) keepTrust(zone dns.Name, t *trust) {
	now := j.r.clock.Boot()
	if j.r.wall().IsZero() {
		t.expires = min(t.expires, now+clockTerm)
	}
	if now < t.expires && (j.key.fresh == FreshAll || j.r.cache.Epoch() == j.epoch) {
		j.trusts().put(j.trustKey(zone), *t, now)
	}
}

// until is the boot time at which what was checked has to be checked again.
func (j *job) until(f *finding) time.Duration {
	now := j.r.clock.Boot()
	until := now + j.table.MaxTTL
	if f.Security == cache.Secure {
		until = min(until, now+time.Duration(f.TTL)*time.Second)
	}
	if f.until != 0 {
		until = min(until, f.until)
	}
	return until
}

// mindOf says how long a failure of validation is held against what failed: a limit of ours no longer than silence, and not at all if others had
// worked towards it before this job began: an alias that costs much would make what it leads to fail for everybody.
func (j *job) mindOf(r dnssec.Result) remember {
	switch {
	case r.Limit == dnssec.NoLimit:
		return doubling
	case j.worked:
		return forget
	}
	return briefly
}

// wall is the time for signatures; the zero time while the clock can't be right (RFC 4035 section 5.3.1 needs one that is, and the
// servers that would set it have names that may have to be validated).
func (r *Resolver) wall() time.Time {
	now := r.clock.Wall()
	if r.earliest.IsZero() {
		return now
	}
	if proven := r.ProvenTime(); now.Before(r.earliest.Add(-clockSlack)) || now.Before(proven.Add(-clockSlack)) {
		return time.Time{}
	}
	return now
}

// clockSlack is how far a clock may be set back and still be taken for right: by a time service that corrects it, or a time zone that was taken for
// another. Signatures are made for days at least, and begin hours before they are published.
const clockSlack = 24 * time.Hour

// ClockTrusted tells whether the wall clock can be right; see [Config.Earliest]. While it can't, times of signatures are not checked, and nothing is
// said to be secure.
func (r *Resolver) ClockTrusted() bool { return !r.wall().IsZero() }

// ProvenTime returns the latest wall time at which the signatures of the keys of a trust anchor's zone were in time: a time that has passed, for who
// signed them knew it not long before. The zero time if there was none.
func (r *Resolver) ProvenTime() time.Time {
	if s := r.proven.Load(); s != 0 {
		return time.Unix(s, 0)
	}
	return time.Time{}
}

// maxProof is for how long after it begins a signature proves the time. Those of the root's keys live for three weeks. Others live for years, and would
// bear out a clock that is years ahead: then the right one would count as wrong until those years have passed.
const maxProof = 30 * 24 * time.Hour

// prove notes such a time, at which a signature was in time that begins at since.
func (r *Resolver) prove(at, since time.Time) {
	if end := since.Add(maxProof); at.After(end) {
		at = end
	}
	for s := at.Unix(); !at.IsZero(); {
		old := r.proven.Load()
		if s <= old || r.proven.CompareAndSwap(old, s) {
			return
		}
	}
}

// renewals remembers whose DS records were asked for anew a moment ago, so that a broken zone does not have them asked for with each query.
type renewals struct {
	mu sync.Mutex
	m  map[spaceName]time.Duration // boot time
}

// maxRenewals bounds that: a zone each that failed within the last seconds, 500 a second.
const maxRenewals = 5000

// claim tells whether the DS records of a zone may be asked for anew now; then they may not be for renewAfter.
func (s *renewals) claim(zone spaceName, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.m[zone]; ok && now-at < renewAfter {
		return false
	}
	if len(s.m) >= maxRenewals {
		for z, at := range s.m {
			if now-at >= renewAfter {
				delete(s.m, z)
			}
		}
		if len(s.m) >= maxRenewals {
			return false
		}
	}
	s.m[zone] = now
	return true
}
