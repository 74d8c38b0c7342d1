package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// Config is what a loader is made with.
type Config struct {
	Engine  *wasm.Engine
	Shelf   *dataset.Shelf            // of data sets in their compiled form
	Log     *slog.Logger              // nil: none
	Cores   int                       // for which each module has an instance
	Boot    func() time.Duration      // boot time
	Logs    Logs                      // takes what modules log; nil: nothing does
	Counts  Counts                    // takes what modules count and observe, beside the metrics; nil: nothing does
	Failed  func(module, text string) // is told of each call that failed; nil: nobody is
	Alarm   func(module, text string)
	Mend    func(module string) string // what people can do about one that was taken out; nil: it is not told
	Metrics *telemetry.Metrics

	// AllLines has Logs get each line, and not so many a second as a module's limits say: where a person has asked for them.
	AllLines bool

	// Changed is called, from a goroutine of its own, when a module that was declared pure was found not to be: chains have to be made anew. nil: nobody wants to know.
	Changed func()
}

// Loader makes chains, and keeps what several of them share: a module that two tables have alike is loaded once. Its methods may be called from any goroutine.
type Loader struct {
	c    Config
	host host
	m    loaderMetrics

	mu      sync.Mutex
	loaded  map[identity]*loaded
	impure  map[[sha256.Size]byte]bool // modules that are not what they said, by their digest
	checked map[identity]bool          // modules that run nowhere and were found to compile
	telling atomic.Bool                // Changed is being called
	closing sync.WaitGroup
	failed  atomic.Uint64
	last    atomic.Pointer[string] // the last fault, as LastFault has it
	outs    atomic.Uint64          // modules that were taken out
	serial  uint64                 // modules that were loaded
}

type loaderMetrics struct {
	verdicts *telemetry.CounterVec
	faults   *telemetry.CounterVec
	large    *telemetry.CounterVec
}

// identity is what makes two uses of modules the same.
type identity [sha256.Size]byte

func identityOf(u *Use) identity {
	h := sha256.New()
	sum := u.File.Sum()
	h.Write(sum[:])
	fmt.Fprintf(h, "%q %+v %q\n", u.Module, u.Limits, slices.Sorted(slices.Values(u.Grant)))
	for _, d := range u.Data {
		fmt.Fprintf(h, "%q %x %v %d\n", d.Name, d.Key.Source, d.Key.Format, d.Key.Tolerate)
	}
	for _, key := range slices.Sorted(maps.Keys(u.Settings)) {
		fmt.Fprintf(h, "%q %q\n", key, u.Settings[key])
	}
	return identity(h.Sum(nil))
}

// NewLoader makes one.
func NewLoader(c Config) *Loader {
	l := &Loader{c: c, loaded: make(map[identity]*loaded), impure: make(map[[sha256.Size]byte]bool), checked: make(map[identity]bool)}
	l.host = host{
		logs:       c.Logs,
		counts:     c.Counts,
		counters:   c.Metrics.CounterVec("ananas_module_count_total", "What modules count, by module and the name that it gave.", "module", "name"),
		histograms: c.Metrics.NumberVec("ananas_module_observed", "Numbers that modules observe, by module and the name that it gave; the unit is the module's.", "module", "name"),
		boot:       c.Boot,
		leftOut:    c.Metrics.CounterVec("ananas_module_log_lines_left_out_total", "Lines of modules that were left out of the log, since there were more in a second than limits.log_lines, by module.", "module"),
		waits:      c.Metrics.CounterVec("ananas_plugin_waits_limited_total", "Questions of modules that were not asked, since too many calls of theirs waited for answers, by module.", "module"),
	}
	if !c.AllLines {
		l.host.rate = new(lineRate)
	}
	l.m = loaderMetrics{
		verdicts: c.Metrics.CounterVec("ananas_plugin_verdicts_total", "Verdicts of modules that were not to go on, by module, phase and action.", "module", "phase", "action"),
		faults:   c.Metrics.CounterVec("ananas_plugin_faults_total", "Calls of modules that failed, by module and phase.", "module", "phase"),
		large:    c.Metrics.CounterVec("ananas_plugin_large_total", "Answers that a module of phase answer was not shown, since they do not fit into its buffer, by module. Its mode said what became of them.", "module"),
	}
	return l
}

func (l *Loader) boot() time.Duration { return l.c.Boot() }

