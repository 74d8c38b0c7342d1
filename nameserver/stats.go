package nameserver

import "github.com/ananas-edge/ananas/dns"

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
