package node

import (
	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/recurse"
	"github.com/ananas-edge/ananas/nameserver/zone"
	"github.com/ananas-edge/ananas/settings"
)

// newLocalRoot returns the copy of the root zone that the resolver asks, which holds nothing yet. It goes by the trust anchors that hold when it looks, and by
// what the resolver knows of the clock; both are there before it looks.
func (n *Node) newLocalRoot(own settings.Node, network recurse.Network, random func() uint64) *zone.LocalRoot {
	l := zone.NewLocalRoot(zone.Config{
		Network: network, Clock: n.clock, Random: random, Folder: own.Data, Metrics: n.metrics, Crashes: n.crashes, Log: n.log,
		Table:        func() *recurse.Table { return n.server.Table().Recursion },
		ClockTrusted: func() bool { return n.resolver.ClockTrusted() },
	})
	n.health.Warn("local-root", l.Warning)
	return l
}

// localRootStatus is what /api/v1/status says of the local root.
func (n *Node) localRootStatus() admin.LocalRootStatus {
	s := n.local.Status()
	return admin.LocalRootStatus{
		State: s.State, Source: s.Source, Serial: s.Serial, Records: s.Records, Signed: s.Verified.Signed, Digest: s.Verified.Digest == zone.DigestRight,
		Confirmed: s.Confirmed, Expires: s.Expires, Next: s.Next, Error: s.Error, Warning: s.Verified.Warning,
	}
}
