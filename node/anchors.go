package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/rollover"
	"github.com/ananas-edge/ananas/telemetry"
)

// AnchorFile is the name of the file in the data folder that holds what is known of trust anchors.
const AnchorFile = "trust-anchors.state"

// anchors keeps the trust anchors up to date (RFC 5011): it asks for the keys of the zones that have some, when package rollover says, hands
// what came to it, writes down what follows, and swaps the table when other keys are trusted.
type anchors struct {
	clock    recurse.Clock
	resolver *recurse.Resolver
	crashes  *telemetry.Crashes
	log      *slog.Logger
	m        anchorMetrics
	store    *rollover.Store
	opened   time.Duration // boot time

	mu      sync.Mutex // guards what follows; queries never take it
	swap    func(*nameserver.Table)
	base    *nameserver.Table // as compiled from the settings
	zones   map[dns.Name]*anchored
	fixed   []recurse.Anchor // of the settings, that are used as they stand
	dormant []rollover.Point // of zones that have no anchors now, or fixed ones
	unread  error            // why the file could not be used at the start
	unsaved error            // why it could not be written, the last time

	shown  atomic.Pointer[shownAnchors] // what status, metrics and health read
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// anchored is a zone whose anchors are kept up to date.
type anchored struct {
	point   rollover.Point
	due     time.Duration // boot time of the next question
	good    time.Duration // boot time of the last set that was good; negative: none in this process
	failure error         // of the last attempt; nil: it went well, or there was none
}

// never is a boot time that does not come.
const never = time.Duration(math.MaxInt64)

// newAnchors reads what is known. Nothing is asked until run.
func newAnchors(n *Node, path string) *anchors {
	a := &anchors{
		clock: n.clock, resolver: n.resolver, crashes: n.crashes, log: n.log, store: rollover.NewStore(path), opened: n.clock.Boot(),
		zones: map[dns.Name]*anchored{}, wake: make(chan struct{}, 1),
	}
	a.m = newAnchorMetrics(n.metrics, a)
	a.dormant, a.unread = a.store.Load()
	if a.unread != nil {
		a.warn("what was known of trust anchors can't be used", a.unread)
	}
	n.health.Warn("trust-anchors", a.warning)
	a.publish()
	return a
}

// warn logs an error with its hint.
func (a *anchors) warn(what string, err error, args ...any) {
	args = append(args, "error", err)
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		args = append(args, "hint", h.Hint())
	}
	a.log.Warn(what, args...)
}

// configure takes over a table that was compiled from the settings, and returns it with the anchors that hold. It is swapped in, if a node
// serves already.
func (a *anchors) configure(base *nameserver.Table) *nameserver.Table {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, known := a.zones, make(map[dns.Name]rollover.Point)
	for _, p := range a.dormant {
		known[p.Zone] = p
	}
	for zone, z := range before {
		known[zone] = z.point
	}
	a.base, a.zones, a.fixed = base, make(map[dns.Name]*anchored), nil
	for _, r := range base.Recursion.Anchors() {
		c := rollover.Anchors(r)
		switch {
		case !base.Recursion.TrustAnchorUpdates:
			a.fixed = append(a.fixed, r)
			continue
		case rollover.TooMany(c):
			a.limit("anchors", "a zone has more trust anchors than can be kept up to date; they are used as they stand", "zone", r.Zone.String(), "most", rollover.MaxKeys)
			a.fixed = append(a.fixed, r)
			continue
		case len(a.zones) >= rollover.MaxZones:
			a.limit("zones", "more zones have trust anchors than can be kept up to date; those of this one are used as they stand", "zone", r.Zone.String(), "most", rollover.MaxZones)
			a.fixed = append(a.fixed, r)
			continue
		}
		a.zones[r.Zone] = a.begin(c, known[r.Zone], before[r.Zone])
		delete(known, r.Zone)
	}
	a.sleep(known)
	t := a.table()
	if a.swap != nil {
		a.swap(t)
	}
	a.publish()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return t
}

// settings returns the table as it was compiled from the settings.
func (a *anchors) settings() *nameserver.Table {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.base
}

// limit tells that a limit of package rollover was reached.
func (a *anchors) limit(name, what string, args ...any) {
	a.m.limits.With(name).Inc()
	a.log.Warn(what, append(args, "limit", name)...)
}

