package plugin

import "fmt"

// Path is what became of a query on its way through a chain, for who looks at it afterwards at one place of that.
type Path struct {
	Order   string // of the chain: see [Chain.Order]; "": nobody knows, since it was not this node that answered
	Ended   uint8  // the place of the module of phase query that has ended it; 0: none has
	Changed uint8  // the place of the first module of phase answer that has changed what was found, or ended it; 0: none has
	Group   string // whose servers were asked; "": those of all queries
	Shown   *Shown // what modules of phase answer were shown; nil: that was not noted
}

// Shown is an answer as the modules of phase answer were shown it, one after the other.
type Shown struct{ all []shownAt }

type shownAt struct {
	place uint8
	reply Reply
}

// behindAll is a place behind those of all modules.
const behindAll = 255

// Note notes an answer that no module of phase answer has seen. nil: nobody wants to know.
func (s *Shown) Note(rep *Reply) { s.note(behindAll, rep) }

func (s *Shown) note(place uint8, rep *Reply) {
	if s != nil {
		s.all = append(s.all, shownAt{place, *rep}) // whoever changes it makes sections of its own
	}
}

// At returns the answer as a module at that place is shown it; 0: one behind all that there are. nil: it is shown none, since there was no answer, or a module before it has ended that.
func (s *Shown) At(place int) *Reply {
	if place == 0 {
		place = behindAll
	}
	for k := range s.all {
		if int(s.all[k].place) >= place {
			rep := s.all[k].reply
			return &rep
		}
	}
	return nil
}

// Order names the modules of a chain with their settings, and the places at which they run: what is said of places holds for a chain of the same order.
func (c *Chain) Order() string {
	if c == nil {
		return "no modules"
	}
	return c.order
}

// orderOf is the order of a chain.
func (c *Chain) orderOf() string {
	order := c.epoch
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		for k := range list {
			order += fmt.Sprint(" ", list[k].place)
		}
	}
	return order
}
