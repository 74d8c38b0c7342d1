package rollout

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/internal/siphash"
)

// SiteLabel is the label of a node that says where it is. Nodes without it are at one site, whose name is "".
const SiteLabel = "site"

// Member is a node of the fleet.
type Member struct {
	Name   string
	Labels map[string]string
}

// Site returns where the node is.
func (m Member) Site() string { return m.Labels[SiteLabel] }

// Holds tells whether a node uses the change now. It is a pure function of the rollout's document and the node's name. Who holds it in one wave holds it in each later one: waves
// only get wider, and canaries stay named. It allocates nothing and takes less than 100 ns.
func Holds(r *Rollout, node Member) bool {
	return r.State.Open() && r.State != Queued && r.reaches(node.Name)
}

// reaches tells whether the wave that r is in has the node.
func (r *Rollout) reaches(name string) bool {
	if r.Wave < 0 || r.Wave >= len(r.Plan.Waves) {
		return false
	}
	if w := r.Plan.Waves[r.Wave]; w == All || w != Canary && place(r.ID, name) < w {
		return true
	}
	_, named := slices.BinarySearch(r.Canaries, name)
	return named
}

// The key of the hash is of no secret: it has to be the same on every node and in every release.
var placeKey = siphash.Key{'a', 'n', 'a', 'n', 'a', 's', ' ', 'r', 'o', 'l', 'l', 'o', 'u', 't', ' ', '1'}

// hash is what orders the nodes of a rollout. Another rollout has another order, so that it is not always the same nodes that go first.
func hash(id ID, name string) uint64 {
	var b [MaxID + 1 + MaxName]byte
	n := copy(b[:MaxID], id)
	n++ // an octet 0, which an id does not have
	n += copy(b[n:], name)
	return siphash.Sum64(&placeKey, b[:n])
}

// place returns the ten-thousandth of the fleet that a node is in, from 0 to 9,999: hash/2^64 of 10,000, exactly.
func place(id ID, name string) Wave {
	hi, _ := bits.Mul64(hash(id, name), uint64(whole))
	return Wave(hi)
}

// canaries returns the names of the nodes that hold a rollout first, sorted: of those that are alive the one with the lowest hash for each site. Where there are more sites than
// MaxCanaries, those are taken whose canary has the lowest hash; the others get the change with a later wave.
func canaries(id ID, alive []Member) []string {
	type first struct {
		name string
		hash uint64
	}
	lowest := make(map[string]first)
	for _, m := range alive {
		h := hash(id, m.Name)
		if f, ok := lowest[m.Site()]; !ok || h < f.hash || h == f.hash && m.Name < f.name {
			lowest[m.Site()] = first{m.Name, h}
		}
	}
	all := make([]first, 0, len(lowest))
	for _, f := range lowest {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b first) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.name, b.name))
	})
	names := make([]string, 0, min(len(all), MaxCanaries))
	for _, f := range all[:min(len(all), MaxCanaries)] {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
