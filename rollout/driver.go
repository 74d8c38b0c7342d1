package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// Subject is what is moved through the waves, and where the documents of rollouts are kept. Its three commits hold only if this node is still elected to drive, and the document of the rollout is
// still from; each is seen whole or not at all. One that does not hold is [ErrConflict]. One whose outcome is not known is any other error: the driver reads again, and finds out.
type Subject interface {
	// Open returns the documents of all rollouts that have not ended, those that were opened first first. They are at least as new as the last commit that this driver made.
	Open(ctx context.Context) ([]*Rollout, error)

	// Find returns the document of one, ended or not; nil if there is none.
	Find(ctx context.Context, id ID) (*Rollout, error)

	// Keys returns what a rollout changes. Of two that share a key the later one waits.
	Keys(r *Rollout) []string

	// Release commits to in place of from, and nothing else.
	Release(ctx context.Context, from, to *Rollout) error

	// Promote commits to and, with it, the change to what all nodes have.
	Promote(ctx context.Context, from, to *Rollout) error

	// Withdraw commits to and takes the change away with it.
	Withdraw(ctx context.Context, from, to *Rollout) error
}

// ErrConflict says that a commit was not made, because this node does not drive any more, or the rollout has been changed by somebody else.
var ErrConflict = errors.New("the rollout was changed by another, or this node does not drive any more")

// Limits of the driver.
const (
	// Tick is how often it looks. Nodes report as often.
	Tick = time.Second

	// settle is how long after it was elected it begins nothing new: nodes that followed the one before it come here in that time, and a site that is not heard of would get
	// no canary.
	settle = 10 * time.Second

	// stalled is how long it may not have looked until it does not believe its own watch any more: a suspended process finds all nodes silent, and old figures fresh.
	stalled = 5 * time.Second

	// passes is how often it looks anew at once when something was committed, so that what waited need not wait for the next tick. Sixteen ends of rollouts in one second are none of a person's.
	passes = 16
)

// Config is what a driver works with.
type Config struct {
	Subject Subject
	Health  Health
	Now     func() time.Time   // wall time; nil: time.Now. Differences of it are taken: a clock that is set must not show in them, as those of time.Now do not
	Log     *slog.Logger       // nil: silent
	Metrics *telemetry.Metrics // nil: counted, and not shown
}

// Driver moves rollouts on, on the node that is elected to. There is one in the fleet at a time; two would be told apart by their commits. Its methods may be called from any goroutine.
type Driver struct {
	subject Subject
	health  Health
	now     func() time.Time
	log     *slog.Logger
	m       metrics
	wake    chan struct{}

	mu      sync.Mutex // held over a look, or a command, so that they do not overtake each other
	leading bool
	elected time.Time
	looked  time.Time // when it last did
	history history
	known   map[ID]*memory

	shown shown
}

// shown is what others may see of a driver, without waiting for a commit that is under way.
type shown struct {
	mu       sync.Mutex
	progress map[ID]Progress
	open     [states]int
	leading  bool
	trouble  error
}

// NewDriver makes a driver that does not drive yet.
func NewDriver(c Config) *Driver {
	d := &Driver{subject: c.Subject, health: c.Health, now: c.Now, log: c.Log, wake: make(chan struct{}, 1)}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.m.register(c.Metrics, d)
	return d
}

// Lead drives until ctx is done. It is called when this node has been elected, with a context that ends with its term. It knows nothing of what a driver before it saw: each wave
// that it finds is watched from the beginning.
func (d *Driver) Lead(ctx context.Context) {
	d.begin()
	defer d.end()
	tick := time.NewTicker(Tick)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-d.wake:
		}
	}
}

// Wake has the driver look at once: something was opened.
func (d *Driver) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *Driver) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leading, d.elected, d.looked = true, d.now(), time.Time{}
	d.history, d.known = history{}, make(map[ID]*memory)
	d.m.elections.Inc()
	d.log.Info("this node drives rollouts")
	d.show(nil, nil)
}

func (d *Driver) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leading, d.known, d.history = false, nil, history{}
	d.log.Info("this node does not drive rollouts any more")
	d.show(nil, nil)
}

// look does what there is to do now.
func (d *Driver) look(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.now(); !d.looked.IsZero() && now.Sub(d.looked) >= stalled {
		d.m.stalls.Inc()
		d.log.Warn("rollouts were not looked at for a while; their waves are watched from the beginning", "for", now.Sub(d.looked))
		d.known = make(map[ID]*memory)
	}
	var all []*Rollout
	var err error
	for range passes {
		var again bool
		if again, all, err = d.pass(ctx); !again || ctx.Err() != nil {
			break
		}
	}
	d.looked = d.now()
	if err != nil && ctx.Err() == nil {
		d.m.failures.Inc()
		d.log.Warn("driving rollouts", "error", err)
	}
	d.show(all, err)
}

