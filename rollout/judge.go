package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Decision is what a gate says.
type Decision uint8

// The decisions.
const (
	Wait  Decision = iota // it is too early to say
	Pass                  // the next wave may have it
	Fail                  // it must be withdrawn
	Pause                 // it could not be judged in the time there was
)

// String returns the word for it.
func (d Decision) String() string { return [...]string{"wait", "pass", "fail", "pause"}[d] }

// Verdict is a decision and what it rests on.
type Verdict struct {
	Decision Decision
	Why      string   // in words; what is waited for, or the worst figure
	Figures  []Figure // of a Fail what is wrong, of a Pass what was compared; the worst first
}

// Judge says what a view means. It is a pure function, and the only place where a gate is decided.
//
// It fails at once, before the bake time is over, if a node of the wave can't compile the change, if one panics or has faults of modules that the others lack, if its probe fails,
// if it falls silent or restarts, or if queries fail, or are slow, more than without the change. It passes after the bake time if none of that is so, all nodes of the wave have taken the change up, and
// there was enough to see it by: queries, or a probe that passes on every one of them. Else it waits, and pauses when Plan.Patience is over.
func Judge(p *Plan, v *View, now time.Time) Verdict {
	j := judgement{p: p, v: v, elapsed: now.Sub(v.Since)}
	j.compiled()
	j.crashed()
	j.probed()
	j.lost()
	enough := j.traffic()
	if len(j.bad) > 0 {
		return Verdict{Fail, clip(j.bad[0].String(), MaxText), clippedFigures(j.bad)}
	}
	if j.elapsed < p.Bake {
		return Verdict{Decision: Wait, Why: fmt.Sprintf("it is watched for %v, %v of that are over", brief(p.Bake), brief(max(j.elapsed, 0)))}
	}
	if why := j.missing(enough); len(why) > 0 {
		text := strings.Join(why, "; ")
		if j.elapsed < p.Patience {
			return Verdict{Decision: Wait, Why: clip(text, MaxText)}
		}
		return Verdict{Decision: Pause, Why: clip(fmt.Sprintf("it can't be judged after %v: %s", brief(j.elapsed), text), MaxText), Figures: clippedFigures(j.good)}
	}
	return Verdict{Pass, clip(j.passed(enough), MaxText), clippedFigures(j.good)}
}

// brief is a duration to the second.
func brief(d time.Duration) string { return strictyaml.FormatDuration(d.Truncate(time.Second)) }

// judgement is the work of one Judge.
type judgement struct {
	p       *Plan
	v       *View
	elapsed time.Duration

	bad, good []Figure
	queries   uint64 // of holders, since the watch began
}

// tolerated returns how many of n nodes may go wrong by themselves: one in a hundred. Of less than a hundred, none.
func tolerated(n int) int { return n / 100 }

// more tells whether bad of n nodes in the wave are more than there would be without the change: more than are tolerated, and more than twice the share of the others.
func more(bad, n, othersBad, others int) bool {
	return bad > tolerated(n) && (others == 0 || bad*others > 2*othersBad*n)
}

const (
	againstOthers = "nodes without it"
	againstBefore = "the same nodes before"
	againstLast   = "nodes without it, at the last gate"
)

// of writes a number of nodes.
func of(x, n int) string { return fmt.Sprintf("%d of %d nodes", x, n) }

// compiled: a change that one node of the wave can't compile goes no further. The writer has compiled it, so that node lacks something that others may lack too.
func (j *judgement) compiled() {
	c := &j.v.Holders
	if c.Refused == 0 {
		return
	}
	f := Figure{What: "nodes that can't compile it", With: of(c.Refused, c.Alive)}
	for i := range j.v.Rows {
		if r := &j.v.Rows[i]; r.Error != "" && has(r.Refused, j.v.ID) && !r.Before.Broken {
			j.bad = append(j.bad, Figure{What: "it does not compile", Node: r.Name, Site: r.Site, With: r.Error})
			break
		}
	}
	j.bad = append(j.bad, f)
}

