package recurse

import "github.com/ananas-edge/ananas/dns"

// Limits of RFC 9156 section 2.3.
const (
	maxMinimise    = 10 // minimised questions of one resolution; the rest of the name goes out whole
	minimiseOneLab = 4  // of these, how many add one label; the later ones share out the labels that are left
)

// minimiser decides how much of a name each zone's servers get to see (RFC 9156). It holds the state of one job.
type minimiser struct {
	q     dns.Question
	off   bool
	count int
	shown int // labels that are known to lie in the zone asked now: shown to it, and answered without a cut
}

// next returns the question for the servers of zone, and whether it is the whole one.
func (m *minimiser) next(zone dns.Name) (dns.Question, bool) {
	have := max(zone.Labels(), m.shown)
	total := m.q.Name.Labels()
	// A question for DS goes to the parent: its name's own label is never shown alone.
	left := total - have
	if m.off || left <= 1 || m.count >= maxMinimise {
		return m.q, true
	}
	add := 1
	if m.count >= minimiseOneLab {
		add = max(1, left/(maxMinimise-m.count))
	}
	if have+add >= total {
		return m.q, true
	}
	m.count++
	m.shown = have + add
	// A (RFC 9156 section 2.1): the type that no middlebox and no server finds strange.
	return dns.Question{Name: m.q.Name.Ancestor(m.shown), Type: dns.TypeA, Class: dns.ClassINET}, false
}
