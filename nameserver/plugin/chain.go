package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver/cache"
	"github.com/ananas-edge/ananas/wasm"
)

// Chain are the modules that run, in their order. It is immutable; nil is one without modules.
type Chain struct {
	loader *Loader
	query  []runner
	answer []runner
	log    []runner
	fast   []*runner // of phase query, those whose verdict is not kept with the answer
	atOnce bool      // see InLoop
	kept   bool      // answers may be kept as they are sent
	passed *Said     // of all of fast
	epoch  string
	order  string
}

// Step is what one module said, for who explains.
type Step struct {
	Module  string
	Phase   Phase
	Verdict Verdict
	Fuel    int64
	Took    time.Duration
	Err     error // it faulted, or was taken out
}

// Epoch names the modules, their settings and their purity: what is kept with answers is good for one epoch.
func (c *Chain) Epoch() string {
	if c == nil {
		return ""
	}
	return c.epoch
}

// State names which of the modules were taken out, and what is asked in their place: it changes when one goes, and when it comes back, loaded anew. 0: all are in. What is kept with answers is good for one epoch and state.
func (c *Chain) State() (state uint64) {
	if c == nil || c.loader.outs.Load() == 0 {
		return 0
	}
	for _, list := range [][]runner{c.query, c.answer} {
		for k := range list {
			r := &list[k]
			if !r.out.Load() {
				continue
			}
			state = state*mixer + r.outAs.Load()
			if r.before != nil {
				state = (state*mixer+r.before.serial)*mixer + r.before.outAs.Load()
			}
		}
	}
	return state
}

// mixer is the multiplier of FNV-1a, of 64 bits.
const mixer = 0x100000001b3

// Queries tells whether modules run at phase query.
func (c *Chain) Queries() bool { return c != nil && len(c.query) > 0 }

// Answers tells whether modules run at phase answer.
func (c *Chain) Answers() bool { return c != nil && len(c.answer) > 0 }

// Keeps tells whether an answer that has passed the chain may be given again, to whoever asks the same, if [Chain.Passes] lets him.
func (c *Chain) Keeps() bool { return c == nil || c.kept }

// Decides tells whether a verdict of that module may be kept with the answer.
func (c *Chain) Decides(module string) bool {
	for _, list := range [][]runner{c.query, c.answer} {
		for k := range list {
			if list[k].use.Module == module && !list[k].pure {
				return false
			}
		}
	}
	return true
}

// Impure tells whether each query has to be shown to a module, whatever is kept; inLoop whether [Chain.Passes] can do it: all of them may be called in a loop that others wait for.
func (c *Chain) Impure() (impure, inLoop bool) {
	if c == nil {
		return false, false
	}
	inLoop = true
	for _, r := range c.fast {
		if !r.passedOver() {
			impure, inLoop = true, inLoop && r.module.Fast() && !r.asks
		}
	}
	return impure, inLoop
}

// passedOver tells that the module was taken out, and that queries are as if it were not there.
func (r *runner) passedOver() bool { return r.out.Load() && r.use.Mode == Open }

// Passes shows a query for which there is a kept answer to the modules that have to see each. What they have said is for when it goes the long way, which false has it do: none is asked twice; nil: nothing. It neither waits nor
// allocates where they let it pass. tags says that a tag is more than a word for the log: it decides who is asked.
func (c *Chain) Passes(core int, q *Query, tags bool) (pass bool, said *Said) {
	quiet := len(c.fast) // how many, from the first on, have said nothing at all: a tag that is of no use now may be when the query is looked at again, by other settings
	for k, r := range c.fast {
		if r.passedOver() {
			continue
		}
		if r.out.Load() {
			return false, c.said(min(k, quiet), k, nil)
		}
		i := r.pool.Take(core)
		if i == nil {
			return false, c.said(min(k, quiet), k, nil)
		}
		said, tagged := c.pass(core, min(k, quiet), k, i, q, tags)
		if said != nil {
			return false, said
		}
		if tagged {
			quiet = min(quiet, k)
		}
	}
	if quiet < len(c.fast) {
		return true, nil
	}
	return true, c.passed
}

