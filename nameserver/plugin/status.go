package plugin

import (
	"cmp"
	"slices"

	"github.com/ananas-edge/ananas/nameserver/dataset"
)

// Status tells how the uses of a table's modules are, in its order; of those that are off there is none.
func (c *Chain) Status() (all []UseStatus) {
	if c == nil {
		return nil
	}
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		for k := range list {
			r := &list[k]
			s := UseStatus{Module: r.use.Module, Phase: r.use.Phase, Out: r.out.Load(), Pure: r.pure, Faults: c.loader.m.faults.With(r.use.Module, string(r.use.Phase)).Value(), Verdicts: map[string]uint64{}, Fuel: r.fuel[exportOf(r.use.Phase)-exportQuery].median()}
			switch told := r.alarm.Load(); {
			case told != nil:
				s.Alarm = c.loader.alarmOut(r, *told)
			case r.loaded.use.Manifest.Pure && !r.pure:
				s.Alarm = alarmImpure
			}
			for a := Answer; a < actions; a++ {
				if n := c.loader.m.verdicts.With(r.use.Module, string(r.use.Phase), a.String()).Value(); n > 0 {
					s.Verdicts[a.String()] = n
				}
			}
			all = append(all, s)
		}
	}
	return all
}

// UseStatus is how a module does at one phase.
type UseStatus struct {
	Module    string
	Phase     Phase
	Out, Pure bool
	Alarm     string            // what people have to know of it, as [Config].Alarm was told; "": nothing
	Faults    uint64            // since the node began
	Verdicts  map[string]uint64 // that were not to go on, by action
	Fuel      int64             // that half of its calls take at most; 0: it was not called
}

// ListStatus is a data set that modules may ask.
type ListStatus struct {
	Name    string
	Path    string // in the settings
	Info    dataset.Info
	Modules []string // that may ask it
}

// Lists returns the data sets that modules of the chain may ask, by name.
func (c *Chain) Lists() (all []ListStatus) {
	if c == nil {
		return nil
	}
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		for _, r := range list {
			for i, d := range r.data {
				all = listed(all, r.use, r.use.Data[i], d.set.Info())
			}
		}
	}
	return byName(all)
}

// Lists compiles the data sets that modules of a table may ask, as far as that was not done before, and returns them, by name. No module is loaded.
func (l *Loader) Lists(t *Table) (all []ListStatus, err error) {
	if t == nil {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock() // as in load
	for k := range t.Plugins {
		u := &t.Plugins[k]
		if u.Off {
			continue
		}
		for _, d := range u.Data {
			set, err := l.list(d)
			if err != nil {
				return nil, err
			}
			all = listed(all, u, d, set.Info())
		}
	}
	return byName(all), nil
}

// listed adds what a use may ask.
func listed(all []ListStatus, u *Use, d *Listed, info dataset.Info) []ListStatus {
	i := slices.IndexFunc(all, func(l ListStatus) bool { return l.Name == d.Name })
	if i < 0 {
		i = len(all)
		all = append(all, ListStatus{Name: d.Name, Path: d.Path, Info: info})
	}
	if !slices.Contains(all[i].Modules, u.Module) {
		all[i].Modules = append(all[i].Modules, u.Module)
	}
	return all
}

func byName(all []ListStatus) []ListStatus {
	slices.SortFunc(all, func(a, b ListStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Entries is how many names and prefixes of a list there are.
func (l *ListStatus) Entries() int { return l.Info.Names + l.Info.Prefixes }
