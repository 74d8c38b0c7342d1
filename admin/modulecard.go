package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// moduleCard is what the page shows of the modules in the path of queries.
type moduleCard struct {
	Rows   []moduleRow
	MoreOf int // that are not shown
	Data   []ModuleData
	More   int // data sets that are not shown
}

// moduleRow is a module where it runs; one that runs nowhere has a row, too.
type moduleRow struct {
	*Module
	*Use               // nil: it runs nowhere
	First bool         // of its module
	State string       // runs, kept, taken out, off, runs nowhere
	Class string       // of the style
	Told  string       // totals of its verdicts
	Bars  []bar        // of the last minutes; none: nothing was ended then
	Most  uint64       // verdicts of the highest bar
	Sum   uint64       // of all bars
	Notes []moduleNote // of the module, behind its last row
}

type moduleNote struct{ Class, Text string }

// bar is one of a chart that is 100 wide and 100 high.
type bar struct{ X, Y, Width, Height float64 }

const (
	shownUses = 20 // of the page; ananas module ls shows all
	shownData = 20

	// modulesTimeout is how long the page waits for what modules do.
	modulesTimeout = 2 * time.Second
)

// moduleCard adds the card of modules. A page of a node that has none, or can't tell, is still a page.
func (s *Server) moduleCard(ctx context.Context, p *page) {
	if s.config.Modules == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, modulesTimeout)
	defer cancel()
	list, err := s.config.Modules.Modules(ctx)
	if err != nil || len(list.Modules) == 0 {
		return
	}
	c := &moduleCard{Data: list.Data}
	for i := range list.Modules {
		c.Rows = append(c.Rows, moduleRows(&list.Modules[i])...)
	}
	if len(c.Rows) > shownUses {
		c.Rows, c.MoreOf = c.Rows[:shownUses], len(c.Rows)-shownUses
	}
	if len(c.Data) > shownData {
		c.Data, c.More = c.Data[:shownData], len(c.Data)-shownData
	}
	p.Modules = c
}

// moduleRows are the rows of one module.
func moduleRows(m *Module) (rows []moduleRow) {
	if len(m.Uses) == 0 {
		rows = append(rows, moduleRow{Module: m, State: "runs nowhere", Class: "soft"})
	}
	missing := []string{}
	for i := range m.Uses {
		u := &m.Uses[i]
		r := moduleRow{Module: m, Use: u, State: "runs", Class: "good"}
		switch {
		case u.Off:
			r.State, r.Class = "off", "soft"
		case u.Out:
			r.State, r.Class = "taken out", "bad"
		case m.Pure:
			r.State = "runs, kept"
		}
		r.Told, r.Bars = verdictsText(u.Verdicts), bars(u.Recent)
		for _, n := range u.Recent {
			r.Most, r.Sum = max(r.Most, n), r.Sum+n
		}
		for _, what := range u.Missing {
			if !slices.Contains(missing, what) {
				missing = append(missing, what)
			}
		}
		rows = append(rows, r)
	}
	rows[0].First = true
	last := &rows[len(rows)-1]
	if m.Alarm != "" {
		first, _, _ := strings.Cut(m.Alarm, "\n") // behind it there may be where in its code it was
		last.Notes = append(last.Notes, moduleNote{"bad", first})
	}
	if len(missing) > 0 {
		last.Notes = append(last.Notes, moduleNote{"soft", "not granted: " + strings.Join(missing, ", ")})
	}
	return rows
}

// verdictsText tells totals, the largest first.
func verdictsText(verdicts map[string]uint64) string {
	actions := slices.SortedFunc(maps.Keys(verdicts), func(a, b string) int {
		return cmp.Or(cmp.Compare(verdicts[b], verdicts[a]), strings.Compare(a, b))
	})
	var parts []string
	for _, a := range actions {
		parts = append(parts, fmt.Sprintf("%s %s", groupDigits(verdicts[a]), a))
	}
	return strings.Join(parts, ", ")
}

// bars draws numbers, the newest at the right; none where all are 0.
func bars(numbers []uint64) (all []bar) {
	most := slices.Max(append([]uint64{0}, numbers...))
	if most == 0 {
		return nil
	}
	width := 100 / float64(len(numbers))
	for i, n := range numbers {
		if n > 0 {
			high := max(4, 100*float64(n)/float64(most)) // one of many is still seen
			all = append(all, bar{X: float64(i) * width, Y: 100 - high, Width: width * 0.8, Height: high})
		}
	}
	return all
}
