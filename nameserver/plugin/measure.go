package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ananas-edge/ananas/wasm"
)

// Cost is what calls of a module have taken.
type Cost struct {
	Calls     int
	Took      time.Duration // of all
	Fuel      int64         // of all
	Allocated uint64        // objects that the host allocated for all
}

// Started is the fuel that ananas_start of the first module took.
func (c *Chain) Started() int64 {
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		if len(list) > 0 {
			return list[0].started.Load()
		}
	}
	return 0
}

// Pure tells whether the verdicts of the first module are kept with answers, and fast whether it may be called in a loop that others wait for.
func (c *Chain) Pure() (pure, fast bool) {
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		if len(list) > 0 {
			return list[0].pure, list[0].module.Fast() && !list[0].asks
		}
	}
	return false, false
}

var errNoneMeasured = errors.New("measuring a module: none runs at that phase")

// Measure has the first module of phase query look at the same query n times, or that of phase answer if there is a reply: as in the path of a query, an instance is taken and put back for each call. It allocates nothing itself.
func (c *Chain) Measure(ctx context.Context, q *Query, rep *Reply, n int) (cost Cost, err error) {
	list, export := c.query, exportQuery
	if rep != nil {
		list, export = c.answer, exportAnswer
	}
	if len(list) == 0 {
		return cost, errNoneMeasured
	}
	l := list[0].loaded
	var in []byte
	if rep == nil {
		in = q.appendQuery(nil, l.sees)
	} else {
		in = rep.appendReply(nil, q, l.sees)
	}
	return c.measure(ctx, l, n, func(i *wasm.Instance) (int64, error) {
		err := l.measured(ctx, i, export, in, q)
		return i.Spent(), err
	})
}

// MeasureLog has the first module of phase log look at the same lines n times. A call of the cost is all of them, in as many calls of the module as they need.
func (c *Chain) MeasureLog(ctx context.Context, lines []Line, n int) (cost Cost, err error) {
	if len(c.log) == 0 {
		return cost, errNoneMeasured
	}
	l := c.log[0].loaded
	return c.measure(ctx, l, n, func(i *wasm.Instance) (fuel int64, err error) {
		for rest := lines; len(rest) > 0 && err == nil; {
			shown := 0
			shown, err = l.show(ctx, i, rest)
			fuel += i.Spent()
			rest = rest[shown:]
		}
		return fuel, err
	})
}

// measure has do call an instance n times, and adds up the fuel that it returns.
func (c *Chain) measure(ctx context.Context, l *loaded, n int, do func(*wasm.Instance) (fuel int64, err error)) (cost Cost, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := c.loader.boot()
	for range n {
		i, err := l.pool.TakeOrMake(ctx, 0)
		if err != nil {
			return cost, err
		}
		fuel, err := do(i)
		l.pool.Put(0, i)
		if err != nil {
			return cost, err
		}
		cost.Fuel += fuel
	}
	cost.Calls, cost.Took = n, c.loader.boot()-began
	runtime.ReadMemStats(&after)
	cost.Allocated = after.Mallocs - before.Mallocs
	return cost, nil
}

func (l *loaded) measured(ctx context.Context, i *wasm.Instance, export int, in []byte, q *Query) error {
	g := guestOf(i)
	room := g.room(i)
	if len(in) > cap(room) {
		return fmt.Errorf("%w: its buffer has %d octets, and the answer %d", errReturned, cap(room), len(in))
	}
	_, err := g.call(ctx, i, export, append(room, in...), q)
	return err
}
