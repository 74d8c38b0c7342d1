package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/nameserver"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/store"
)

// Limits of probes. They go through the node's own resolver, with the table that it serves with: a change that makes names fail is seen where nobody asks.
const (
	probeEvery = time.Second     // between two rounds
	probeTime  = 3 * time.Second // for one: a client has given up by then, or nearly so
	maxProbed  = 8               // zones of one change set; the first by name
)

// prober tries what open rollouts are about.
type prober struct {
	mu      sync.Mutex
	results map[rollout.ID]*rollout.Probe
	tables  map[rollout.ID]bool // whether the result is of a table with the change
}

// zonesOf are the names that a change set may have broken: the zones whose servers it names, and the root where it is about all names, or about something else.
func zonesOf(set map[string][]byte) []dns.Name {
	var zones []dns.Name
	for _, key := range sortedKeys(set) {
		section, name, _ := strings.Cut(key, "/")
		if section != "forward" && section != "stub" {
			continue
		}
		zone, err := dns.ParseName(unescapeKey(name))
		if err == nil && !slices.Contains(zones, zone) && len(zones) < maxProbed {
			zones = append(zones, zone)
		}
	}
	if len(zones) == 0 {
		zones = append(zones, dns.Root)
	}
	return zones
}

// probe runs rounds until ctx is done.
func (s *shared) probe(ctx context.Context) {
	for sleep(ctx, probeEvery) {
		view := s.copy.View()
		open := openRollouts(view)
		s.probes.keep(open)
		use := s.use.now.Load()
		if use == nil {
			continue
		}
		var all sync.WaitGroup
		for _, r := range open {
			if r.State == rollout.Queued {
				continue
			}
			all.Add(1)
			go func() {
				defer all.Done()
				err := s.tryZones(ctx, zonesOf(changeSet(view, string(r.ID))))
				if ctx.Err() == nil {
					s.probes.note(r.ID, slices.Contains(use.sets, string(r.ID)), err)
				}
			}()
		}
		all.Wait()
	}
}

// tryZones asks for the SOA record of each zone, past the cache. The root is asked for its NS records, which every server of it has.
func (s *shared) tryZones(ctx context.Context, zones []dns.Name) error {
	for _, zone := range zones {
		q := dns.Question{Name: zone, Type: dns.TypeSOA, Class: dns.ClassINET}
		if zone.IsRoot() {
			q.Type = dns.TypeNS
		}
		one, cancel := context.WithTimeout(ctx, probeTime)
		out, err := s.probed(one, q)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := judged(q, &out, err); err != nil {
			return err
		}
	}
	return nil
}

// judged tells what is wrong with the answer to a probe.
func judged(q dns.Question, out *nameserver.Outcome, err error) error {
	a := &out.Answer
	switch {
	case out.Dropped:
		return fmt.Errorf("%v %v: a module drops it", q.Name, q.Type)
	case q.Name.IsRoot() && err == nil && (a.RCode == dns.RCodeNameError || a.RCode == dns.RCodeRefused):
		return fmt.Errorf("%v %v: %s", q.Name, q.Type, failureText(a.RCode, a.EDEs)) // the root is there: who says that it is not blocks everything
	case q.Name.IsRoot() && err == nil && out.Ended && a.RCode == dns.RCodeSuccess && len(a.Answer) == 0: // so does who answers everything with 0.0.0.0, or with nothing
		return fmt.Errorf("%v %v: a module answers that there are none", q.Name, q.Type)
	case a.RCode != dns.RCodeServerFailure && err == nil:
		return nil
	case err != nil && a.RCode != dns.RCodeServerFailure:
		return fmt.Errorf("%v %v: no answer in %v", q.Name, q.Type, probeTime)
	}
	return fmt.Errorf("%v %v: %s", q.Name, q.Type, failureText(a.RCode, a.EDEs))
}

// probed asks a question as a client's would be, past the cache, with what the modules make of it.
func (s *shared) probed(ctx context.Context, q dns.Question) (nameserver.Outcome, error) {
	t := s.n.server.Table()
	o := recurse.Opts{Table: t.Recursion, Fresh: recurse.FreshAnswer}
	if t.Plugins == nil && t.Clients == nil {
		a, err := s.n.resolver.Resolve(ctx, q, o)
		return nameserver.Outcome{Answer: a}, err
	}
	asked := plugin.Query{Name: []byte(q.Name.Lower().Wire()), Type: q.Type, Flags: dns.FlagRD, Groups: t.Recursion, Now: s.n.clock.Wall().UnixNano()}
	return nameserver.Programmed(ctx, s.n.resolver, t.Plugins, t.Clients, asked, q, 0, o, s.n.clock.Boot(), nil)
}

// failureText says how an answer failed: SERVFAIL (No Reachable Authority: no reply from 192.0.2.1; Network Error).
func failureText(rcode dns.RCode, edes []dns.EDE) string {
	var why []string
	for _, e := range edes {
		text := e.Code.String()
		if e.Text != "" {
			text += ": " + e.Text
		}
		why = append(why, text)
	}
	if len(why) == 0 {
		return rcode.String()
	}
	return rcode.String() + " (" + strings.Join(why, "; ") + ")"
}

// keep forgets what was found for rollouts that are open no more.
func (p *prober) keep(open []*rollout.Rollout) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.results {
		if !slices.ContainsFunc(open, func(r *rollout.Rollout) bool { return r.ID == id }) {
			delete(p.results, id)
			delete(p.tables, id)
		}
	}
}

// note counts a result; those of another table are forgotten.
func (p *prober) note(id rollout.ID, holds bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.results[id]
	if at == nil || p.tables[id] != holds {
		at = &rollout.Probe{Rollout: id}
		p.results[id], p.tables[id] = at, holds
	}
	if err == nil {
		at.Passed, at.Failing, at.Error = at.Passed+1, 0, ""
		return
	}
	at.Failing, at.Error = at.Failing+1, err.Error()
}

// list returns what was found, by rollout, for the table with these change sets.
func (p *prober) list(sets []string) []rollout.Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []rollout.Probe
	for id, r := range p.results {
		if p.tables[id] == slices.Contains(sets, string(id)) {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, func(a, b rollout.Probe) int { return strings.Compare(string(a.Rollout), string(b.Rollout)) })
	return out
}

// unescapeKey reads a segment of a key, in which slashes and what disturbs a terminal are written as %XX.
func unescapeKey(segment string) string {
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		var c byte
		if segment[i] == '%' && i+2 < len(segment) {
			if _, err := fmt.Sscanf(segment[i+1:i+3], "%02X", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(segment[i])
	}
	return b.String()
}

var _ store.Map
