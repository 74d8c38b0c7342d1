package plugin

import "github.com/ananas-edge/ananas/wasm"

// TakeAll takes all free instances of the module at a place of phase query, or, with before, of the version before it, as calls of others do, and returns what gives them back.
func (c *Chain) TakeAll(k int, before bool) (giveBack func()) {
	l := c.query[k].loaded
	if before {
		l = c.query[k].before
	}
	var taken []*wasm.Instance
	for i := l.pool.Take(0); i != nil; i = l.pool.Take(0) {
		taken = append(taken, i)
	}
	return func() {
		for _, i := range taken {
			l.pool.Put(0, i)
		}
	}
}