// begin joins the settings' anchors of a zone with what is known. before is what was done for it until now; nil: nothing.
func (a *anchors) begin(c rollover.Anchors, known rollover.Point, before *anchored) *anchored {
	p, changes := rollover.Begin(c, known, a.clock.Wall(), a.checks())
	a.tell(changes)
	now := a.clock.Boot()
	z := &anchored{point: p, good: -1, due: max(now, a.opened+firstLook)}
	switch {
	case before != nil && before.point.Configured().Equal(c):
		z.due, z.good, z.failure = before.due, before.good, before.failure
	case before == nil && !p.Seen.IsZero():
		// A node that is started again asks when it would have asked, not more often (RFC 5011 section 2.3). A clock that was set since
		// makes it no later than that.
		if since := a.clock.Wall().Sub(p.Seen); since >= 0 && since < p.Interval {
			z.due = max(z.due, now+p.Interval-since)
		}
	}
	if p.Trusted().Empty() {
		a.deleted(z)
	}
	return z
}

// deleted notes that all anchors of a zone are revoked (RFC 5011 section 5): there is nothing to be asked any more.
func (a *anchors) deleted(z *anchored) {
	z.due, z.failure = never, rollover.ErrDeleted
	a.log.Error("a zone has no trust anchor any more, so that names in it are not validated by it", "zone", z.point.Zone.String(), "error", rollover.ErrDeleted,
		"hint", "name its new keys in recursion.trust_anchors")
}

// sleep keeps what is known of zones that are not kept up to date now, as far as there is room: the ones last seen first.
func (a *anchors) sleep(known map[dns.Name]rollover.Point) {
	a.dormant = a.dormant[:0]
	for _, p := range known {
		a.dormant = append(a.dormant, p)
	}
	slices.SortFunc(a.dormant, func(p, q rollover.Point) int {
		return cmp.Or(q.Seen.Compare(p.Seen), p.Zone.Compare(q.Zone))
	})
	a.dormant = a.dormant[:min(len(a.dormant), rollover.MaxZones-len(a.zones))]
}

// table returns the settings' table with the anchors that hold.
func (a *anchors) table() *nameserver.Table {
	var hold []recurse.Anchor
	for _, z := range a.zones {
		hold = append(hold, recurse.Anchor(z.point.Trusted()))
	}
	return a.base.WithRecursion(a.base.Recursion.WithAnchors(hold...))
}

// save writes down all that is known.
func (a *anchors) save() {
	points := slices.Clone(a.dormant)
	for _, z := range a.zones {
		points = append(points, z.point)
	}
	slices.SortFunc(points, func(p, q rollover.Point) int { return p.Zone.Compare(q.Zone) })
	err := a.store.Save(points)
	if err != nil && (a.unsaved == nil || a.unsaved.Error() != err.Error()) {
		a.warn("what is known of trust anchors can't be written down", err)
	}
	a.unsaved = err
}

// tell logs what has become of keys.
func (a *anchors) tell(changes []rollover.Change) {
	for _, c := range changes {
		if c.From == c.To {
			a.limit("keys", "a zone has more keys than can be watched; a new one is not", "zone", c.Zone.String(), "key", c.Tag, "most", rollover.MaxKeys)
			continue
		}
		a.m.changes.With(c.To.String()).Inc()
		level := slog.LevelInfo
		if c.To == rollover.AddPend || c.To == rollover.Revoked {
			level = slog.LevelWarn // somebody should know whether that is meant
		}
		a.log.Log(context.Background(), level, "trust anchor "+became[c.To], "zone", c.Zone.String(), "key", c.Tag, "algorithm", c.Algorithm.String(),
			"from", c.From.String(), "to", c.To.String(), "why", c.Why)
	}
}

// became is what is logged of a key that came into a state.
var became = map[rollover.State]string{
	rollover.Start:   "dropped",
	rollover.AddPend: "announced; it is watched for a month before it is trusted",
	rollover.Valid:   "trusted",
	rollover.Missing: "missing in its zone; it stays trusted",
	rollover.Revoked: "revoked",
	rollover.Removed: "removed",
}

func (a *anchors) checks() rollover.Checks {
	return rollover.Checks{Table: a.base.Recursion.Validation(), Metrics: a.m.checks}
}
