package trial

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
)

// Report is what is known so far.
type Report struct {
	Queries    uint64 `json:"queries"`    // that were looked at
	Lost       uint64 `json:"lost"`       // that came and were not: the trial did not keep up
	Unreadable uint64 `json:"unreadable"` // that are no queries which modules are shown
	Alone      uint64 `json:"alone"`      // of those that were looked at, queries of which it is not known what modules have said: they are of a file, or other settings have answered them
	Asked      uint64 `json:"asked"`      // questions of the new version's own
	Unknown    uint64 `json:"unknown"`    // of those, to which nothing was known
	Uses       []Use  `json:"uses"`       // where it runs, in the order of the settings

	Lists []TriedList `json:"lists,omitempty"` // that are tried
}

// Use is one place at which both versions run.
type Use struct {
	Phase      string  `json:"phase"`
	Place      int     `json:"place"` // among all plugins, from 1; 0: it does not run there yet
	Old        Version `json:"old"`
	New        Version `json:"new"`
	Alike      uint64  `json:"alike"`
	Differ     uint64  `json:"differ"`
	Unanswered uint64  `json:"unanswered"`  // of phase answer: queries to which no answer is known
	NotReached uint64  `json:"not_reached"` // queries that modules before it have ended, so that no version is shown them
	Unplaced   uint64  `json:"unplaced"`    // of phase answer: queries that were answered from a finished answer, of which it is not known how modules before it have left it
	Groups     []Group `json:"groups"`      // of differences, the most frequent first
	Others     uint64  `json:"others"`      // differences that are in no group, since there are too many, or of texts that are too long
}

// Version is what is known of one version.
type Version struct {
	Version string            `json:"version"` // of its manifest; "": there is no module
	SHA256  string            `json:"sha256"`  // of its file, in hexadecimal
	Pure    bool              `json:"pure"`    // its verdicts are kept with answers; false, too, if it was declared and found not to be so
	Fast    bool              `json:"fast"`    // it may be called in the loop that answers from the cache
	Start   int64             `json:"start_fuel"`
	Calls   uint64            `json:"calls"`
	Faults  uint64            `json:"faults"`
	Reasons map[string]uint64 `json:"reasons"` // of faults
	Fuel    Spread            `json:"fuel"`
	Nanos   Spread            `json:"ns"` // a call, as this machine has run it beside everything else
}

// Spread is how numbers lie.
type Spread struct {
	Median int64 `json:"median"`
	Worst  int64 `json:"worst"`
}

// Group are queries of which both versions say the same two things.
type Group struct {
	Old      string       `json:"old"`
	New      string       `json:"new"`
	Count    uint64       `json:"count"`
	Examples []Difference `json:"examples"`
}

