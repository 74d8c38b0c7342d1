package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// fleet is what the page of a root shows of the nodes and of what is on its way to them.
type fleet struct {
	Parts    []fleetPart // the whole fleet, by what the nodes have, as one bar
	Up, Of   int
	Nodes    []Node // those that something is wrong with first
	MoreOf   int    // nodes that are not shown
	Rollouts []Rollout
	Ended    int // rollouts that have ended and are not shown
	Error    string
}

// fleetPart is the nodes that have the same, as a part of a bar of 100.
type fleetPart struct {
	What     string
	Nodes    int
	Class    string // of the style
	X, Width float64
}

const (
	shownNodes    = 20 // of the page; ananas root ls shows all
	shownRollouts = 5  // that have ended; of those that are open all
	shownParts    = 6  // of the bar: versions that few nodes have are one part

	// fleetTimeout is how long the page waits for the root: without it the rest of the page is still a page.
	fleetTimeout = 2 * time.Second
)

// fleet adds the cards of a root. A node that follows does not know the others.
func (s *Server) fleet(ctx context.Context, p *page) {
	if s.config.Settings == nil || p.Store.Role != "root" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	f := &fleet{}
	p.Fleet = f
	root, err := s.config.Settings.Root(ctx)
	if err == nil {
		f.Rollouts, err = s.config.Settings.Rollouts(ctx, "")
	}
	if err != nil {
		f.Error = err.Error()
		return
	}
	nodes := slices.DeleteFunc(slices.Clone(root.Nodes), func(n Node) bool { return !n.Revoked.IsZero() })
	f.Of = len(nodes)
	for _, n := range nodes {
		if n.Up {
			f.Up++
		}
	}
	f.Parts = fleetParts(nodes, root.Version)
	slices.SortStableFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(trouble(&a, root.Version), trouble(&b, root.Version)), strings.Compare(a.Name, b.Name))
	})
	f.Nodes, f.MoreOf = nodes, 0
	if len(nodes) > shownNodes {
		f.Nodes, f.MoreOf = nodes[:shownNodes], len(nodes)-shownNodes
	}
	ended := 0
	f.Rollouts = slices.DeleteFunc(slices.Clone(f.Rollouts), func(r Rollout) bool {
		if r.Ended.IsZero() {
			return false
		}
		ended++
		return ended > shownRollouts
	})
	f.Ended = max(0, ended-shownRollouts)
}

// trouble orders nodes: what somebody has to look at comes first.
func trouble(n *Node, version uint64) int {
	switch {
	case n.Error != "":
		return 0
	case !n.Up:
		return 1
	case n.Version < version:
		return 2
	}
	return 3
}

// fleetParts counts the nodes by what they have.
func fleetParts(nodes []Node, version uint64) []fleetPart {
	counts := map[fleetPart]int{}
	for _, n := range nodes {
		part := fleetPart{What: fmt.Sprintf("version %d", n.Version), Class: "live"}
		switch {
		case !n.Up:
			part = fleetPart{What: "silent", Class: "silent"}
		case n.Error != "":
			part = fleetPart{What: "refused version " + fmt.Sprint(version), Class: "refused"}
		case len(n.Sets) > 0:
			part.What += " with change set " + strings.Join(n.Sets, ", ")
			part.Class = "held"
		case n.Version < version:
			part.Class = "behind"
		}
		counts[part]++
	}
	var parts []fleetPart
	for part, n := range counts {
		part.Nodes = n
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b fleetPart) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), strings.Compare(a.What, b.What))
	})
	if len(parts) > shownParts {
		rest := fleetPart{What: "others", Class: "behind"}
		for _, p := range parts[shownParts-1:] {
			rest.Nodes += p.Nodes
		}
		parts = append(parts[:shownParts-1], rest)
	}
	order := []string{"live", "held", "behind", "refused", "silent"}
	slices.SortStableFunc(parts, func(a, b fleetPart) int {
		return cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class))
	})
	x := 0.0
	for i := range parts {
		parts[i].X, parts[i].Width = x, 100*float64(parts[i].Nodes)/float64(len(nodes))
		x += parts[i].Width
	}
	return parts
}

// Done is how much of a wave is over, from 0 to 100.
func (w *RolloutWave) Done() float64 {
	switch {
	case w.State == "passed" || w.State == "failed":
		return 100
	case w.State != "baking" && w.State != "paused" || w.Bake <= 0:
		return 0
	}
	return 100 * min(1, float64(w.Elapsed)/float64(w.Bake))
}