// pass looks at all rollouts once. It tells whether something was committed.
func (d *Driver) pass(ctx context.Context) (again bool, all []*Rollout, err error) {
	if all, err = d.subject.Open(ctx); err != nil {
		return false, nil, fmt.Errorf("reading the rollouts that are open: %w", err)
	}
	now, nodes, sums := d.now(), d.health.Nodes(), totalsOf(d.health.Totals())
	d.history.note(sums, now)
	d.remember(all)
	var errs []error
	taken := make(map[string]ID)
	for _, r := range all {
		keys := d.subject.Keys(r)
		before := ID("")
		for _, k := range keys {
			if id, ok := taken[k]; ok {
				before = id
			}
			taken[k] = r.ID
		}
		m := d.known[r.ID]
		m.learn(r.ID, nodes)
		var moved bool
		var err error
		if r.State == Queued {
			moved, err = d.start(ctx, r, before, alive(nodes), now)
		} else {
			moved, err = d.judge(ctx, r, m, nodes, sums, now)
		}
		again = again || moved
		if err != nil {
			errs = append(errs, fmt.Errorf("rollout %s: %w", r.ID, err))
		}
	}
	return again, all, errors.Join(errs...)
}

// remember makes memories of new rollouts, and drops those of rollouts that have ended.
func (d *Driver) remember(all []*Rollout) {
	open := make(map[ID]bool, len(all))
	for _, r := range all {
		open[r.ID] = true
		if d.known[r.ID] == nil {
			d.known[r.ID] = newMemory(&d.history)
		}
	}
	for id := range d.known {
		if !open[id] {
			delete(d.known, id)
		}
	}
}

// alive returns the nodes that a wave may be released to: those that can compile what they are to have, if there are any, since the others can't tell whether a change does well.
func alive(nodes []Heard) []Member {
	if out := heard(nodes, func(n *Heard) bool { return n.Error == "" }); len(out) > 0 {
		return out
	}
	return heard(nodes, func(*Heard) bool { return true })
}

// heard returns the nodes that were heard of lately, belong to the fleet, and are wanted.
func heard(nodes []Heard, wanted func(*Heard) bool) []Member {
	var out []Member
	for i := range nodes {
		if n := &nodes[i]; n.Silent < fading && n.Gone.IsZero() && wanted(n) {
			m := Member{Name: n.Name}
			if n.Site != "" {
				m.Labels = map[string]string{SiteLabel: n.Site}
			}
			out = append(out, m)
		}
	}
	return out
}

// start begins a rollout that is queued, if its turn has come.
func (d *Driver) start(ctx context.Context, r *Rollout, before ID, alive []Member, now time.Time) (bool, error) {
	m := d.known[r.ID]
	switch {
	case before != "":
		m.waits = "it waits for rollout " + string(before) + ", which changes the same"
		return false, nil
	case now.Sub(d.elected) < settle:
		m.waits = "the driver has just been elected, and waits for nodes to be heard of"
		return false, nil
	case len(alive) == 0:
		m.waits = "no node has been heard of"
		return false, nil
	}
	m.waits = ""
	return d.release(ctx, r, released(r, 0, alive, now))
}

// judge looks at a rollout whose wave has it, and does what the verdict says. A rollout that is paused is watched all the same: it goes no further, but it is withdrawn if it fails.
func (d *Driver) judge(ctx context.Context, r *Rollout, m *memory, nodes []Heard, sums totals, now time.Time) (bool, error) {
	w := m.watch
	if w == nil || w.wave != r.Wave || w.state != r.State || r.State == Paused && now.Sub(w.since) >= r.Plan.Patience {
		m.begin(r, nodes, sums, now)
		w = m.watch
	}
	v := m.view(r, nodes, sums, now)
	w.verdict, w.holders = Judge(&r.Plan, v, now), v.Holders
	switch verdict := w.verdict; {
	case verdict.Decision == Fail:
		to := ended(r.judged(verdict, now), Failed, verdict.Why, "", now)
		return d.commit(r, to, d.subject.Withdraw(ctx, r, to))
	case r.State == Paused:
	case verdict.Decision == Pause:
		return d.release(ctx, r, paused(r.judged(verdict, now), nodes, verdict.Why, "", now))
	case verdict.Decision == Pass && r.Wave+1 < len(r.Plan.Waves):
		to := released(r, r.Wave+1, alive(nodes), now)
		to.Evidence, to.Baseline = r.judged(verdict, now).Evidence, v.baseline(&r.Plan)
		to.Why = clip(fmt.Sprintf("%v passed: %s", r.Plan.Waves[r.Wave], verdict.Why), MaxText)
		return d.release(ctx, r, to)
	case verdict.Decision == Pass:
		to := ended(r.judged(verdict, now), Passed, verdict.Why, "", now)
		return d.commit(r, to, d.subject.Promote(ctx, r, to))
	}
	return false, nil
}

func (d *Driver) release(ctx context.Context, from, to *Rollout) (bool, error) {
	return d.commit(from, to, d.subject.Release(ctx, from, to))
}

// commit counts what became of a commit. Whatever it was, the next pass reads what is true.
func (d *Driver) commit(from, to *Rollout, err error) (bool, error) {
	if err != nil {
		if errors.Is(err, ErrConflict) {
			d.m.conflicts.Inc()
		}
		return false, fmt.Errorf("committing that it is %s: %w", describe(to), err)
	}
	d.m.count(from, to)
	d.log.Info("rollout", "id", string(to.ID), "state", to.State.String(), "wave", to.Plan.Waves[to.Wave].String(), "why", to.Why)
	return true, nil
}

// describe says where a rollout is.
func describe(r *Rollout) string {
	if r.State == Baking || r.State == Paused {
		return fmt.Sprintf("%v in wave %v", r.State, r.Plan.Waves[r.Wave])
	}
	return r.State.String()
}
