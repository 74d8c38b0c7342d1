package admin

import (
	"fmt"
	"slices"
	"strings"
)

// ListChange is a data set that is new, or that gets another text.
type ListChange struct {
	Name string `json:"name"`
	Old  *int   `json:"old"` // entries that modules are asking now; null: none ask it yet
	New  int    `json:"new"` // entries that it would have
}

// Shrinks tells whether it would lose more than half of its entries, or all: a publisher's outage looks like that, and no gate sees that less is blocked.
func (l *ListChange) Shrinks() bool { return l.Old != nil && 2*l.New < *l.Old }

// Loss says what it would lose.
func (l *ListChange) Loss() string {
	return fmt.Sprintf("%s of its %s entries", groupDigits(*l.Old-l.New), groupDigits(*l.Old))
}

// Shrinking returns the data sets that would lose more than half of their entries, but for those that are meant to.
func Shrinking(all []ListChange, meant []string) (some []ListChange) {
	for _, l := range all {
		if l.Shrinks() && !slices.Contains(meant, l.Name) {
			some = append(some, l)
		}
	}
	return some
}

// ShrinkError refuses a change by which data sets would lose more than half of their entries.
type ShrinkError struct{ Lists []ListChange }

func (e *ShrinkError) Error() string {
	var parts []string
	for i := range e.Lists {
		parts = append(parts, fmt.Sprintf("data set %q would lose %s", e.Lists[i].Name, e.Lists[i].Loss()))
	}
	return strings.Join(parts, ", and ") + ", which is more than half: nothing was changed"
}

// Hint tells what to do now.
func (e *ShrinkError) Hint() string {
	var flags, names []string
	for _, l := range e.Lists {
		flags, names = append(flags, "--shrink "+l.Name), append(names, fmt.Sprintf("%q", l.Name))
	}
	return fmt.Sprintf(`look whether the file is whole, and fetch it again if it is not; if that is meant, add %s (in the API "shrink": [%s])`, strings.Join(flags, " "), strings.Join(names, ", "))
}
