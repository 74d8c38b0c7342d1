package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/rollover"
)

// firstLook is how long after its start a node first asks for the keys of its anchors: a month of hold-down can wait for a minute, and who starts a
// node to ask it one thing shall not have it ask for others.
const firstLook = time.Minute

// serve has the tables of a server follow the anchors, and begins to ask. It ends with close.
func (a *anchors) serve(s *nameserver.Server) {
	a.mu.Lock()
	a.swap = s.Swap
	a.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.done = cancel, make(chan struct{})
	go a.run(ctx)
}

func (a *anchors) close() {
	if a.cancel == nil {
		return
	}
	a.cancel()
	<-a.done
}

// maxLooks is how many zones are asked for at a time. One that does not answer takes recursion.limits.query_time, 10 s: rollover.MaxZones of
// them are through in 21 minutes, within the hour after which they are due again.
const maxLooks = 8

// run asks for the keys of each zone when they are due.
func (a *anchors) run(ctx context.Context) {
	defer close(a.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := a.next()
		var looks sync.WaitGroup
		slots := make(chan struct{}, maxLooks)
		for _, zone := range due {
			slots <- struct{}{}
			looks.Go(func() {
				defer func() { <-slots }()
				a.look(ctx, zone)
			})
		}
		looks.Wait()
		if len(due) > 0 && ctx.Err() == nil {
			continue // others may have become due
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// longestWait is how long the loop sleeps at most. What is due is said in boot time, which goes on while a machine is asleep and timers do not.
const longestWait = time.Hour

// next returns the zones that are due; if there are none, in how long to look again.
func (a *anchors) next() (due []dns.Name, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Boot()
	wait = longestWait
	for name, z := range a.zones {
		switch {
		case z.due == never:
		case z.due <= now:
			due = append(due, name)
		default:
			wait = min(wait, z.due-now)
		}
	}
	return due, wait
}

// look asks for the keys of a zone and takes in what came. A panic costs this look.
func (a *anchors) look(ctx context.Context, zone dns.Name) {
	defer func() {
		if p := recover(); p != nil {
			signature := a.crashes.Report("following the trust anchors of "+zone.String(), p, debug.Stack())
			a.settle(zone, nil, fmt.Errorf("a fault of this program; crash report %s", signature))
		}
	}()
	set, err := a.ask(ctx, zone)
	if ctx.Err() != nil {
		a.postpone(zone)
		return
	}
	a.settle(zone, set, err)
}

// postpone lets a zone be, because the node is closed.
func (a *anchors) postpone(zone dns.Name) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if z := a.zones[zone]; z != nil {
		z.due = a.clock.Boot() + rollover.MinInterval
	}
}

var errNoKeys = errors.New("the zone has no DNSKEY records")

// ask gets the DNSKEY set of a zone from its servers, unvalidated: package rollover checks it by itself, and wants to see revocations too. A local copy
// of the root (RFC 8806) may be days old and say the same at each look, so that its servers are asked first; it is better than nothing where
// they can't be reached.
func (a *anchors) ask(ctx context.Context, zone dns.Name) (*dns.RRset, error) {
	a.mu.Lock()
	table := a.base.Recursion
	a.mu.Unlock()
	remote := *table
	remote.LocalRoot = recurse.LocalRootSettings{}
	set, err := a.askBy(ctx, &remote, zone)
	if err != nil && zone.IsRoot() && table.LocalRoot.On() && ctx.Err() == nil {
		return a.askBy(ctx, table, zone)
	}
	return set, err
}

func (a *anchors) askBy(ctx context.Context, table *recurse.Table, zone dns.Name) (*dns.RRset, error) {
	ctx, cancel := context.WithTimeout(ctx, table.Limits.QueryTime)
	defer cancel()
	q := dns.Question{Name: zone, Type: dns.TypeDNSKEY, Class: dns.ClassINET}
	ans, err := a.resolver.Resolve(ctx, q, recurse.Opts{Table: table, CD: true, Fresh: recurse.FreshAnswer})
	if err != nil {
		return nil, err
	}
	for i := range ans.Answer {
		if s := &ans.Answer[i]; s.Type == dns.TypeDNSKEY && s.Name.Equal(zone) {
			return s, nil
		}
	}
	return nil, errNoKeys
}

// settle takes in what a look brought: the keys' states, what is trusted, and when to look again.
func (a *anchors) settle(zone dns.Name, set *dns.RRset, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.zones[zone]
	if z == nil {
		return // the settings have lost it meanwhile
	}
	now := a.clock.Boot()
	before := z.point.Trusted()
	var changes []rollover.Change
	if err == nil {
		z.point, changes, err = z.point.See(set, a.clock.Wall(), a.checks())
	}
	a.tell(changes)
	switch {
	case err == nil:
		if z.failure != nil {
			a.log.Info("the keys of a trust anchor were seen again", "zone", zone.String())
		}
		z.failure, z.good = nil, now
		z.due = now + max(z.point.Interval, rollover.MinInterval)
		a.m.looks.With("good").Inc()
	case errors.Is(err, rollover.ErrDeleted):
		a.m.looks.With("bad").Inc()
		a.deleted(z)
	default:
		z.due = now + max(z.point.Retry, rollover.MinInterval)
		a.m.looks.With("bad").Inc()
		if z.failure == nil {
			a.log.Warn("the keys of a trust anchor could not be seen", "zone", zone.String(), "error", err, "again_in", (z.due - now).String())
		}
		z.failure = err
	}
	if err == nil || len(changes) > 0 {
		a.save() // first: what is relied on is not forgotten
	}
	if !z.point.Trusted().Equal(before) && a.swap != nil {
		a.swap(a.table())
	}
	a.publish()
}
