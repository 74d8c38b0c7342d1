package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ananas-edge/ananas/dns"
	"github.com/ananas-edge/ananas/rollout"
	"github.com/ananas-edge/ananas/rollout/vitals"
)

// tellEvery is how often a node says how it is.
const tellEvery = time.Second

// tell says how this node is, once a second, until ctx is done.
func (s *shared) tell(ctx context.Context) {
	for s.tellNow(); sleep(ctx, tellEvery); s.tellNow() {
	}
}

// telling is where a node is in what it tells of itself.
type telling struct {
	mu     sync.Mutex
	before rollout.Sum // as counted when it last did
	faults faultNote
}

// tellNow tells what was counted since it last was, as of the settings that are in use: so it is called before others are, too, since a gate would hold against a change what the one before it has done in the same second.
func (s *shared) tellNow() {
	s.telling.mu.Lock()
	defer s.telling.mu.Unlock()
	now, self := s.counted(), s.self()
	sum := since(s.telling.before, now)
	s.telling.faults.put(&self, sum.Faults, s.n.modules.lastFault())
	s.registry.Tell(self, sum)
	s.telling.before = now
}

// faultNote is which module a node says has failed: the last one that did, for as long as the table is in use with which it did, since a gate looks at rows and sums in no fixed order.
type faultNote struct {
	version uint64
	sets    []rollout.ID
	text    string
}

// put puts it into what a node says of itself; faults are those since it last did, and last is the last of all.
func (f *faultNote) put(n *vitals.Node, faults uint64, last string) {
	if faults > 0 {
		*f = faultNote{n.Version, n.Sets, last}
	}
	if f.version == n.Version && slices.Equal(f.sets, n.Sets) {
		n.Fault = f.text
	}
}

// self is what this node says of itself.
func (s *shared) self() vitals.Node {
	view := s.copy.View()
	head := view.Head()
	member := s.member(view)
	n := vitals.Node{
		NodeState: rollout.NodeState{Name: s.name, Site: member.Site(), Lineage: head.Lineage.String(), Boot: s.boot},
		Copy:      uint64(head.Version), Release: s.n.version, Role: "follower",
	}
	if s.etcd != nil {
		n.Role = "root"
	}
	if n.Age, n.Via = s.age(), s.via(); n.Age < 0 {
		n.Age = -time.Millisecond // what is told is in milliseconds
	}
	use := s.use.now.Load()
	if use == nil {
		return n
	}
	n.Version = uint64(use.version)
	for _, id := range use.sets {
		n.Sets = append(n.Sets, rollout.ID(id))
	}
	slices.Sort(n.Sets)
	if use.refused != nil {
		n.Error = use.refused.Error()
		for _, id := range use.refusedSets {
			n.Refused = append(n.Refused, rollout.ID(id))
		}
		slices.Sort(n.Refused)
	}
	n.Probes = s.probes.list(use.sets)
	return n
}

// counted are the counts of this node since it began.
func (s *shared) counted() rollout.Sum {
	var sum rollout.Sum
	o := s.n.server.Outcomes(sum.Latency.Observe)
	for rcode, n := range o.RCodes {
		sum.Results[classOf(dns.RCode(rcode))] += n
	}
	sum.Results[rollout.Broken] += o.Dropped // no answer at all
	sum.Decided = o.Decided
	sum.Panics, sum.Faults = s.n.crashes.Total(), s.n.modules.faulted()
	return sum
}

// classOf is what a response code says of the node, or of who asks.
func classOf(r dns.RCode) rollout.Class {
	switch r {
	case dns.RCodeSuccess:
		return rollout.Answered
	case dns.RCodeNameError:
		return rollout.Absent
	case dns.RCodeServerFailure:
		return rollout.Broken
	case dns.RCodeRefused:
		return rollout.Refused
	}
	return rollout.Misput
}

// since returns what was counted between two readings.
func since(before, now rollout.Sum) rollout.Sum {
	for i := range now.Results {
		now.Results[i] -= min(now.Results[i], before.Results[i])
	}
	for i := range now.Latency {
		now.Latency[i] -= min(now.Latency[i], before.Latency[i])
	}
	now.Panics -= min(now.Panics, before.Panics)
	now.Faults -= min(now.Faults, before.Faults)
	now.Decided -= min(now.Decided, before.Decided)
	return now
}
