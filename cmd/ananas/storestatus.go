package main

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// maxRollouts is how many rollouts are shown; ananas rollout ls shows all.
const maxRollouts = 5

// storeRows write how the node follows its store, or of which version of its file it is.
func storeRows(row rowFunc, s *admin.StoreStatus) {
	if s.Role == "" || s.Role == "file" && s.Version == 0 {
		return
	}
	row("store", storeRole(s)+"; "+storeVersion(s), terminal.Plain)
	if s.Role == "follower" {
		storeSource(row, s)
	}
	if s.Refused != "" {
		row("", fmt.Sprintf("version %d does not compile here, and version %d still serves: %s", s.Version, s.Applied, s.Refused), terminal.Red)
	}
	if s.Error != "" {
		row("", s.Error, terminal.Red)
	}
	if s.Of > 0 {
		nodes, style := fmt.Sprintf("%s of %s up", thousands(uint64(max(s.Nodes, 0))), count(s.Of, "node", "nodes")), terminal.Plain
		if s.Nodes < s.Of {
			style = terminal.Yellow
		}
		if s.Behind > 0 {
			nodes += fmt.Sprintf(", %s behind", thousands(uint64(s.Behind)))
		}
		row("nodes", nodes, style)
	}
	word := "rollouts"
	for i, r := range s.Rollouts {
		if i == maxRollouts {
			row("", fmt.Sprintf("and %d more: ananas rollout ls", len(s.Rollouts)-maxRollouts), terminal.Plain)
			break
		}
		row(word, r, terminal.Cyan)
		word = ""
	}
}

func storeRole(s *admin.StoreStatus) string {
	switch s.Role {
	case "file":
		return "the file is the truth"
	case "root":
		return "root"
	}
	return s.Role
}

// storeVersion says which version the table is of.
func storeVersion(s *admin.StoreStatus) string {
	text := fmt.Sprintf("version %d", s.Version)
	if s.Applied != s.Version {
		text += fmt.Sprintf(", applied %d", s.Applied)
	}
	if len(s.Sets) > 0 {
		text += " with change set " + strings.Join(s.Sets, ", ")
	}
	if s.Keys > 0 {
		text += "; " + count(s.Keys, "key", "keys")
	}
	return text
}

// storeSource says whom a node follows, and how old what it has is.
func storeSource(row rowFunc, s *admin.StoreStatus) {
	text, style := "follows "+s.Source, terminal.Plain
	if s.Source == "" {
		text, style = "follows nobody right now", terminal.Yellow
	}
	switch {
	case s.AgeMS < 0:
		text += "; what it has was not confirmed since it started"
	case s.AgeMS < 1000:
		text += "; confirmed less than 1 s ago"
	default:
		text += "; confirmed " + milliseconds(s.AgeMS) + " ago"
	}
	row("", text, style)
}
