package node

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/rollout"
)

// storeStatus tells how this node follows its store, or what it has of its own versions.
func (n *Node) storeStatus() admin.StoreStatus {
	out := admin.StoreStatus{Role: "file", AgeMS: -1, Sets: []string{}, Rollouts: []string{}}
	copy := n.history
	if n.shared != nil {
		copy = n.shared.copy
	}
	if copy == nil {
		return out
	}
	view := copy.View()
	head := view.Head()
	out.Lineage, out.Version, out.Floor, out.Bytes = head.Lineage.String(), uint64(head.Version), uint64(view.Floor()), view.LogBytes()
	s := n.shared
	if s == nil {
		out.Applied, out.AgeMS, out.Keys = out.Version, 0, view.Len()
		return out
	}
	out.Role = "follower"
	if s.etcd != nil {
		out.Role = "root"
	}
	if age := s.age(); age >= 0 {
		out.AgeMS = age.Milliseconds()
	}
	out.Source = s.source()
	if err := s.wrong(); err != nil {
		out.Error = err.Error()
	}
	if use := s.use.now.Load(); use != nil {
		out.Applied, out.Keys = uint64(use.version), len(use.entries)
		out.Sets = append(out.Sets, use.sets...)
		if use.refused != nil {
			out.Refused = firstLine(use.refused.Error())
		}
	}
	for _, one := range s.fleet() {
		if s.etcd == nil || !one.Revoked.IsZero() { // what is above a node, or beside it, it does not hear of
			continue
		}
		out.Of++
		if one.Up {
			out.Nodes++
			if one.Version < out.Version {
				out.Behind++
			}
		}
	}
	for _, r := range openRollouts(view) {
		text := fmt.Sprintf("%s: %v", r.ID, r.State)
		if r.State != rollout.Queued && r.Wave < len(r.Plan.Waves) {
			text += " in wave " + r.Plan.Waves[r.Wave].String()
		}
		out.Rollouts = append(out.Rollouts, text)
	}
	return out
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
