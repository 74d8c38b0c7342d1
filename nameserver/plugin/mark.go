package plugin

import "github.com/ananas-edge/ananas/telemetry"

// Mark says which module of a chain, at which phase, an answer is by, and what it did: small enough to be kept with the answer, so that those that are given as they were kept are counted too. 0: no module's. It holds for the
// chain that made it, and others of its [Chain.Epoch].
type Mark uint16

// Mark returns that of a verdict at phase query or answer.
func (c *Chain) Mark(phase Phase, v *Verdict) Mark {
	if c == nil || v.Action == GoOn {
		return 0
	}
	list, from := c.query, 0
	if phase == PhaseAnswer {
		list, from = c.answer, len(c.query)
	}
	for k := range list {
		if list[k].use.Module == v.Module {
			return Mark(1 + (from+k)*int(actions) + int(v.Action)) // at most 1 + maxPlugins*actions
		}
	}
	return 0
}

// Marks is one more than the highest mark there is.
func (c *Chain) Marks() int {
	if c == nil {
		return 0
	}
	return 1 + (len(c.query)+len(c.answer))*int(actions)
}

// Decided tells whether the module has answered in place of the world, or had there be no answer: all it may do but give an answer that was found other records, as one does that bounds TTLs.
func (c *Chain) Decided(m Mark) bool {
	return m != 0 && int(m) < c.Marks() && (int(m-1) < len(c.query)*int(actions) || Action(int(m-1)%int(actions)) != Answer)
}

// Counter is that of the verdicts that a mark stands for. m is below [Chain.Marks], and not 0.
func (c *Chain) Counter(m Mark) *telemetry.Counter {
	k, action := int(m-1)/int(actions), Action(int(m-1)%int(actions))
	r := &c.query
	if k >= len(c.query) {
		r, k = &c.answer, k-len(c.query)
	}
	use := (*r)[k].use
	return c.loader.m.verdicts.With(use.Module, string(use.Phase), action.String())
}
