package cache

import (
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Key names one RRset in the cache. The name's case does not matter.
type Key struct {
	Name dns.Name
	Type dns.Type
	// Partition keeps apart what must never answer for another: 0 is what clients are answered from; the resolver gives the
	// others their meaning (delegations as the parent gave them; later client subnets).
	Partition uint32 // up to 255
}

// Rank is how much an RRset is worth by where it was found, ascending (RFC 2181 section 5.4.1).
type Rank uint8

// Ranks. Below RankAnswer nothing may be given as an answer; it only leads to servers.
const (
	// RankNone is no rank; nothing is kept at it.
	RankNone Rank = iota
	// RankAdditional is the additional section of a reply, other than glue.
	RankAdditional
	// RankGlue is the addresses that come with a referral. RFC 2181 puts them level with the other additional data; here they
	// win, for the parent's servers vouch for the delegation that they belong to.
	RankGlue
	// RankReferral is the authority section of a reply without AA: the NS records of a referral.
	RankReferral
	// RankAnswer is the answer section of a reply without AA, and what follows the first alias in one with AA.
	RankAnswer
	// RankAuthority is the authority section of a reply with AA, and the DS records that a parent sends with a referral, which
	// are its own data.
	RankAuthority
	// RankAuthAnswer is the answer section of a reply with AA.
	RankAuthAnswer
	// RankZone is a zone that is held here whole (a zone file or transfer).
	RankZone
	rankEnd
)

var rankNames = [rankEnd]string{"none", "additional", "glue", "referral", "answer", "authority", "authoritative answer", "zone"}

// String names the rank in the words of the constants.
func (r Rank) String() string {
	if r < rankEnd {
		return rankNames[r]
	}
	return "unknown rank"
}

// Security is what validation says of an entry (RFC 4033 section 5).
type Security uint8

// Security states.
const (
	// Unchecked has not been validated: validation is off for it, or was not asked for yet.
	Unchecked Security = iota
	// Indeterminate can't be told secure or insecure: no trust anchor is above it.
	Indeterminate
	// Insecure is proven to be below an unsigned delegation.
	Insecure
	// Secure has a chain of signatures from a trust anchor.
	Secure
	// Bogus should be secure and is not. Kept, so that it is not asked for again with each query; never an answer (unless CD).
	Bogus
	securityEnd
)

var securityNames = [securityEnd]string{"unchecked", "indeterminate", "insecure", "secure", "bogus"}

// String returns the state in lower case.
func (s Security) String() string {
	if s < securityEnd {
		return securityNames[s]
	}
	return "unknown security"
}

// Entry is a cached RRset and what is known of it. What Get returns is a copy in the caller's memory.
type Entry struct {
	// Set is the RRset with the RRSIGs that cover it. TTL is as received (after the resolver's caps), not what is left of it.
	// The name is the one that was asked for, in the case in which it was asked. Class is always IN.
	Set       dns.RRset
	Rank      Rank
	Security  Security
	Partition uint32        // up to 255
	Space     Space         // whose knowledge it is; see [Cache.In]
	Server    netip.Addr    // who sent it; invalid if nobody did. IPv6 zones are not kept
	Zone      dns.Name      // apex of the zone for which the server answered; no name if unknown
	Stored    time.Duration // boot time
	Expires   time.Duration // boot time; the entry is live before it
	Hits      uint32        // set by Get: how often Get found it before, at most 16,777,215
}

// Live tells whether e has not expired.
func (e *Entry) Live(now time.Duration) bool { return now < e.Expires }

// Remaining returns the TTL that is left in seconds, rounded up: 0 only once e has expired.
func (e *Entry) Remaining(now time.Duration) uint32 { return remaining(e.Expires, now) }

// Due tells whether e should be asked for again before it expires: it was asked for before this time, is live, and less
// than a tenth of its lifetime is left.
func (e *Entry) Due(now time.Duration) bool { return due(e.Hits, e.Stored, e.Expires, now) }

func remaining(expires, now time.Duration) uint32 {
	if now >= expires {
		return 0
	}
	return uint32(min((expires-now+time.Second-1)/time.Second, 1<<32-1))
}

func due(hits uint32, stored, expires, now time.Duration) bool {
	return hits > 0 && now < expires && expires-now < (expires-stored)/prefetchShare
}

// prefetchShare is the part of a lifetime, at its end, in which an entry that is in use is refreshed: a tenth, as Unbound does.
// A later one misses names that are asked every few seconds at a TTL of a minute; an earlier one asks upstream more often.
const prefetchShare = 10

// DenialKind is what a denial says.
type DenialKind uint8

// Kinds of denials (RFC 2308 section 2).
const (
	NoData   DenialKind = iota // the name exists, or may, and has no records of the type
	NXDomain                   // the name does not exist, nor does anything below it (RFC 8020)
)

// String returns NODATA or NXDOMAIN.
func (k DenialKind) String() string {
	if k == NXDomain {
		return "NXDOMAIN"
	}
	return "NODATA"
}

// Denial is a cached negative answer.
type Denial struct {
	Name     dns.Name
	Type     dns.Type // TypeNone for NXDomain, which holds for all types
	Kind     DenialKind
	Zone     dns.Name      // apex of the zone that denies
	Space    Space         // as of an [Entry]
	SOA      dns.RRset     // of that zone, with signatures; what a client gets to see. Owner names of SOA and Proof come back in lower case
	Proof    []dns.RRset   // NSEC or NSEC3 with signatures, at most MaxProofs
	Security Security      //
	Rank     Rank          //
	Server   netip.Addr    // who sent it
	Stored   time.Duration // boot time
	Expires  time.Duration // boot time
	Hits     uint32        // set by GetDenial: how often it was found before
}

// Live tells whether d has not expired.
func (d *Denial) Live(now time.Duration) bool { return now < d.Expires }

// Remaining returns the TTL that is left in seconds, rounded up.
func (d *Denial) Remaining(now time.Duration) uint32 { return remaining(d.Expires, now) }

// Due is [Entry.Due].
func (d *Denial) Due(now time.Duration) bool { return due(d.Hits, d.Stored, d.Expires, now) }

// MaxProofs is how many NSEC or NSEC3 RRsets a denial may carry. The most that a proof needs is four: closest encloser, next
// closer name and wildcard of NSEC3 (RFC 5155 section 7.2.2), and one more where servers repeat themselves under several
// chains of parameters. Twice that is room for what real servers send.
const MaxProofs = 8

// Kind tells entries of the arenas apart.
type Kind uint8

// Kinds of entries. Three bits hold them; 4 is kept for finished answers as wire images.
const (
	kindFree   Kind = iota
	KindRRset       // an [Entry]
	KindDenial      // a [Denial]
	KindProof       // an NSEC or NSEC3 RRset of a secure denial, found through the ordered index
	KindImage       // a finished answer (image.go)
	kindEnd
)

var kindNames = [kindEnd]string{"free", "rrset", "denial", "proof", "image"}

// String returns rrset, denial or proof.
func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return "unknown kind"
}

