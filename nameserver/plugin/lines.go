package plugin

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// MaxLogLines is how many lines a second of a module go into the log, where its limits do not say another number: ten of some 300 octets are 260 MB a day, which a disk bears until somebody looks. A module that says a line for each query
// says 100,000 in that second.
const MaxLogLines = 10

// lineRate holds modules to so many lines a second.
type lineRate struct {
	mu sync.Mutex
	by map[string]*linesOf // by module; those with nothing to tell are forgotten by each leftOut
}

// linesOf are the lines of a module in a second.
type linesOf struct {
	second time.Duration // that they are of
	lines  int
	limit  int
	left   uint64 // that were left out since that was last told
}

// take tells whether one more line of a module goes into the log.
func (r *lineRate) take(module string, limit int, now time.Duration) bool {
	limit = cmp.Or(limit, MaxLogLines)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.by[module]
	if l == nil {
		if r.by == nil {
			r.by = make(map[string]*linesOf)
		}
		l = new(linesOf)
		r.by[module] = l
	}
	if second := now.Truncate(time.Second); second != l.second {
		l.second, l.lines = second, 0
	}
	l.limit = limit
	if l.lines >= limit {
		l.left++
		return false
	}
	l.lines++
	return true
}

// LeftOut is how many lines of a module were left out of the log.
type LeftOut struct {
	Module string
	Lines  uint64
	Limit  int // lines a second
}

// LeftOut tells which lines were left out since it was called last: once in a while, for the log itself.
func (l *Loader) LeftOut() (all []LeftOut) {
	r := l.host.rate
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for module, m := range r.by {
		if m.left > 0 {
			all = append(all, LeftOut{module, m.left, m.limit})
			m.left = 0
		} else if m.second != l.boot().Truncate(time.Second) {
			delete(r.by, module)
		}
	}
	slices.SortFunc(all, func(a, b LeftOut) int { return cmp.Compare(a.Module, b.Module) })
	return all
}
