package dnssec

import (
	"cmp"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// CheckSet tells whether one of the signatures that came with an RRset is good and by one of keys (RFC 4035 section 5.3). at is wall
// time; the zero time means that the time is not known, and then the times of signatures are not checked. The result is Secure
// or Bogus. A Secure one with a Wildcard is only good together with a proof, see [Result.Wildcard].
//
// One good signature is enough, whatever the others are (RFC 6840 section 5.11 and section 5.12). Those that are cheap to check come first.
func CheckSet(set *dns.RRset, keys *Keys, at time.Time, w *Work) Result {
	if keys == nil {
		return bogus(dns.EDEDNSKEYMissing, "there are no keys to check %v %v with", set.Name, set.Type)
	}
	c := setCheck{set: set, keys: keys, at: at, work: w}
	r := c.run()
	r.Zone = keys.zone
	return r
}

// setCheck is the check of one RRset.
type setCheck struct {
	set  *dns.RRset
	keys *Keys
	at   time.Time
	work *Work

	candidates []candidate
	cut        Limit // why not all signatures became candidates
	rank       rank  // of why
	why        Result
}

// candidate is a signature that only the key can refute.
type candidate struct {
	sig      dns.RRSIG
	keys     []key
	owner    dns.Name // as it was signed, lower case
	wildcard dns.Name // closest encloser, if owner is a wildcard that was expanded
}

// rank orders the reasons for which signatures are refused: the one that came closest to being good says most about what is wrong.
type rank uint8

const (
	rankNone rank = iota
	rankForm
	rankSigner
	rankLabels
	rankAlgorithm
	rankKey
	rankTime
	rankWrong
	rankLimit
)

// refuse keeps the reason that says most.
func (c *setCheck) refuse(at rank, reason func() Result) {
	if at > c.rank {
		c.rank, c.why = at, reason()
	}
}

const (
	// maxLooked is how many signatures of one set, and how many DS records, are looked at, before any is checked: 100 of 200 ns are 20 us.
	maxLooked = 100

	// recordsPerUnit and octetsPerUnit are what may be sorted, and hashed, for the price of one cheap check: 50 us at 150 ns a
	// record, and 10 to 50 us, by the hash, for 16 KiB.
	recordsPerUnit = 256
	octetsPerUnit  = 16 << 10
)

func (c *setCheck) run() Result {
	set := c.set
	switch {
	case !set.Name.IsWithin(c.keys.zone):
		return bogus(dns.EDEBogus, "%v %v is not in the zone %v", set.Name, set.Type, c.keys.zone)
	case set.Type == dns.TypeDS && set.Name.Equal(c.keys.zone):
		// RFC 4034 section 5: a DS set is the parent's. The child's word for it would be its own word for its keys.
		return bogus(dns.EDEBogus, "%v DS is signed by the zone itself and not by its parent", set.Name)
	case set.Data.Len() == 0:
		return bogus(dns.EDEBogus, "%v %v has no records", set.Name, set.Type)
	}
	looked := 0
	for rdata := range set.Sigs.All() {
		if looked++; looked > maxLooked {
			c.cut = c.work.reach(LimitSignatures)
			break
		}
		c.look(rdata)
	}
	if looked == 0 {
		return bogus(dns.EDERRSIGsMissing, "%v %v has no RRSIG", set.Name, set.Type)
	}
	if r, ok := c.try(); ok {
		return r
	}
	if c.why.Limit == NoLimit {
		c.why.Limit = c.cut
	}
	return c.why
}

// look makes a candidate of a signature, or keeps why it is none.
func (c *setCheck) look(rdata []byte) {
	set, zone := c.set, c.keys.zone
	sig, err := dns.ParseRRSIG(rdata)
	if err != nil {
		c.refuse(rankForm, func() Result {
			return bogus(dns.EDEBogus, "an RRSIG of %v %v is malformed: %v", set.Name, set.Type, err)
		})
		return
	}
	refuse := func(at rank, code dns.EDECode, format string, args ...any) {
		c.refuse(at, func() Result {
			return bogus(code, "RRSIG of %v %v by key %d (%v) "+format,
				append([]any{set.Name, set.Type, sig.KeyTag, Algorithm(sig.Algorithm)}, args...)...)
		})
	}
	if sig.TypeCovered != set.Type {
		refuse(rankForm, dns.EDEBogus, "covers %v", sig.TypeCovered)
		return
	}
	// RFC 4035 section 5.3.1: the zone that contains the set. What else signs is another zone, or no zone.
	if !sig.SignerName.Equal(zone) {
		refuse(rankSigner, dns.EDEBogus, "is signed by %v and not by %v", sig.SignerName, zone)
		return
	}
	a := candidate{sig: sig, owner: set.Name.Lower()}
	labels := a.owner.Labels()
	if a.owner.Label() == "*" {
		labels-- // RFC 4034 section 3.1.3
	}
	switch n := int(sig.Labels); {
	case n > labels:
		refuse(rankLabels, dns.EDEBogus, "was made for a name of %d labels", n)
		return
	case n < zone.Labels():
		refuse(rankLabels, dns.EDEBogus, "is of a wildcard above the zone %v", zone)
		return
	case n < labels:
		if !expands(set.Type) {
			refuse(rankLabels, dns.EDEBogus, "is of a wildcard, which %v records do not come from", set.Type)
			return
		}
		a.wildcard = a.owner.Ancestor(n)
		star, err := a.wildcard.Child("*")
		if err != nil {
			return // shorter than the owner, which is a name
		}
		a.owner = star
	}
	if !c.work.table.SupportsAlgorithm(Algorithm(sig.Algorithm)) {
		refuse(rankAlgorithm, dns.EDERRSIGsMissing, "is of an algorithm that is not supported, and there is no other")
		return
	}
	if a.keys = c.keys.find(Algorithm(sig.Algorithm), sig.KeyTag); len(a.keys) == 0 {
		if c.keys.omitted {
			c.cut = LimitKeys
		}
		refuse(rankKey, dns.EDEDNSKEYMissing, "is by no DNSKEY of %v, which are %v", zone, c.keys)
		return
	}
	if !c.inTime(&sig, refuse) {
		return
	}
	c.candidates = append(c.candidates, a)
}

// expands tells whether records of a type may come from a wildcard. Those that make a zone what it is do not: nobody serves them so, and to
// take another name's word for them would be dangerous (RFC 4592 section 4 calls some of them meaningless, some undefined).
func expands(t dns.Type) bool {
	switch t {
	case dns.TypeSOA, dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeCDS, dns.TypeCDNSKEY:
		return false
	}
	return true
}

// inTime compares in serial number arithmetic (RFC 4034 section 3.1.5, RFC 1982): both ends are included.
func (c *setCheck) inTime(sig *dns.RRSIG, refuse func(rank, dns.EDECode, string, ...any)) bool {
	if c.at.IsZero() {
		return true
	}
	now := uint32(c.at.Unix())
	since, left := int32(now-sig.Inception), int32(sig.Expiration-now)
	began, ends := c.at.Unix()-int64(since), c.at.Unix()+int64(left)
	switch {
	case int32(sig.Expiration-sig.Inception) < 0:
		refuse(rankTime, dns.EDEExpiredBeforeValid, "expires at %s, before it becomes valid at %s", when(ends), when(began))
	case left < 0:
		refuse(rankTime, dns.EDESignatureExpired, "expired at %s", when(ends))
	case since < 0:
		refuse(rankTime, dns.EDESignatureNotYetValid, "is valid from %s only", when(began))
	default:
		return true
	}
	return false
}

// try checks the candidates.
func (c *setCheck) try() (Result, bool) {
	if len(c.candidates) == 0 {
		return Result{}, false
	}
	slices.SortStableFunc(c.candidates, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.keys[0].weight, b.keys[0].weight),
			cmp.Compare(len(a.keys), len(b.keys)),
			cmp.Compare(int32(b.sig.Expiration-a.sig.Expiration), 0), // the one that lives longer
		)
	})
	if limit := c.work.table.limits.Signatures; len(c.candidates) > limit {
		c.candidates = c.candidates[:limit]
		c.cut = c.work.reach(LimitSignatures)
	}
	if units := c.set.Data.Len() / recordsPerUnit; units > 0 {
		if l := c.work.spendCheck(units); l != NoLimit {
			c.stopped(l)
			return Result{}, false
		}
	}
	data := canonicalOf(c.set)
	for i := range c.candidates {
		if k, l := c.verify(&c.candidates[i], &data); l != NoLimit {
			c.stopped(l)
			break
		} else if k != nil {
			return c.secure(&c.candidates[i], k), true
		}
	}
	return Result{}, false
}

