package node

import (
	"context"

	"github.com/ananas-edge/ananas/admin"
)

// Status tells how the node is.
func (n *Node) Status(context.Context) admin.NodeStatus {
	n.mu.Lock()
	last := n.lastReload.Load()
	file := admin.SettingsStatus{Source: n.source(), Loaded: last.loaded, Restart: last.waiting}
	if last.failed != nil {
		file.Error = last.failed.Error()
	}
	name := nodeName(n.file.Node)
	n.mu.Unlock()
	s := admin.NodeStatus{Name: name, Version: n.version, Started: n.started, Settings: file}
	for _, a := range n.Addrs() {
		s.Listeners = append(s.Listeners, admin.ListenerStatus{Protocol: "udp", Address: a.String()},
			admin.ListenerStatus{Protocol: "tcp", Address: a.String()})
	}
	if n.adminAddr.IsValid() {
		s.Listeners = append(s.Listeners, admin.ListenerStatus{Protocol: "admin", Address: n.adminAddr.String()})
	}
	c := n.cache.Stats()
	r := n.resolver.Stats()
	q := n.server.Stats()
	s.Queries = admin.QueryStatus{
		Total: q.Answers, Hits: q.Hits, Stale: r.Stale, Failures: q.Failures, Refused: q.Refused, Upstream: r.Upstream, Jobs: r.Jobs,
	}
	s.TrustAnchors, s.LocalRoot = n.anchors.status(), n.localRootStatus()
	now := n.clock.Wall()
	for _, a := range n.server.Table().Recursion.NegativeAnchors() {
		s.NegativeAnchors = append(s.NegativeAnchors, admin.NegativeAnchorStatus{Zone: a.Zone.String(), Until: a.Until, Ended: a.Ended(now)})
	}
	s.Cache = admin.CacheStatus{Entries: c.RRsets + c.Denials + c.Proofs, Bytes: c.Used, Capacity: c.Capacity}
	s.Store = n.storeStatus()
	return s
}