// Load makes a chain of what settings say. Modules are compiled if they were never before here; the error is a [*strictyaml.Errors] with paths below `settings`. before, if not nil, is the chain that this one follows: of it come the
// versions that stale modules fall back on. Release the chain when nobody uses it any more.
func (l *Loader) Load(ctx context.Context, t *Table, before *Chain) (*Chain, error) {
	if t == nil || len(t.Modules) == 0 {
		return nil, nil
	}
	c := &Chain{loader: l, kept: true}
	var e strictyaml.Errors
	h := sha256.New()
	uses := 0
	for k := range t.Plugins {
		u := &t.Plugins[k]
		if u.Off {
			continue
		}
		uses++
		one, err := l.load(ctx, u, before)
		if err != nil {
			e.Add(&strictyaml.Error{Path: u.Path + ".module", Err: err, Hint: hintOf(err)})
			continue
		}
		r := runner{loaded: one, use: u, place: uint8(k + 1), before: l.keep(before.goodBefore(t, u, one))}
		fmt.Fprintf(h, "%x %s %s %v\n", one.key, u.Phase, u.Mode, one.pure)
		switch u.Phase {
		case PhaseQuery:
			c.query = append(c.query, r)
		case PhaseAnswer:
			c.answer = append(c.answer, r)
			c.kept = c.kept && one.pure
		case PhaseLog:
			c.log = append(c.log, r)
		}
	}
	c.atOnce = len(c.query) > 0
	for k := range c.query {
		r := &c.query[k]
		if !r.pure {
			c.fast = append(c.fast, r)
		}
		fast := r.module.Fast() && !r.asks && (r.before == nil || r.before.module.Fast() && !r.before.asks)
		c.atOnce = c.atOnce && !r.pure && fast
	}
	for k := range t.Modules {
		if err := l.loadUnused(ctx, t, &t.Modules[k]); err != nil {
			e.Add(&strictyaml.Error{Path: "modules", Err: err, Hint: hintOf(err)})
		}
	}
	if uses == 0 && e.OrNil() == nil {
		return nil, nil
	}
	c.passed = c.said(len(c.fast), len(c.fast), nil)
	c.epoch = hex.EncodeToString(h.Sum(nil)[:16])
	c.order = c.orderOf()
	if err := e.OrNil(); err != nil {
		c.Release()
		return nil, err
	}
	return c, nil
}

// loadUnused compiles a module that runs nowhere, so that it is found out here if it can't, and not when it is turned on.
func (l *Loader) loadUnused(ctx context.Context, t *Table, d *Described) error {
	used := slices.ContainsFunc(t.Plugins, func(u Use) bool { return u.Module == d.Name && !u.Off })
	if used {
		return nil
	}
	key := identityOf(&Use{Plugin: Plugin{Module: d.Name, Grant: d.Manifest.Needs}, File: d.File, Limits: d.Limits})
	l.mu.Lock()
	known := l.checked[key]
	l.mu.Unlock()
	if known { // a change of something else is not to wait for all that runs nowhere
		return nil
	}
	err := l.c.Engine.Check(ctx, d.source, wasm.Spec{Name: d.Name, Limits: d.Limits.wasm(), Functions: l.host.functions(), Grants: d.Manifest.Imports(d.Manifest.Needs), Exports: exports})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.checked) == 2*maxModules { // of settings long gone
		clear(l.checked)
	}
	l.checked[key] = true
	return nil
}