// crashed: one panic is enough where there are none otherwise. Where there are, the change must have certainly more of them for each query.
func (j *judgement) crashed() {
	var with Sum
	for _, s := range j.v.Strata {
		with.Add(&s.Holders)
	}
	without, against := j.fleet()
	for _, c := range []struct {
		what string
		x, y uint64
		such string
	}{{"panics", with.Panics, without.Panics, ""}, {"faults of modules", with.Faults, without.Faults, j.v.Fault.String()}} {
		if c.x == 0 {
			continue
		}
		seen, base := part{float64(c.x), float64(max(with.Queries(), c.x))}, part{float64(c.y), float64(max(without.Queries(), c.y))}
		if c.y == 0 || worse(seen, base, 0, 0, nats(2)) {
			j.bad = append(j.bad, Figure{What: c.what, With: fmt.Sprintf("%d in %d queries%s", c.x, with.Queries(), c.such), Without: fmt.Sprintf("%d in %d queries", c.y, without.Queries()), Against: against})
		}
	}
}

// String is what is put behind a number of faults.
func (f Fault) String() string {
	if f.Text == "" {
		return ""
	}
	return fmt.Sprintf(", such as by %s (%s)", f.Text, f.Node)
}

// fleet returns the sum of the whole fleet to compare with, the best there is.
func (j *judgement) fleet() (Sum, string) {
	var others, before Sum
	for _, s := range j.v.Strata {
		others.Add(&s.Others)
		before.Add(&s.Before)
	}
	switch base := j.v.Baseline; {
	case others.Queries() >= j.p.Queries:
		return others, againstOthers
	case before.Queries() >= j.p.Queries:
		return before, againstBefore
	case base != nil && base.Queries() >= j.p.Queries:
		return *base, againstLast
	case j.v.Others.Alive > 0:
		return others, againstOthers
	}
	return before, againstBefore
}

// probed: a probe fails because of the change unless the same node's failed before, or it fails at most nodes without the change as well. Those say nothing; and as long as no node without the change knows, it is too early
// to say.
func (j *judgement) probed() {
	h, o := &j.v.Holders, &j.v.Others
	if o.Failed > o.Passed || o.Probed > 0 && o.Failed+o.Passed == 0 || !more(h.Failed-h.Known, h.Probed, o.Failed, o.Probed) {
		return
	}
	without, against := "", ""
	if o.Probed > 0 {
		without, against = of(o.Failed, o.Probed), againstOthers
	}
	for i := range j.v.Rows {
		r := &j.v.Rows[i]
		if result, text := r.probe(j.v.ID); result == ProbeFailed && r.holds(j.v.ID) && r.Before.Probe != ProbeFailed {
			f := Figure{What: "the probe fails", Node: r.Name, Site: r.Site, With: text}
			if r.Before.Probe == ProbePassed {
				f.Without, f.Against = "a pass", againstBefore
			}
			j.bad = append(j.bad, f)
			break
		}
	}
	j.bad = append(j.bad, Figure{What: "nodes whose probe fails", With: of(h.Failed-h.Known, h.Probed), Without: without, Against: against})
}

// lost: a node that had the change and is silent now may have been cut off by it; one that has begun anew may have crashed. Nodes that were in the wave when it was released and
// that nobody has heard of since a new driver began are silent too.
func (j *judgement) lost() {
	h, o := &j.v.Holders, &j.v.Others
	silent, n := h.Silent, h.total()
	if unheard := j.v.Reached - n; unheard > 0 && j.elapsed >= j.p.Silence {
		silent, n = silent+unheard, j.v.Reached
	}
	if !more(silent+h.Restarted, n, o.lost(), o.total()) {
		return
	}
	for i := range j.v.Rows {
		r := &j.v.Rows[i]
		if r.Silent >= j.p.Silence {
			j.bad = append(j.bad, Figure{What: "silence", Node: r.Name, Site: r.Site, With: "for " + brief(r.Silent)})
			break
		}
		if r.Restarted {
			j.bad = append(j.bad, Figure{What: "restart", Node: r.Name, Site: r.Site, With: "since it got the change"})
			break
		}
	}
	without, against := "", ""
	if o.total() > 0 {
		without, against = of(o.lost(), o.total()), againstOthers
	}
	j.bad = append(j.bad, Figure{What: "nodes that fell silent or restarted", With: of(silent+h.Restarted, n), Without: without, Against: against})
}

