package recurse

import (
	"fmt"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
)

// Stats are counts since the start, for people; metrics have more.
type Stats struct {
	Upstream uint64 // questions sent to name servers
	Stale    uint64 // stale answers given
	Jobs     int    // resolutions under way
}

// Stats returns the counts as they are now.
func (r *Resolver) Stats() Stats {
	return Stats{
		Upstream: r.m.upstreamUDP.Value() + r.m.upstreamTCP.Value(), Stale: r.m.stale.Value(), Jobs: r.flight.len(),
	}
}

// Purge forgets what is known of a name, and of all names below it with subtree: records, denials and failures. Work begun before may not
// store afterwards what it finds.
func (r *Resolver) Purge(name dns.Name, subtree bool) (cache.PurgeReport, int, error) {
	name = name.Lower()
	if name.IsRoot() {
		r.primeAgain.Store(0)
	}
	failures := r.failures.purge(name, subtree)
	r.trusts.purge(name, subtree)
	report, err := r.whole.Purge(name, subtree)
	if err != nil {
		return report, failures, fmt.Errorf("purging %v: %w", name, err)
	}
	return report, failures + r.failures.purge(name, subtree), nil
}
