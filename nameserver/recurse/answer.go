package recurse

import (
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Fresh says what of the cache a resolution may use.
type Fresh uint8

// How fresh an answer has to be.
const (
	FreshNot    Fresh = iota // anything that lives
	FreshAnswer              // the answer is asked for anew; what leads to its servers may be cached (prefetch, refreshing stale data)
	FreshAll                 // nothing cached at all, no job joined: the way from the root is gone again (`ananas explain --fresh`)
)

// Opts are the terms of one resolution.
type Opts struct {
	Table  *Table // the settings, taken once for the query
	Fresh  Fresh
	Stale  bool    // a stale answer is better than none
	Cached bool    // only what is in the cache; nothing is asked for the answer
	CD     bool    // checking is disabled (RFC 4035 section 3.2.2): the answer is not validated, and a bogus one is given, too
	Ahead  bool    // what is about to expire is asked for anew, beside the answer
	Proofs bool    // who asks validates: a denial has to come with proofs for its very name
	Budget *Budget // shared with all that this resolution causes; nil: a new one
	Trace  *Trace  // nil: off

	silent bool     // no failure of it is reported (RFC 9567): it is a report, or another resolution will want it and report
	server bool     // the address of a name server is wanted: glue will do
	above  dns.Name // and it lies in this zone, of which no server is known: the zone above is asked
	waiter *job     // the job that needs this, in the wait graph
	span   span
	depth  int // jobs above this one
}

// Answer is the result of a resolution. TTLs of its records are what is left of them.
type Answer struct {
	RCode      dns.RCode
	Answer     []dns.RRset    // aliases in chain order, then what was asked for
	Authority  []dns.RRset    // of a denial: SOA first, then NSEC or NSEC3; of an answer made from a wildcard: NSEC or NSEC3
	Additional []dns.RRset    // of targets of the answer, from the cache; whatever does not fit may be left out
	Security   cache.Security // of all records in both sections: the least of them
	Stale      bool
	// Asked tells that the cache alone did not do: this or another resolution asked for a part of it.
	Asked bool
	// Until is the boot time up to which the same answer will do, with TTLs that are less by the whole seconds of boot time that have passed, but at least 1: when
	// the first of the records expires, or is to be asked for anew. It is 0 if the answer is for now only.
	Until     time.Duration
	Truncated bool // say TC, and nothing else
	Compact   bool // NXDOMAIN with a compact denial; only told where Opts.Proofs is set
	Local     bool // made here by a rule of RFC 6303 or 6761: authoritative
	EDEs      []dns.EDE
}

// outcome is how a job ended: records, a denial, both (an alias to a name that the same reply denies), or a failure.
type outcome struct {
	chain  []cache.Entry // in chain order, as kept
	proofs []dns.RRset   // NSEC or NSEC3 records beside an answer made from a wildcard
	denial *cache.Denial // of the name at the chain's end
	rcode  dns.RCode     // where neither says it (YXDOMAIN)
	edes   []dns.EDE     // why it is not secure, if that is anybody's doing
	weak   bool          // nobody better said that there is nothing: what is stale is better
	spare  *outcome      // what the reply said of the target of the alias that the chain ends with, if nobody says it better
	err    *failure
}