// Verdict is what Put did.
type Verdict uint8

// Verdicts. All but Stored are refusals, and counted by reason.
const (
	// Stored says that the entry is in the cache now.
	Stored Verdict = iota
	// RefusedRank: a live entry of higher rank is there.
	RefusedRank
	// RefusedSecurity: a live secure entry is there, and this one is not secure.
	RefusedSecurity
	// RefusedPurged: the name was purged after the work began that found this.
	RefusedPurged
	// RefusedForgotten: so many purges happened since the work began that it is not known any more whether one was for this
	// name.
	RefusedForgotten
	// RefusedExpired: there is nothing left of its time, as with a TTL of 0.
	RefusedExpired
	// RefusedSize: larger than the cache takes.
	RefusedSize
	// RefusedForm: no name, no records, a class other than IN, a type that no record has, or malformed lengths.
	RefusedForm
	// RefusedClosed: the cache is closed.
	RefusedClosed
	// RefusedChanged: an image was made of what is not what is known of its name any more.
	RefusedChanged
	verdictEnd
)

var verdictNames = [verdictEnd]string{"stored", "rank", "security", "purged", "forgotten", "expired", "size", "form", "closed", "changed"}

// String returns the reason in one word, as it stands in the metric ananas_cache_refused_total.
func (v Verdict) String() string {
	if v < verdictEnd {
		return verdictNames[v]
	}
	return "unknown"
}
