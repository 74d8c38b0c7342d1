package nameserver

import (
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// Stats are counts since the start, for people; metrics have more.
type Stats struct {
	Answers  uint64 // of all kinds
	Hits     uint64 // given at once from the cache
	Failures uint64 // SERVFAIL
	Refused  uint64 // turned away: who may not ask (access.allow), and what is over limits.client_rate
}

// Stats returns the counts as they are now.
func (s *Server) Stats() Stats {
	st := Stats{Hits: s.m.hits.Value(), Refused: s.m.refused.Value() + s.m.limits.With("client_rate").Value()}
	for i := range s.m.seconds {
		st.Answers += s.m.total[i].Value()
		st.Failures += s.m.answers[i].With(dns.RCodeServerFailure.String()).Value()
	}
	return st
}

// Outcomes counts how queries ended since the start, for who compares nodes.
type Outcomes struct {
	RCodes  [24]uint64 // by response code; those above 23 are with the last
	Dropped uint64     // those that modules had no answer given to, which are not among RCodes
	Decided uint64     // of all these, those that modules have answered or dropped
}

// Outcomes returns the counts as they are now, and calls latency for each bucket of durations, the longest in it and how many there were; the same duration may come several times.
func (s *Server) Outcomes(latency func(upTo time.Duration, n uint64)) Outcomes {
	silenced := s.m.silenced.Value()
	o := Outcomes{Dropped: silenced, Decided: s.m.decided.Value() + silenced}
	for i := range s.m.rcodes {
		for rcode, c := range s.m.rcodes[i] {
			o.RCodes[rcode] += c.Value()
		}
		for _, h := range s.m.seconds[i] {
			h.Counts(latency)
		}
	}
	return o
}