// Sweep removes the compiled form of all lists that no use of a table has, and no module that is loaded: settings may be on their way that are not in a table which somebody could give yet, and what they have of lists was compiled just now.
func (l *Loader) Sweep(t *Table) error {
	if l.c.Shelf == nil {
		return nil
	}
	var keep []dataset.Key
	if t != nil {
		for k := range t.Plugins {
			for _, d := range t.Plugins[k].Data {
				keep = append(keep, d.Key)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock() // until the end: a list that is being compiled is on the shelf before its module is loaded
	for _, one := range l.loaded {
		for _, d := range one.use.Data {
			keep = append(keep, d.Key)
		}
	}
	return l.c.Shelf.Sweep(keep)
}

// goodBefore returns the version of a module that ran before one, for who may be stale: where it runs more than once at its phase, the one with the same settings.
func (c *Chain) goodBefore(t *Table, u *Use, now *loaded) *loaded {
	if c == nil || u.Mode != Stale {
		return nil
	}
	same := func(v *Use) bool { return v.Module == u.Module && v.Phase == u.Phase && !v.Off }
	uses := 0
	for k := range t.Plugins {
		if same(&t.Plugins[k]) {
			uses++
		}
	}
	var were []*runner
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		for k := range list {
			if same(list[k].use) {
				were = append(were, &list[k])
			}
		}
	}
	if uses > 1 || len(were) > 1 {
		were = slices.DeleteFunc(were, func(r *runner) bool { return !maps.Equal(r.use.Settings, u.Settings) })
	}
	for _, r := range were {
		if r.loaded != now && r.ran.Load() && !r.out.Load() {
			return r.loaded
		}
		if r.before != now {
			return r.before
		}
	}
	return nil
}

// load loads one module, or returns it as it was loaded for another table. One that was taken out stays out only as long as it is in chain after chain: who turns it off and on, or puts it back, wants it to run, as it would if the
// chain that it was in were let go of already. Else it would be out from its first query on, with no fault that a log, an alarm or the gate of a rollout could tell of.
func (l *Loader) load(ctx context.Context, u *Use, before *Chain) (*loaded, error) {
	key := identityOf(u)
	l.mu.Lock()
	defer l.mu.Unlock() // while one compiles, others wait: chains are made seldom
	impure := l.impure[u.File.Sum()]
	if one := l.loaded[key]; one != nil && !(one.pure && impure) && (!one.out.Load() || before.runs(one)) { // else it was loaded before the module was found out, or begins anew
		one.refs++
		return one, nil
	}
	one := &loaded{use: *u, key: key, sees: u.sees(), asks: slices.Contains(u.Grant, "resolve"), buffer: queryBuffer, pure: u.Manifest.Pure && !impure, refs: 1}
	for _, d := range u.Data {
		set, err := l.list(d)
		if err != nil {
			return nil, err
		}
		one.data = append(one.data, opened{d.Name, set})
	}
	if slices.Contains(u.Manifest.Phases, string(PhaseAnswer)) || slices.Contains(u.Manifest.Phases, string(PhaseLog)) {
		one.buffer = answerBuffer
	}
	grants := u.Manifest.Imports(u.Grant)
	m := l.linked(u, grants, one.prepare)
	if m == nil {
		var err error
		if m, err = l.c.Engine.Load(ctx, u.source, wasm.Spec{Name: u.Module, Limits: u.Limits.wasm(), Functions: l.host.functions(), Grants: grants, Exports: exports, Prepare: one.prepare}); err != nil {
			return nil, err
		}
	}
	pool, err := wasm.NewPool(m, l.c.Cores)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting module %q: %w", u.Module, err), m.Close())
	}
	l.serial++
	one.module, one.pool, one.serial = m, pool, l.serial
	l.loaded[key] = one
	return one, nil
}

// runs tells whether a module is at a place of the chain.
func (c *Chain) runs(one *loaded) bool {
	if c == nil {
		return false
	}
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		if slices.ContainsFunc(list, func(r runner) bool { return r.loaded == one }) {
			return true
		}
	}
	return false
}

// linked returns a module that is loaded for another use with other settings, for this one; nil if there is none. l.mu is held.
func (l *Loader) linked(u *Use, grants []string, prepare func(*wasm.Instance) error) *wasm.Module {
	for _, other := range l.loaded {
		v := &other.use
		if v.Module == u.Module && v.File.Sum() == u.File.Sum() && v.Limits == u.Limits && slices.Equal(v.Manifest.Imports(v.Grant), grants) {
			if m := other.module.Again(prepare); m != nil {
				return m
			}
		}
	}
	return nil
}

// checkPhases holds an instance to what its manifest says: what fails here would fail for each query.
func (l *loaded) checkPhases(i *wasm.Instance) error {
	for _, p := range l.use.Manifest.Phases {
		export := exportOf(Phase(p))
		if !i.Has(export) {
			return hinted{fmt.Errorf("it says that it runs at phase %s, and has no function %q", p, exports[export].Name), "export it, or remove the phase from its manifest"}
		}
	}
	return nil
}

// sees tells how much of a client's address the module gets to know.
func (u *Use) sees() sees {
	switch {
	case u.Manifest.Pure:
		return seesNobody
	case slices.Contains(u.Grant, "client"):
		return seesClient
	}
	return seesPrefix
}

// keep counts one more chain that has a module. nil if there is none, or if it was let go of meanwhile.
func (l *Loader) keep(one *loaded) *loaded {
	if one == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.refs == 0 {
		return nil
	}
	one.refs++
	return one
}

// Release says that nobody uses the chain any more. What no other chain has is closed, in the background.
func (c *Chain) Release() {
	if c == nil {
		return
	}
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		for k := range list {
			c.loader.release(list[k].loaded)
			c.loader.release(list[k].before)
		}
	}
}

func (l *Loader) release(one *loaded) {
	if one == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.refs--; one.refs > 0 {
		return
	}
	if l.loaded[one.key] == one {
		delete(l.loaded, one.key)
	}
	l.closing.Go(func() {
		one.pool.Close()
		one.module.Close()
	})
}

// Wait returns when all that was released is closed.
func (l *Loader) Wait() { l.closing.Wait() }