// Difference is a query of which the versions say different things.
type Difference struct {
	Phase  string `json:"phase"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Client string `json:"client,omitempty"` // the network: the /24 of an IPv4 address, the /48 of an IPv6 address
	Old    string `json:"old"`              // verdicts as cases have them; of an example the first of it alone
	New    string `json:"new"`
}

// Limits of a report: 200 groups of 5 examples of some 200 octets are 200 KB. It is told again each second.
const (
	// maxText is how many octets of a verdict are kept with a group and its examples: three records of the longest names, or thirty addresses. Who is told each difference is told it whole.
	maxText = 1 << 10

	// maxTexts is how many octets the groups and examples of all places have together: what comes when there is no room is counted alone. As JSON they are six times that at the most, 24 MiB.
	maxTexts = 4 << 20

	maxGroups   = 200
	maxExamples = 5

	// maxDetailed is from how many groups on new ones are told apart by their actions alone: a module that writes the name into its text has one for each.
	maxDetailed = 100

	// maxReasons is how many kinds of faults are counted apart.
	maxReasons = 20
)

// counts are of the trial as a whole.
type counts struct{ queries, lost, unreadable, alone uint64 }

// compared is what came of the comparisons of one use.
type compared struct {
	alike, differ, unanswered, notReached, unplaced, others uint64

	groups           map[[2]string]*Group
	room             *int // octets that groups and examples of the trial may have yet
	oldCost, newCost cost
}

// cost is what the calls of one version took.
type cost struct {
	calls, faults uint64
	blamed        uint64 // faults that are the module's
	reasons       map[string]uint64
	fuel, nanos   sample
}

func (c *cost) add(s *said) {
	c.calls++
	c.fuel.add(s.fuel)
	c.nanos.add(int64(s.took))
	if s.Fault == "" {
		return
	}
	c.faults++
	if s.blamed {
		c.blamed++
	}
	if c.reasons == nil {
		c.reasons = make(map[string]uint64)
	}
	reason := s.Fault
	if c.reasons[reason] == 0 && len(c.reasons) == maxReasons {
		reason = "other"
	}
	c.reasons[reason]++
}

// add notes what both have said. It returns the difference, if there is one, and whether the new version has failed once too often.
func (c *compared) add(old, next *said, hasOld bool, phase plugin.Phase, q *plugin.Query, owner dns.Name) (d *Difference, faulty bool) {
	if hasOld {
		c.oldCost.add(old)
	}
	c.newCost.add(next)
	faulty = c.newCost.blamed >= MaxFaults
	if phase == plugin.PhaseLog { // there is no verdict
		if next.Fault == "" {
			c.alike++
		}
		return nil, faulty
	}
	if plain(&old.Outcome) && plain(&next.Outcome) {
		c.alike++
		return nil, faulty
	}
	was, is := old.String(), next.String()
	if was == is {
		c.alike++
		return nil, faulty
	}
	c.differ++
	d = &Difference{Phase: string(phase), Name: owner.String(), Type: q.Type.String(), Client: network(q.Client), Old: was, New: is}
	short := *d
	short.Old, short.New = cut(was), cut(is)
	c.group(&short, old, next)
	return d, faulty
}

// plain tells whether a verdict is to go on and nothing else, as nearly all are.
func plain(o *cases.Outcome) bool {
	v := &o.Verdict
	return o.Fault == "" && v.Action == plugin.GoOn && v.EDE == nil && v.Tag == "" && v.Group == "" && !v.Bypass && v.TTL == 0
}

// group puts a difference to those that are like it.
func (c *compared) group(d *Difference, old, next *said) {
	if c.groups == nil {
		c.groups = make(map[[2]string]*Group)
	}
	key := [2]string{firstLine(d.Old), firstLine(d.New)}
	g := c.groups[key]
	if g == nil && len(c.groups) >= maxDetailed {
		key = [2]string{action(&old.Outcome), action(&next.Outcome)}
		g = c.groups[key]
	}
	if g == nil {
		if len(c.groups) == maxGroups || !c.take(len(key[0])+len(key[1])) {
			c.others++
			return
		}
		g = &Group{Old: key[0], New: key[1]}
		c.groups[key] = g
	}
	g.Count++
	known := slices.ContainsFunc(g.Examples, func(e Difference) bool { return e.Name == d.Name && e.Type == d.Type })
	if len(g.Examples) < maxExamples && !known && c.take(len(d.Name)+len(d.Old)+len(d.New)) {
		g.Examples = append(g.Examples, *d)
	}
}

// shown is the group as it is now. Where there was no room for examples it has none, which in JSON is a list all the same.
func (g *Group) shown() Group {
	now := *g
	now.Examples = append([]Difference{}, g.Examples...)
	return now
}

// take takes so many octets of the room that there is, if it has them.
func (c *compared) take(octets int) bool {
	if *c.room < octets {
		return false
	}
	*c.room -= octets
	return true
}

// cut is what is kept of a verdict, apart from the text that it is of.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + " ..."
}

// firstLine is a verdict without its records.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// action is a verdict without all that is said beside it.
func action(o *cases.Outcome) string {
	if o.Fault != "" {
		return "fault ..."
	}
	return cases.Outcome{Verdict: plugin.Verdict{Action: o.Verdict.Action}}.String() + " ..."
}

// Report tells what is known so far.
func (t *Trial) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{Queries: t.report.queries, Lost: t.report.lost, Unreadable: t.report.unreadable, Alone: t.report.alone, Asked: t.asked.Load(), Unknown: t.vain.Load(), Uses: []Use{}, Lists: slices.Clone(t.lists)}
	for _, u := range t.uses {
		one := Use{Phase: string(u.new.Phase), Place: u.place, Alike: u.alike, Differ: u.differ, Unanswered: u.unanswered, NotReached: u.notReached, Unplaced: u.unplaced, Others: u.others, Groups: []Group{}}
		one.Old, one.New = describe(u.old, u.oldChain, u.oldSum, &u.oldCost), describe(u.new, u.newChain, u.newSum, &u.newCost)
		one.New.Pure = one.New.Pure && !t.notPure.Load()
		for _, g := range u.groups {
			one.Groups = append(one.Groups, g.shown())
		}
		slices.SortFunc(one.Groups, func(a, b Group) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
		})
		r.Uses = append(r.Uses, one)
	}
	return r
}

func describe(u *plugin.Use, c *plugin.Chain, sum string, spent *cost) Version {
	v := Version{Calls: spent.calls, Faults: spent.faults, Reasons: map[string]uint64{}, Fuel: spent.fuel.spread(), Nanos: spent.nanos.spread()}
	maps.Copy(v.Reasons, spent.reasons)
	if u == nil {
		return v
	}
	v.Version, v.SHA256, v.Start = u.Manifest.Version, sum, c.Started()
	v.Pure, v.Fast = c.Pure()
	return v
}

// Differing is how many queries differ, at all places together.
func (r *Report) Differing() (n uint64) {
	for i := range r.Uses {
		n += r.Uses[i].Differ
	}
	return n
}

// Compared is of how many queries what both versions say was held against each other, at all places together.
func (r *Report) Compared() (n uint64) {
	for i := range r.Uses {
		n += r.Uses[i].Alike + r.Uses[i].Differ
	}
	return n
}

// Faults is how often the new version has failed.
func (r *Report) Faults() (n uint64) {
	for i := range r.Uses {
		n += r.Uses[i].New.Faults
	}
	return n
}

// maxSample is of how many numbers the median is told: with 4,096 it is that of all within 2 % of their ranks.
const maxSample = 4096

// sample has some of many numbers, each with the same chance (algorithm R), and the largest. Up to maxSample it has all.
type sample struct {
	n     uint64
	worst int64
	some  []int64
	rand  *rand.Rand
}

func (s *sample) add(v int64) {
	s.worst = max(s.worst, v)
	s.n++
	if len(s.some) < maxSample {
		s.some = append(s.some, v)
		return
	}
	if s.rand == nil {
		s.rand = rand.New(rand.NewPCG(1, 2)) // which ones are left out is of no consequence, and is to be the same each time
	}
	if k := s.rand.Uint64N(s.n); k < maxSample {
		s.some[k] = v
	}
}

func (s *sample) spread() Spread {
	if len(s.some) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(s.some))
	return Spread{Median: sorted[len(sorted)/2], Worst: s.worst}
}
