package trial

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/nameserver/dataset"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/cases"
	"github.com/ananas-edge/ananas/telemetry"
	"github.com/ananas-edge/ananas/wasm"
)

// Config is what a trial is opened with.
type Config struct {
	Request  Request
	Settings Settings

	Folder  string           // where the new version is compiled; it is made, and removed by Close
	Compile func() *exec.Cmd // makes the process that compiles: see [wasm.Config]
	Engine  *wasm.Engine     // has the version that runs compiled, and counts nothing of the trial; nil: that is done in Folder
	Shelf   *dataset.Shelf   // has data sets in their compiled form; nil: they are made in Folder
	Clock   func() time.Duration

	// Seed begins the random numbers of both versions.
	Seed uint64

	// Tenant returns the tag of a client's tenant, for queries that others have answered. nil: there are none.
	Tenant func(netip.Addr) string

	// Groups tells which groups there are that a verdict may send a query to. nil: any.
	Groups interface{ HasGroup(name string) bool }

	// Resolve returns what is known of another name at once, for modules that ask questions of their own. nil: nothing is.
	Resolve func(dns.Name, dns.Type) (*plugin.Reply, error)

	// Recall returns what is known of a query's answer at once, for modules of phase answer, where a record has none. nil: nothing is.
	Recall func(*plugin.Query, dns.Name, *plugin.Path) *plugin.Reply

	// Order is that of the chain that answers, of which records know the path (see [plugin.Chain.Order]). What other chains have said of a query is as unknown as what nobody knows of one in a file.
	Order string

	// Differ is told each difference; it is called by who calls Look. nil: nobody wants to know.
	Differ func(Difference)
}

// callTime is how long a call may take: with the most fuel that a module may have it is ended here, and that is a fault.
const callTime = time.Second

// MaxFaults of the new version end a trial: what it does is known by then. In the path of a query ten in a minute take it out.
const MaxFaults = 100

// Trial runs both versions. Look is called by one goroutine, the others by any.
type Trial struct {
	c       Config
	before  *plugin.Loader
	after   *plugin.Loader
	shelf   *dataset.Shelf
	uses    []*use
	lists   []TriedList
	drawn   uint64
	notPure atomic.Bool

	asked, vain atomic.Uint64 // questions of the new version's own, and those to which nothing was known

	mu     sync.Mutex
	report counts
	room   int   // see maxTexts
	failed error // why it was ended
}

// use is one place at which both run.
type use struct {
	pair
	oldChain *plugin.Chain // nil: it does not run there
	newChain *plugin.Chain
	oldSum   string // SHA-256 of its file, in hexadecimal
	newSum   string
	compared
}