// pass shows a query to one of them, of which quiet have said nothing before, and returns what was said if it does not let it pass, and else whether it gave a tag.
func (c *Chain) pass(core, quiet, k int, i *wasm.Instance, q *Query, tags bool) (said *Said, tagged bool) {
	r := c.fast[k]
	defer r.pool.Put(core, i)
	out, err := r.loaded.query(context.Background(), i, q)
	if tag, pass := goesOn(out); pass && err == nil && (len(tag) == 0 || !tags && !c.Logs()) { // who writes the log has no room for a tag in this way
		return nil, len(tag) > 0
	}
	var v Verdict
	if err == nil {
		var owner dns.Name
		if owner, err = dns.NameFromWire(q.Name); err == nil {
			v, err = q.verdict(out, owner)
		}
	}
	err = c.heard(r.loaded, r, &v, err)
	return c.said(quiet, k, &saying{v: v, err: err}), false
}

// Said is what modules have said in [Chain.Passes] of a query that goes the long way.
type Said struct {
	goOn []*runner // these have nothing to say, and may not be asked again
	by   *runner   // nil: nobody has said more
	saying
	heard []heardOf // these have said so, each
}

// heardOf is what came of asking one.
type heardOf struct {
	by *runner
	saying
}

type saying struct {
	v     Verdict
	err   error
	whole bool // where it failed, the version before it was asked too, if its mode wants that
}

// said is what the first of the modules that have to see each query have said, which was nothing, and the one at k if it said something.
func (c *Chain) said(quiet, k int, last *saying) *Said {
	s := &Said{goOn: c.fast[:quiet]}
	if last != nil {
		s.by, s.saying = c.fast[k], *last
	}
	return s
}

// of returns what a module has said, if it has. A module that was passed over, and is in since, would have been another runner.
func (s *Said) of(r *runner) (one saying, ok bool) {
	if s == nil {
		return one, false
	}
	for k := range s.heard { // later than what else there is
		if s.heard[k].by == r {
			return s.heard[k].saying, true
		}
	}
	if s.by == r {
		return s.saying, true
	}
	return saying{v: Verdict{Module: r.use.Module, Place: r.place}}, slices.Contains(s.goOn, r) && !r.out.Load()
}

// and returns what was said before, and what was heard since then.
func (s *Said) and(heard []heardOf) *Said {
	both := Said{heard: heard}
	if s != nil {
		both.goOn, both.by, both.saying = s.goOn, s.by, s.saying
	}
	return &both
}

// Query shows a query to the modules in their order, and returns the first verdict that ends it, with the tags and wishes of those before. fail is set if a module failed that has to be asked. see is told each step; nil: nobody
// wants to know.
func (c *Chain) Query(ctx context.Context, core int, q *Query, owner dns.Name, see func(Step)) (v Verdict, fail *dns.EDE) {
	if c == nil {
		return v, nil
	}
	v, fail, _ = c.tell(ctx, core, q, owner, see, true)
	return v, fail
}

// InLoop tells whether [Chain.AtOnce] can be asked: the modules of phase query may be called in a loop that others wait for, and none of their verdicts is kept with answers.
func (c *Chain) InLoop() bool { return c != nil && c.atOnce }

// AtOnce is [Chain.Query] for a loop that others wait for. ok is false where a module has no instance that is free: then Query has to be asked, which waits; what those before it have said is in q.Said then.
func (c *Chain) AtOnce(core int, q *Query, owner dns.Name) (v Verdict, fail *dns.EDE, ok bool) {
	return c.tell(context.Background(), core, q, owner, nil, false)
}

