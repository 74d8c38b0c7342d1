package rollout

import "time"

// MaxRows is how many nodes a View tells of one by one. The others are counted.
const MaxRows = 32

// ProbeTries is how many probes must fail one after the other until a node's probe has failed. Resolvers lose a packet in a hundred; three in a row are one in a million.
const ProbeTries = 3

// NodeState is what a node says of itself, once a second. It is the row of `status` as well.
type NodeState struct {
	Name    string
	Site    string
	Lineage string
	Version uint64 // of the table that it serves with
	Sets    []ID   // the change sets in that table
	Boot    uint64 // a random number of its process: another one says that it has begun anew

	// Refused are the change sets of a table that could not be compiled, and Error says why; with an error and none of them, it was the version itself. The node serves with the table it had.
	Refused []ID
	Error   string

	// Fault names the module that failed last with that table, where and why: "family at phase query: fuel". "": none has, or the node is of a release that does not tell.
	Fault string

	// Probes are the last probes of rollouts that are open. Nodes that do not hold a change probe as well where they can, so that there is something to compare with.
	Probes []Probe
}

// Probe is what a node found when it tried what a rollout is about.
type Probe struct {
	Rollout ID
	Passed  uint64 // how often, with the table that it serves with
	Failing uint64 // how often in a row, up to now
	Error   string // of the last one that failed; kept until one passes
}

// Probed is what can be said of a probe.
type Probed uint8

// What can be said.
const (
	ProbeNone Probed = iota // the node has none
	ProbeOpen               // it was not tried yet, or fails, though not ProbeTries times in a row
	ProbePassed
	ProbeFailed
)

func (n *NodeState) probe(id ID) (Probed, string) {
	for i := range n.Probes {
		switch p := &n.Probes[i]; {
		case p.Rollout != id:
		case p.Failing >= ProbeTries:
			return ProbeFailed, p.Error
		case p.Failing == 0 && p.Passed > 0:
			return ProbePassed, ""
		default:
			return ProbeOpen, p.Error
		}
	}
	return ProbeNone, ""
}

// holds tells whether the table of the node has the change set in it.
func (n *NodeState) holds(id ID) bool { return has(n.Sets, id) }

func has(sets []ID, id ID) bool {
	for _, s := range sets {
		if s == id {
			return true
		}
	}
	return false
}

// Row is the state of a node as it bears on one rollout.
type Row struct {
	NodeState
	Silent    time.Duration // since it was last heard of, or since the watch began
	Restarted bool          // its process has begun anew since the watch began
	Before    Past
}

// Past is how a node was when it did not hold a change.
type Past struct {
	Broken bool // it could not compile the version that it was to have
	Probe  Probed
}

// View is what is known of one rollout at one moment: what a verdict rests on, and nothing else. A [Driver] makes it of what its [Health] tells.
type View struct {
	ID      ID
	Since   time.Time // when the watch over this wave began; what was counted before is in Before alone
	Reached int       // nodes that were alive and in the wave when it was released

	Strata   []*Stratum
	Baseline *Sum // committed with the last gate that was passed, or nil

	Holders Count // nodes that are in the wave
	Others  Count // nodes that are not
	Rows    []Row // of those in the wave that something is wrong with, the first MaxRows
	Fault   Fault // of a module, at one of the nodes that hold the change; the zero value: none is known
}

// Fault is a module that has failed at a node.
type Fault struct{ Node, Text string }

// MaxStrata is how many strata a view has: 256 sites with one other change on its way at half of them. What is more is added to one without a name. At 1.5 KiB each it is
// 750 KiB.
const MaxStrata = 512

// Stratum is what is compared with one another: the figures of one site, by nodes that have the same other change sets. One bad site, or one that is asked other things, would otherwise
// look like a bad change when the canaries are spread over the sites in another way than the rest.
type Stratum struct {
	Site string
	With string // the other change sets, in any form that is always the same; "" is none

	Holders Sum // of those that hold the change, since View.Since
	Others  Sum // of those that do not, over the same time
	Before  Sum // of those that did not, from before View.Since
}

// Stratum returns the one of that site and those other change sets, and makes it.
func (v *View) Stratum(site, with string) *Stratum {
	for _, s := range v.Strata {
		if s.Site == site && s.With == with {
			return s
		}
	}
	if len(v.Strata) >= MaxStrata {
		site, with = "", "*"
		if s := v.Strata[len(v.Strata)-1]; s.With == with {
			return s
		}
	}
	s := &Stratum{Site: site, With: with}
	v.Strata = append(v.Strata, s)
	return s
}

// Count counts nodes.
type Count struct {
	Alive     int // heard of within Plan.Silence
	Holding   int // of those, with the change in their table
	Fading    int // of those, not heard of for a while
	Silent    int // not heard of for Plan.Silence
	Restarted int // alive, and begun anew in this wave
	Refused   int // could not compile the change, and could compile what was before
	Broken    int // alive without the change, since they could not compile what was before it either
	Probed    int // have a probe
	Passed    int // and it passes
	Failed    int // and it fails
	Known     int // of those, it has failed before they held the change as well
	Undecided int // and nothing can be said yet
}

// fading is how long a node may be silent until it is no sure sign of life any more: five words that did not come.
const fading = 5 * time.Second

// total returns how many nodes were counted.
func (c *Count) total() int { return c.Alive + c.Silent }

// lost returns how many are gone, or were gone in between.
func (c *Count) lost() int { return c.Silent + c.Restarted }

// See counts a node in. in says whether it is in the wave ([Holds]). Nodes that were silent already when the watch began are left out by who calls, but for the canaries: those were alive when they were named.
func (v *View) See(p *Plan, row *Row, in bool) {
	c := &v.Others
	if in {
		c = &v.Holders
	}
	if row.Silent >= p.Silence {
		c.Silent++
		v.show(row, in)
		return
	}
	c.Alive++
	wrong := row.Restarted || row.Silent >= fading || row.Error != ""
	if row.Silent >= fading {
		c.Fading++
	}
	if row.Restarted {
		c.Restarted++
	}
	holding := row.holds(v.ID)
	if holding {
		c.Holding++
		if in && row.Fault != "" && (v.Fault.Node == "" || row.Name < v.Fault.Node) { // always the same, in whatever order nodes come
			v.Fault = Fault{row.Name, row.Fault}
		}
	}
	if row.Error != "" && has(row.Refused, v.ID) && !row.Before.Broken {
		c.Refused++
	}
	if in && !holding && row.Error != "" && row.Before.Broken {
		c.Broken++
	}
	if in && !holding {
		v.show(row, in)
		return // its probe is of what it had before
	}
	switch result, _ := row.probe(v.ID); result {
	case ProbeOpen:
		c.Probed++
		c.Undecided++
		wrong = true
	case ProbePassed:
		c.Probed++
		c.Passed++
	case ProbeFailed:
		c.Probed++
		c.Failed++
		wrong = true
		if row.Before.Probe == ProbeFailed {
			c.Known++
		}
	}
	if wrong {
		v.show(row, in)
	}
}

func (v *View) show(row *Row, in bool) {
	if in && len(v.Rows) < MaxRows {
		v.Rows = append(v.Rows, *row)
	}
}