// missing says what is missing for a verdict.
func (j *judgement) missing(enough bool) []string {
	var why []string
	h := &j.v.Holders
	switch late := h.Alive - h.Holding - h.Broken; {
	case h.Alive == 0:
		why = append(why, "no node of the wave has been heard of")
	case h.Holding == 0 || late*10 > h.Alive:
		text := of(h.Alive-h.Holding, h.Alive) + " of the wave do not have it in use"
		for i := range j.v.Rows {
			if r := &j.v.Rows[i]; r.Silent < j.p.Silence && !r.holds(j.v.ID) {
				text += fmt.Sprintf(", such as %s, which is at version %d", r.Name, r.Version)
				if r.Error != "" {
					text += ": " + r.Error
				}
				break
			}
		}
		why = append(why, text)
	}
	if n := h.Fading; n > tolerated(h.Alive) {
		why = append(why, of(n, h.Alive)+" of the wave have not been heard of for a while")
	}
	if unheard := j.v.Reached - h.total(); unheard > tolerated(j.v.Reached) && j.elapsed < j.p.Silence {
		why = append(why, of(unheard, j.v.Reached)+" of the wave have not been heard of")
	}
	if h.Undecided > tolerated(h.Probed) {
		why = append(why, "the probe of "+of(h.Undecided, h.Probed)+" has no result yet")
	}
	if !enough && !j.probesPass() {
		text := fmt.Sprintf("%d queries with the change, %d are needed", j.queries, j.p.Queries)
		if j.queries >= j.p.Queries {
			text = fmt.Sprintf("there are no %d queries without the change to compare with", j.p.Queries)
		}
		switch {
		case h.Probed == 0:
			text += ", and there is no probe"
		case h.Failed > 0:
			text += fmt.Sprintf(", and the probe fails at %s, as it does without the change", of(h.Failed, h.Probed))
		default:
			text += fmt.Sprintf(", and the probe passes at %s alone", of(h.Passed, h.Holding))
		}
		why = append(why, text)
	}
	return why
}

// probesPass tells whether every node that has the change has a probe that passes. One whose probe failed before it had the change says nothing, so that one bad node does not hold up all changes; but most have to pass.
func (j *judgement) probesPass() bool {
	h := &j.v.Holders
	return h.Passed*2 > h.Holding && h.Passed+h.Known >= h.Holding-tolerated(h.Holding)
}

// passed says by what it did.
func (j *judgement) passed(enough bool) string {
	h := &j.v.Holders
	var by []string
	if enough {
		by = append(by, fmt.Sprintf("%d queries", j.queries))
	}
	if h.Passed > 0 {
		by = append(by, fmt.Sprintf("the probe at %s", of(h.Passed, h.Holding)))
	}
	return fmt.Sprintf("%s did well with it, by %s", of(h.Holding, h.Alive), strings.Join(by, " and "))
}

// String returns the figure in words.
func (f Figure) String() string {
	var b strings.Builder
	b.WriteString(f.What)
	switch {
	case f.Node != "" && f.Site != "":
		fmt.Fprintf(&b, " at %s (site %s)", f.Node, f.Site)
	case f.Node != "":
		fmt.Fprintf(&b, " at %s", f.Node)
	case f.Site != "":
		fmt.Fprintf(&b, " at site %s", f.Site)
	}
	fmt.Fprintf(&b, ": %s", f.With)
	if f.Without != "" {
		fmt.Fprintf(&b, ", against %s", f.Without)
		if f.Against != "" {
			fmt.Fprintf(&b, " (%s)", f.Against)
		}
	}
	return b.String()
}

func clippedFigures(all []Figure) []Figure {
	all = all[:min(len(all), MaxFigures)]
	for i := range all {
		all[i] = all[i].clipped()
	}
	return all
}