func (c *setCheck) stopped(l Limit) {
	c.refuse(rankLimit, func() Result {
		return exceeded(l, "checking the signatures of %v %v takes too much work", c.set.Name, c.set.Type)
	})
}

// verify returns the key that made the signature, or the limit that kept it from being found.
func (c *setCheck) verify(a *candidate, data *canonicalSet) (*key, Limit) {
	var signed []byte
	size := data.signedLen(&a.sig, a.owner)
	for i := range a.keys {
		if i >= c.work.table.limits.Collisions {
			c.cut = c.work.reach(LimitCollisions)
			break
		}
		k := &a.keys[i]
		units := k.weight + size/octetsPerUnit
		if l := c.work.spendCheck(units); l != NoLimit {
			return nil, l
		}
		if signed == nil {
			signed = data.signed(&a.sig, a.owner, c.set)
		}
		good := k.verify(signed, a.sig.Signature)
		c.work.checked(k.algorithm, units, good)
		if good {
			return k, NoLimit
		}
	}
	c.refuse(rankWrong, func() Result {
		return bogus(dns.EDEBogus, "RRSIG of %v %v by key %d (%v) is wrong", c.set.Name, c.set.Type, a.sig.KeyTag, Algorithm(a.sig.Algorithm))
	})
	return nil, NoLimit
}

// secure cuts the TTL to what was signed and to the life of the signature (RFC 4035 section 5.3.3).
func (c *setCheck) secure(a *candidate, k *key) Result {
	r := Result{
		Security: cache.Secure, Wildcard: a.wildcard, Algorithm: k.algorithm, KeyTag: k.tag,
		TTL: min(c.set.TTL, a.sig.OriginalTTL),
	}
	if !c.at.IsZero() {
		left := int32(a.sig.Expiration - uint32(c.at.Unix())) // not negative: it is in time
		r.Until = time.Unix(c.at.Unix()+int64(left), 0)
		r.TTL = min(r.TTL, uint32(left))
		r.Since = time.Unix(c.at.Unix()-int64(int32(uint32(c.at.Unix())-a.sig.Inception)), 0)
	}
	return r
}