// tell is both: without wait, ok is false if one has no instance that is free.
func (c *Chain) tell(ctx context.Context, core int, q *Query, owner dns.Name, see func(Step), wait bool) (v Verdict, fail *dns.EDE, ok bool) {
	bypass, failed, sum := false, false, Verdict{}
	var room [2]heardOf // so that nothing is allocated where all are free, and there are few
	heard := room[:0]
	for k := range c.query {
		r := &c.query[k]
		said, busy := c.ask(ctx, core, r, q.Said, see, wait, func(ctx context.Context, l *loaded, i *wasm.Instance) (v Verdict, err error) {
			out, err := l.query(ctx, i, q)
			if err == nil {
				v, err = q.verdict(out, owner)
			}
			if err == nil && l.pure {
				c.loader.repeat(ctx, l, out, func(i *wasm.Instance) ([]byte, error) { return l.query(ctx, i, q) })
			}
			return v, err
		})
		one, err := said.v, said.err
		if busy {
			if err != nil { // it is the version before it that is busy
				heard = append(heard, heardOf{r, said})
			}
			q.Said = q.Said.and(slices.Clone(heard))
			return Verdict{}, nil, false
		}
		if !wait && k < len(c.query)-1 {
			heard = append(heard, heardOf{r, said})
		}
		if err != nil {
			if r.use.Mode == Closed {
				return Verdict{Place: r.place}, edeText(r.use.Module), true
			}
			failed = failed || err != errOut // which is so for each query
			continue
		}
		bypass, failed = bypass || one.Bypass, failed || one.Failed
		if one.Group != "" {
			sum.Group, sum.GroupBy = one.Group, r.use.Module
		}
		if one.Tag != "" {
			sum.Tag, sum.TagBy = one.Tag, r.use.Module
		}
		if one.Action != GoOn {
			v = one
			break
		}
	}
	v.Bypass, v.Failed = bypass, failed
	v.Group, v.GroupBy, v.Tag, v.TagBy = sum.Group, sum.GroupBy, sum.Tag, sum.TagBy
	return v, nil, true
}

// Answer shows an answer to the modules in their order; each sees what those before have made of it. The verdict is GoOn where none has changed it, and Answer where rep has other records now; its place is that of the first module
// that has changed something.
func (c *Chain) Answer(ctx context.Context, core int, q *Query, owner dns.Name, rep *Reply, see func(Step)) (v Verdict, fail *dns.EDE) {
	if c == nil {
		return v, nil
	}
	var in []byte
	failed, tag, first := false, "", uint8(0)
	defer func() {
		v.Failed, v.Tag = failed, tag
		if first != 0 {
			v.Place = first
		}
	}()
	for k := range c.answer {
		r := &c.answer[k]
		in = in[:0]
		q.Shown.note(r.place, rep)
		said, _ := c.ask(ctx, core, r, nil, see, true, func(ctx context.Context, l *loaded, i *wasm.Instance) (v Verdict, err error) {
			in = rep.appendReply(in[:0], q, l.sees)
			out, err := l.answer(ctx, i, in, q)
			if err == nil {
				if v, err = parseVerdict(out, owner); err == nil && (v.Action == Rewrite || v.Group != "") { // it has been asked already
					err = errVerdict
				}
			}
			if err == nil && l.pure {
				c.loader.repeat(ctx, l, out, func(i *wasm.Instance) ([]byte, error) { return l.answer(ctx, i, in, q) })
			}
			return v, err
		})
		one, err := said.v, said.err
		failed = failed || one.Failed
		if one.Tag != "" {
			tag = one.Tag
		}
		switch {
		case err != nil && r.use.Mode == Closed:
			return Verdict{Place: r.place}, edeText(r.use.Module)
		case err != nil:
			failed = failed || err != errOut
			continue
		case one.Action == Answer:
			rep.RCode, rep.Sections, rep.Security = dns.RCodeSuccess, [3][]dns.RR{one.Records}, cache.Unchecked
			v = one
			if first == 0 {
				first = r.place
			}
		case one.Action != GoOn:
			return one, nil
		}
	}
	q.Shown.note(behindAll, rep)
	return v, nil
}

