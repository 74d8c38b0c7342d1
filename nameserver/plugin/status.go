package plugin

import (
	"cmp"
	"encoding/hex"
	"slices"
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
				s.Alarm = *told
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
	Name            string
	Names, Prefixes int
	Octets          int64  // of its text
	SHA256          string // of its text, in hexadecimal: its version
	Format          string
	Modules         []string
}

// Lists returns the data sets that modules of the chain may ask, by name.
func (c *Chain) Lists() (all []ListStatus) {
	if c == nil {
		return nil
	}
	for _, list := range [][]runner{c.query, c.answer, c.log} {
		for _, r := range list {
			for _, d := range r.data {
				i := slices.IndexFunc(all, func(l ListStatus) bool { return l.Name == d.name })
				if i < 0 {
					info := d.set.Info()
					all = append(all, ListStatus{Name: d.name, Names: info.Names, Prefixes: info.Prefixes, Octets: info.SourceOctets, SHA256: hex.EncodeToString(info.Source[:]), Format: info.Format.String()})
					i = len(all) - 1
				}
				if !slices.Contains(all[i].Modules, r.use.Module) {
					all[i].Modules = append(all[i].Modules, r.use.Module)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b ListStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