// Open makes a trial: it compiles the new version, as a node would. An error names what is wrong with it, or with how it is to run. Close it.
func Open(ctx context.Context, c Config) (_ *Trial, err error) {
	pairs, err := c.Settings.pairs(&c.Request)
	if err != nil {
		return nil, err
	}
	t := &Trial{c: c, drawn: c.Seed, room: maxTexts}
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for a trial: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if err := t.makeLoaders(); err != nil {
		return nil, err
	}
	for _, p := range pairs {
		u := &use{pair: p, oldSum: digest(p.old), newSum: digest(p.new), compared: compared{room: &t.room}}
		t.uses = append(t.uses, u)
		if err := t.prepareLists(&u.pair); err != nil {
			return nil, err
		}
		if u.newChain, err = t.after.Load(ctx, table(p.new, p.newModules), nil); err != nil {
			return nil, fmt.Errorf("trying module %q: %w", c.Request.Module, err)
		}
		if p.old != nil {
			if u.oldChain, err = t.before.Load(ctx, table(p.old, p.oldModules), nil); err != nil {
				return nil, fmt.Errorf("loading module %q as it runs: %w", c.Request.Module, err)
			}
			if err := t.countNow(p.old); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func digest(u *plugin.Use) string {
	if u == nil {
		return ""
	}
	sum := u.File.Sum()
	return hex.EncodeToString(sum[:])
}

// table has one use.
func table(u *plugin.Use, modules []plugin.Described) *plugin.Table {
	one := *u
	one.Mode = plugin.Open
	return &plugin.Table{Plugins: []plugin.Use{one}, Modules: modules}
}

// makeLoaders makes what loads either version. They are the trial's own, so that what it counts, logs and fails is nobody else's.
func (t *Trial) makeLoaders() error {
	shelf, metrics := t.c.Shelf, telemetry.NewMetrics()
	if shelf == nil {
		lists := filepath.Join(t.c.Folder, "lists")
		if err := os.MkdirAll(lists, 0o700); err != nil {
			return fmt.Errorf("making a folder for data sets: %w", err)
		}
		var err error
		if shelf, err = dataset.NewShelf(lists, wholefile.OS{}); err != nil {
			return err
		}
	}
	t.shelf = shelf
	engine, err := wasm.Open(wasm.Config{Folder: filepath.Join(t.c.Folder, "modules"), Command: t.c.Compile, Metrics: metrics})
	if err != nil {
		return err
	}
	running := engine
	if t.c.Engine != nil {
		running = t.c.Engine.Apart(metrics)
	}
	load := func(e *wasm.Engine, alarm func(string, string)) *plugin.Loader {
		var calls atomic.Int64
		apart := func() time.Duration { return time.Duration(calls.Add(1)) * time.Hour } // so that faults do not take the module out, as in cases
		return plugin.NewLoader(plugin.Config{Engine: e, Shelf: shelf, Cores: 1, Boot: apart, Alarm: alarm, Metrics: telemetry.NewMetrics()})
	}
	t.before = load(running, nil)
	t.after = load(engine, func(string, string) { t.notPure.Store(true) }) // the only alarm that there can be
	return nil
}

// Close lets go of both versions, and removes what was compiled.
func (t *Trial) Close() error {
	for _, u := range t.uses {
		u.newChain.Release()
		u.oldChain.Release()
	}
	if t.before != nil {
		t.before.Wait()
		t.after.Wait()
	}
	if err := os.RemoveAll(t.c.Folder); err != nil {
		return fmt.Errorf("removing the folder of a trial: %w", err)
	}
	return nil
}

// FaultyError is why a trial was ended by the new version.
type FaultyError struct{ Last string }

func (e *FaultyError) Error() string {
	return fmt.Sprintf("the new version has failed %d times, the last time by %s, and the trial was ended", MaxFaults, e.Last)
}

// Hint says what to do.
func (e *FaultyError) Hint() string {
	return "in the path of a query, ten faults in a minute take a module out; what came of each query so far is in the report, and a case of ananas module test repeats it"
}

// Answers tells whether the module is tried at phase answer, so that it matters what modules are shown there.
func (t *Trial) Answers() bool {
	return slices.ContainsFunc(t.uses, func(u *use) bool { return u.new.Phase == plugin.PhaseAnswer })
}

// Look shows a query to both versions. An error ends the trial.
func (t *Trial) Look(ctx context.Context, r *Record) error {
	if t.failed != nil {
		return t.failed
	}
	q := r.Line.Query()
	t.drawn += 0x9e3779b97f4a7c15
	q.Seed, q.Groups = t.drawn, t.c.Groups
	if q.Tenant == "" && t.c.Tenant != nil && q.Client.IsValid() {
		q.Tenant = t.c.Tenant(q.Client)
		r.Line.Tenant = q.Tenant
	}
	owner, _, err := dns.UnpackName(q.Name, 0)
	if err != nil {
		t.Unreadable()
		return nil
	}
	t.mu.Lock()
	t.report.queries++
	alone := r.Line.Path.Order == "" || r.Line.Path.Order != t.c.Order
	if alone {
		t.report.alone++
	}
	t.mu.Unlock()
	for _, u := range t.uses {
		if err := t.compare(ctx, u, r, &q, owner, alone); err != nil {
			t.failed = err
			return err
		}
	}
	return nil
}

// Unreadable counts what is no query that a module would see.
func (t *Trial) Unreadable() {
	t.mu.Lock()
	t.report.unreadable++
	t.mu.Unlock()
}

// Lost counts queries that were not looked at, since the trial did not keep up.
func (t *Trial) Lost(n uint64) {
	t.mu.Lock()
	t.report.lost += n
	t.mu.Unlock()
}

// compare asks both versions of one query, if it comes to the place where they run. alone says that this is not known.
func (t *Trial) compare(ctx context.Context, u *use, r *Record, q *plugin.Query, owner dns.Name, alone bool) error {
	var path *plugin.Path // nil: it is not known
	if !alone {
		path = &r.Line.Path
	}
	reply := r.Reply
	var left *uint64 // counts what neither is shown
	switch u.new.Phase {
	case plugin.PhaseQuery:
		if path != nil && before(path.Ended, u.place) {
			left = &u.notReached
		}
	case plugin.PhaseAnswer:
		reply, left = t.shown(u, r, q, owner, path)
	}
	if left != nil {
		t.mu.Lock()
		*left++
		t.mu.Unlock()
		return nil
	}
	var old, next said
	hasOld := u.oldChain != nil && u.new.Phase != plugin.PhaseLog // there it has seen the query already, and nothing is to be compared
	if hasOld {
		old = t.ask(ctx, u.oldChain, u.new.Phase, r, q, owner, reply, false)
	}
	next = t.ask(ctx, u.newChain, u.new.Phase, r, q, owner, reply, true)
	if err := ctx.Err(); err != nil {
		return err // what was cut off says nothing
	}
	d, faulty := t.note(u, &old, &next, hasOld, q, owner)
	if d != nil && t.c.Differ != nil {
		t.c.Differ(*d)
	}
	if faulty {
		return &FaultyError{next.Fault}
	}
	return nil
}

// before tells whether something has happened, and before a place; 0 is one behind all others.
func before(happened uint8, place int) bool {
	return happened != 0 && (place == 0 || int(happened) < place)
}

// shown returns the answer that a module of phase answer is shown at its place, or what counts why it is shown none.
func (t *Trial) shown(u *use, r *Record, q *plugin.Query, owner dns.Name, path *plugin.Path) (reply *plugin.Reply, left *uint64) {
	switch {
	case r.Reply != nil:
		return r.Reply, nil
	case path != nil && path.Shown != nil:
		if reply = path.Shown.At(u.place); reply == nil {
			left = &u.notReached
		}
		return reply, left
	case path != nil && (path.Ended != 0 || before(path.Changed, u.place)):
		return nil, &u.unplaced // it was answered from a finished answer
	case t.c.Recall != nil:
		reply = t.c.Recall(q, owner, path)
	}
	if reply == nil {
		left = &u.unanswered
	}
	return reply, left
}

// note notes what both have said.
func (t *Trial) note(u *use, old, next *said, hasOld bool, q *plugin.Query, owner dns.Name) (d *Difference, faulty bool) {
	t.mu.Lock()
	defer t.mu.Unlock() // also if something panics: a report is made then
	return u.add(old, next, hasOld, u.new.Phase, q, owner)
}

// said is what one version said, and what that took.
type said struct {
	cases.Outcome
	blamed bool // it failed, and the module is at fault: not so if an answer does not fit into its buffer
	fuel   int64
	took   time.Duration
}

// ask asks one version.
func (t *Trial) ask(ctx context.Context, c *plugin.Chain, phase plugin.Phase, r *Record, q *plugin.Query, owner dns.Name, reply *plugin.Reply, tried bool) (out said) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	query := *q
	query.Resolve = func(name dns.Name, typ dns.Type) (*plugin.Reply, error) { return t.resolve(name, typ, tried) }
	var failed error
	see := func(s plugin.Step) { out.Verdict, out.fuel, failed = s.Verdict, s.Fuel, s.Err }
	began := t.c.Clock()
	switch phase {
	case plugin.PhaseQuery:
		c.Query(ctx, 0, &query, owner, see)
	case plugin.PhaseAnswer:
		shown := *reply // the sections of which a module replaces
		c.Answer(ctx, 0, &query, owner, &shown, see)
	case plugin.PhaseLog:
		c.Log(ctx, 0, []plugin.Line{r.Line}, see)
	}
	out.took = t.c.Clock() - began
	if failed != nil {
		if out.Fault = plugin.Reason(failed); out.Fault == "" {
			out.Fault = failed.Error()
		} else {
			out.blamed = true
		}
		out.Verdict = plugin.Verdict{}
	}
	out.Verdict = effective(out.Verdict)
	return out
}

// effective is a verdict without what has no effect: two that differ in that alone do the same.
func effective(v plugin.Verdict) plugin.Verdict {
	switch v.Action {
	case plugin.GoOn, plugin.Drop:
		v.TTL, v.EDE = 0, nil // nothing is made that could have them
	case plugin.Refuse:
		v.TTL = 0
	case plugin.Answer, plugin.NXDomain, plugin.NoData:
		if len(v.Records) > 0 {
			v.TTL = 0 // the records have their own
		}
	}
	return v
}

var errUnknown = errors.New("nothing is known of that name here, and in a trial nobody is asked")

// resolve answers a question of a module's own.
func (t *Trial) resolve(name dns.Name, typ dns.Type, tried bool) (rep *plugin.Reply, err error) {
	err = errUnknown
	if t.c.Resolve != nil {
		rep, err = t.c.Resolve(name, typ)
	}
	if tried {
		t.asked.Add(1)
		if err != nil {
			t.vain.Add(1)
		}
	}
	return rep, err
}

// network is what is told of a client: where it is, not who it is.
func network(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 48
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked().String()
}