// ask has one module asked, if it was not, or, where it fails and may be stale, the version before it. busy tells that one of the two has no instance that is free, and nobody may wait: then what is said is how the module failed, if it was
// asked.
func (c *Chain) ask(ctx context.Context, core int, r *runner, said *Said, see func(Step), wait bool, do func(context.Context, *loaded, *wasm.Instance) (Verdict, error)) (one saying, busy bool) {
	one, known := said.of(r)
	if !known {
		one.v, one.err = c.once(ctx, core, r.loaded, r, see, wait, do)
	}
	if one.err == errBusy {
		return saying{}, true
	}
	if one.err != nil && !one.whole && r.use.Mode == Stale && r.before != nil {
		v, err := c.once(ctx, core, r.before, r, see, wait, do)
		if err == errBusy {
			return one, true
		}
		v.Failed = one.err != errOut || !r.before.pure // what another version says now may not be kept for when it is not asked
		one.v, one.err = v, err
	}
	one.whole = true
	return one, false
}

func (c *Chain) once(ctx context.Context, core int, l *loaded, r *runner, see func(Step), wait bool, do func(context.Context, *loaded, *wasm.Instance) (Verdict, error)) (v Verdict, err error) {
	var fuel int64
	var began time.Duration
	if see != nil { // who answers a client does not look at the clock for it
		began = c.loader.boot()
	}
	if l.out.Load() {
		err = errOut
	} else {
		var i *wasm.Instance
		if wait {
			i, err = l.pool.TakeOrMake(ctx, core)
		} else if i = l.pool.Take(core); i == nil {
			return v, errBusy
		}
		if err == nil {
			v, fuel, err = called(ctx, core, l, i, do)
		}
		err = c.heard(l, r, &v, err)
	}
	v.Module, v.Place = r.use.Module, r.place
	if see != nil {
		see(Step{r.use.Module, r.use.Phase, v, fuel, c.loader.boot() - began, err})
	}
	return v, err
}

// called calls an instance and puts it back, also if something here panics: a module must not lose one for each such query.
func called(ctx context.Context, core int, l *loaded, i *wasm.Instance, do func(context.Context, *loaded, *wasm.Instance) (Verdict, error)) (v Verdict, fuel int64, err error) {
	defer l.pool.Put(core, i)
	v, err = do(ctx, l, i)
	return v, i.Spent(), err
}

// heard counts what came of a call.
func (c *Chain) heard(l *loaded, r *runner, v *Verdict, err error) error {
	v.Module, v.Place = r.use.Module, r.place
	switch {
	case errors.Is(err, errLarge):
		c.loader.m.large.With(r.use.Module).Inc() // and not held against it: whoever owns a zone can have such answers asked for
	case err != nil:
		c.loader.faulted(&runner{loaded: l, use: r.use}, err)
	case !l.ran.Load():
		l.ran.Store(true)
	}
	if err == nil && v.Action != GoOn {
		c.loader.m.verdicts.With(r.use.Module, string(r.use.Phase), v.Action.String()).Inc()
	}
	return err
}

// errLarge is why a module is not shown an answer: its mode says what becomes of that.
var errLarge = errors.New("the answer does not fit into the module's buffer, names uncompressed")

var errOut error = hinted{fmt.Errorf("it was taken out, since it failed %d times in %v", maxFaults, faultTime), "ananas module ls says how it failed, and what can be done now"}

var errGroup = errors.New("a group that is not there")

// verdict reads what a module returned for the query. A group that is not there is a fault.
func (q *Query) verdict(out []byte, owner dns.Name) (Verdict, error) {
	v, err := parseVerdict(out, owner)
	if err == nil && v.Group != "" && q.Groups != nil && !q.Groups.HasGroup(v.Group) {
		return Verdict{}, noGroup(v.Group)
	}
	return v, err
}

// noGroup is why a module fails that sends a query to a group which is not there.
func noGroup(name string) error {
	return hinted{fmt.Errorf("it sends the query to %w: %q", errGroup, name), "add it to settings.groups, or have the module name another one"}
}

// errBusy is why a module was not asked where nobody may wait.
var errBusy = errors.New("all its instances are in use")
