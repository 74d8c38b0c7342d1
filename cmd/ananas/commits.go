package main

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/admin"
)

// kindSweep is the kind of the commits by which the store cleans up behind itself: they change nothing that anybody has set.
const kindSweep = "sweep"

// systemFlag is the flag of the commands that show commits.
type systemFlag struct {
	System bool `help:"The store's own keys, which begin with ~, and what it swept, too."`
}

// without is the kind of commits that are not shown.
func (f systemFlag) without() string {
	if f.System {
		return ""
	}
	return kindSweep
}

// shown are the changes of a commit that are shown: of the settings, and of a change set the settings that it puts in the place of the live ones. With --system it is all of them.
func (f systemFlag) shown(all []admin.Difference) []admin.Difference {
	if f.System {
		return all
	}
	kept := []admin.Difference{}
	for _, d := range all {
		setting := settingOf(d.Key)
		switch {
		case !isSystem(d.Key):
		case setting == d.Key || d.New == nil: // the store's own; or a change set that nobody needs any more
			continue
		case *d.New == "": // an empty document of a change set takes the setting away
			live := "(the live one)\n"
			d = admin.Difference{Key: setting, Old: &live}
		default:
			d.Key = setting
		}
		kept = append(kept, d)
	}
	return kept
}

// isSystem tells whether a key is one of the store's own, and no setting.
func isSystem(key string) bool { return strings.HasPrefix(key, "~") }

const (
	// lineKeys is how many keys of a commit stand in its line of the history.
	lineKeys = 3
	// lineReason is how much of a reason does, in columns: a sentence. The verdict of a gate has more.
	lineReason = 60
)

// about says in a few words what a commit is about: the settings that it changes, or the rollout or node that becomes something else.
func about(c *admin.Commit) string {
	var keys, others []string
	for _, d := range (systemFlag{}).shown(c.Changes) {
		keys = append(keys, d.Key)
	}
	for _, d := range c.Changes {
		for prefix, what := range map[string]string{"~rollout/": "rollout ", "~node/": "node ", "~token/": "token "} {
			if name, ok := strings.CutPrefix(d.Key, prefix); ok {
				others = append(others, what+name)
			}
		}
	}
	if len(keys) == 0 {
		keys = others
	}
	more := c.Hidden
	if len(keys) > lineKeys {
		more += len(keys) - lineKeys
		keys = keys[:lineKeys]
	}
	switch {
	case len(keys) == 0 && more > 0:
		return count(more, "key", "keys") + " that this node may not read"
	case more > 0:
		return fmt.Sprintf("%s and %s more", strings.Join(keys, ", "), thousands(uint64(more)))
	}
	return strings.Join(keys, ", ")
}