// Faults is how often modules have failed, all together.
func (l *Loader) Faults() uint64 { return l.failed.Load() }

// LastFault names the module that failed last, where, and why in a word: "family at phase query: fuel", of some 100 octets at most. "": none has.
func (l *Loader) LastFault() string {
	if last := l.last.Load(); last != nil {
		return *last
	}
	return ""
}

// faulted counts a failed call, and takes the module out at too many.
func (l *Loader) faulted(r *runner, err error) {
	if (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, wasm.ErrClosed) || errors.Is(err, wasm.ErrBusy)) && !slow(err) {
		return // nobody waited for it any more, or it was let go of while a page of the log waited
	}
	l.m.faults.With(r.use.Module, string(r.use.Phase)).Inc()
	last := fmt.Sprintf("%s at phase %s", r.use.Module, r.use.Phase)
	if why := Reason(err); why != "" {
		last += ": " + why
	}
	l.last.Store(&last) // first, so that who has counted the fault knows of it
	l.failed.Add(1)
	if l.c.Failed != nil {
		text, _, _ := strings.Cut(err.Error(), "\n") // what follows are functions that the module has named
		l.c.Failed(r.use.Module, fmt.Sprintf("a call at phase %s failed: %s", r.use.Phase, printable([]byte(text[:min(len(text), maxFault)]))))
	}
	if !r.loaded.fault(l.boot(), &l.outs) {
		return
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	why = printable([]byte(why[:min(len(why), maxFault)]))
	r.loaded.alarm.Store(&why)
	if l.c.Alarm != nil {
		l.c.Alarm(r.use.Module, l.alarmOut(r, why))
	}
}

// FailsQueries is in what people are told of a module without which no query is answered.
const FailsQueries = "this node answers SERVFAIL"

// alarmOut is what people are told of a module that was taken out: what becomes of queries, what they can do, and why it failed the last time.
func (l *Loader) alarmOut(r *runner, why string) string {
	text := fmt.Sprintf("it has failed %d times in %v, and was taken out: ", maxFaults, faultTime)
	switch {
	case r.use.Phase == PhaseLog:
		text += "it is shown nothing any more"
	case r.use.Mode == Closed:
		text += FailsQueries + " to each query that it would have to see, since its mode is closed"
	case r.use.Mode == Stale && r.before != nil:
		text += "the version before it is asked in its place, since its mode is stale"
	default:
		text += "queries go on without it"
	}
	if l.c.Mend != nil {
		text += "; " + l.c.Mend(r.use.Module)
	}
	return text + "; the last time: " + why
}

// maxFault is how much is told of why a call failed, in octets.
const maxFault = 300

// slowFuel is what a call that is ended, since its client waits no longer, must have spent itself to be held against the module: some 50 ms. What passes while others answer its questions takes none, so that who owns slow name servers can not
// have a module taken out; and what passes while others have the processor takes none either.
const slowFuel = 50_000_000

// slow tells whether a call was ended for want of time, and the module has spent that itself.
func slow(err error) bool {
	var fault *wasm.Fault
	return errors.As(err, &fault) && fault.Cause == wasm.Canceled && errors.Is(err, context.DeadlineExceeded) && fault.Spent >= slowFuel
}

// repeatOneIn is of how many calls of a module that was declared pure one is repeated on a fresh instance.
const repeatOneIn = 1000

// alarmImpure is what people are told of a module that was declared pure and is not.
const alarmImpure = "it is declared pure, and has said two things of one name: its verdicts are not kept with answers any more"

// repeat asks another instance the same, once in a while. If it says something else, the module is not pure: from now on it is asked each time.
func (l *Loader) repeat(ctx context.Context, one *loaded, out []byte, ask func(*wasm.Instance) ([]byte, error)) {
	if one.drawn.Add(1)%repeatOneIn != 0 {
		return
	}
	first := append([]byte(nil), out...)
	i, err := one.pool.Fresh(ctx)
	if err != nil {
		return // there is no room for one now
	}
	defer one.pool.Discard(i)
	again, err := ask(i)
	if err != nil || bytes.Equal(first, again) {
		return
	}
	l.mu.Lock()
	sum := one.use.File.Sum()
	known := l.impure[sum]
	l.impure[sum] = true
	l.mu.Unlock()
	if !known && l.c.Alarm != nil {
		l.c.Alarm(one.use.Module, alarmImpure)
	}
	// Also where it is known: a chain that was on its way then may have come into use after the one that was made anew.
	if l.c.Changed != nil && l.telling.CompareAndSwap(false, true) {
		go func() {
			defer l.telling.Store(false)
			l.c.Changed()
		}()
	}
}
