package recurse

import (
	"net/netip"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Three questions a server and resolution at most (RFC 9520 section 3.1).
const maxTries = 3

// exploreOneIn is how often a server other than the best is asked, so that one that got faster is found. A twentieth of the
// questions pays a worse round trip, which moves the mean by a few per cent and the median not at all.
const exploreOneIn = 20

// candidate is one server address that a zone can be asked at.
type candidate struct {
	server netip.AddrPort
	name   dns.Name // of its NS record; zero for stubs, forwards
	fact   *fact
	tries  int
	doubt  bool // another server of its family was silent in this round, and none of that family was ever heard
	cased  bool // a reply came in another case than the question
	lower  bool // so it was asked in lower case
	out    bool // not asked again in this round: it said that it does not serve the zone, or worse
}

// choice is the server chosen and, for the trace, why.
type choice struct {
	*candidate
	why  string
	weak bool // chosen for want of a better one
}

// choose picks the server to ask next: among those asked least in this round, the one with the lowest smoothed round-trip time; those
// in back-off, lame or of a family that is silent come last. Now and then another one, to explore.
func (r *Resolver) choose(cands []candidate, zone dns.Name, now time.Duration) (choice, bool) {
	var best, other *candidate
	var bestScore time.Duration
	var bestClass, others int
	bestKnown := false
	for i := range cands {
		c := &cands[i]
		if c.out || c.tries >= maxTries {
			continue
		}
		st := c.fact.standing(zone, now)
		class := 2 * c.tries
		if st.passed || c.doubt {
			class++
		}
		if r.servers.familyDead(c.server.Addr(), now) {
			class += 8
		}
		// A tenth of random play, so that equals share the load.
		score := st.estimate - st.estimate/20 + time.Duration(r.random()%uint64(st.estimate/10+1))
		passed := c // over, for now
		if best == nil || class < bestClass || class == bestClass && score < bestScore {
			if passed = best; bestClass > 0 {
				passed = nil
			}
			best, bestScore, bestClass, bestKnown = c, score, class, st.known
		}
		if passed != nil && class == 0 { // any of them, each as likely as the others
			if others++; r.random()%uint64(others) == 0 {
				other = passed
			}
		}
	}
	switch {
	case best == nil:
		return choice{}, false
	case bestClass == 0 && other != nil && bestKnown && r.random()%exploreOneIn == 0:
		return choice{other, "explored", false}, true
	case bestClass >= 8:
		return choice{best, "its address family is silent, but nothing else is left", true}, true
	case best.tries > 0:
		return choice{best, "again: all others were asked as often", true}, true
	case bestClass == 1:
		return choice{best, "silent or lame lately, but nothing else is left", true}, true
	case !bestKnown:
		return choice{best, "never asked before", false}, true
	}
	return choice{best, "lowest round-trip time", false}, true
}
