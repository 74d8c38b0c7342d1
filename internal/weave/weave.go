package weave

import (
	"fmt"
)

// What is added to a module, as exports. No export of its own may begin with Prefix.
const (
	Prefix = "ananas:"

	// FuelGlobal is a mutable i64: what is left. The host sets it before a call; the module lowers it, to below zero when it stops.
	FuelGlobal = Prefix + "fuel"

	// StackGlobal is a mutable i64, with Refuel: octets of stack that are left. The host sets it before a call.
	StackGlobal = Prefix + "stack"

	// RefuelTable is a table of functions with one entry, with Refuel. The host puts a function without parameters and results there, before it calls anything.
	RefuelTable = Prefix + "refuel"

	// StartFunction is the module's start function, if it has one. The host calls it once, before anything else.
	StartFunction = Prefix + "start"
)

// Limits is what a module may have at most.
type Limits struct {
	MemoryPages  uint32 // pages of 64 KiB of its memory: more at the start is refused, a larger maximum lowered
	TableEntries uint32 // of each of its tables, in the same way
	Tables       int
	Functions    int
	Entries      int // types, imports, exports, globals, elements and pieces of data together: each takes an octet of a module, and 100 octets of who reads it
	BodyOctets   int // of a function's code
	Locals       int // of a function, with its parameters
	Nesting      int // blocks in one another
}

// Unlimited has the largest of everything that WebAssembly 2.0 can say. It is for tests.
var Unlimited = Limits{1 << 16, 1<<32 - 1, 1 << 20, 1 << 20, 1 << 20, 1 << 30, 50_000, 1 << 20}

// Options is how a module is woven.
type Options struct {
	Limits Limits

	// Refuel has the module call the entry of RefuelTable when its fuel is below zero, and go on when that returns, where it else traps.
	Refuel bool

	exact bool // charges each segment where it begins; for tests
}

// TooLarge is the error for a module that has more of something than its limits allow.
type TooLarge struct {
	What      string // such as "function 3: locals"
	Has, Most uint64
}

func (e *TooLarge) Error() string { return fmt.Sprintf("%s: %d, at most %d", e.What, e.Has, e.Most) }

func within(what string, has, most uint64) error {
	if has <= most {
		return nil
	}
	return &TooLarge{what, has, most}
}

// weaver writes one module.
type weaver struct {
	*Module
	Options
	types                   []Type // those that are added
	fuel, stack             uint32 // indices of globals
	refuelTable, refuelType uint32
}

// Weave writes the module with its counting.
func (m *Module) Weave(o Options) ([]byte, error) {
	w := &weaver{Module: m, Options: o}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("weaving a module: %w", err)
	}
	w.fuel = uint32(m.imported[Global] + m.globals)
	w.stack = w.fuel + 1
	w.refuelTable = uint32(m.imported[Table] + len(m.tables))
	if o.Refuel {
		w.refuelType = w.addType(Type{})
	}
	code, err := w.code()
	if err != nil {
		return nil, fmt.Errorf("weaving a module: %w", err)
	}
	out := append([]byte(nil), magic...)
	for _, id := range order {
		b := m.sections[id]
		switch id {
		case secType:
			b = w.typeSection()
		case secTable:
			b = w.tableSection()
		case secMemory:
			b = w.memorySection()
		case secGlobal:
			b = w.globalSection()
		case secExport:
			b = w.exportSection()
		case secStart:
			b = nil
		case secCode:
			b = code
		}
		if b != nil {
			out = putSection(out, id, b)
		}
	}
	return append(out, m.names()...), nil
}

// check holds a module to its limits, all but the code.
func (w *weaver) check() error {
	l := w.Limits
	for _, c := range []struct {
		what string
		has  int
		most int
	}{
		{"functions", len(w.functions), l.Functions},
		{"tables", len(w.tables), l.Tables},
		{"types, imports, exports, globals, elements and data", w.entries, l.Entries},
	} {
		if err := within(c.what, uint64(c.has), uint64(c.most)); err != nil {
			return err
		}
	}
	for i, t := range w.tables {
		if err := within(fmt.Sprintf("table %d: entries at the start", i), uint64(t.min), uint64(l.TableEntries)); err != nil {
			return err
		}
	}
	for _, m := range w.memories {
		if err := within("memory: pages of 64 KiB at the start", uint64(m.min), uint64(l.MemoryPages)); err != nil {
			return err
		}
	}
	return nil
}

// addType returns the index of a function type that is added.
func (w *weaver) addType(t Type) uint32 {
	for i, has := range w.types {
		if string(has.Params) == string(t.Params) && string(has.Results) == string(t.Results) {
			return uint32(len(w.Module.types) + i)
		}
	}
	w.types = append(w.types, t)
	return uint32(len(w.Module.types) + len(w.types) - 1)
}

// appended returns a section with entries behind its own; nil if it has none at all.
func appended(section []byte, entries ...[]byte) []byte {
	if section == nil && len(entries) == 0 {
		return nil
	}
	r := &reader{b: section}
	n := uint64(0)
	if section != nil {
		n = uint64(r.u32())
	}
	out := append(put(nil, n+uint64(len(entries))), section[r.at:]...)
	for _, e := range entries {
		out = append(out, e...)
	}
	return out
}

func (w *weaver) typeSection() []byte {
	var added [][]byte
	for _, t := range w.types {
		b := put([]byte{0x60}, uint64(len(t.Params)))
		b = put(append(b, t.Params...), uint64(len(t.Results)))
		added = append(added, append(b, t.Results...))
	}
	return appended(w.sections[secType], added...)
}

// lowered returns limits as the binary format has them, with a maximum that is not above most. What is no limit is not written down.
func (s span) lowered(b []byte, most, unlimited uint32) []byte {
	switch {
	case s.bounded:
		most = max(s.min, min(s.max, most))
	case most == unlimited:
		return put(append(b, 0), uint64(s.min))
	}
	return put(put(append(b, 1), uint64(s.min)), uint64(most))
}

func (w *weaver) tableSection() []byte {
	n := len(w.tables)
	var b []byte
	for _, t := range w.tables {
		b = t.lowered(append(b, t.ref), w.Limits.TableEntries, Unlimited.TableEntries)
	}
	if w.Refuel {
		b = append(b, 0x70, 1, 1, 1)
		n++
	}
	if n == 0 {
		return nil
	}
	return append(put(nil, uint64(n)), b...)
}

func (w *weaver) memorySection() []byte {
	if len(w.memories) == 0 {
		return w.sections[secMemory]
	}
	return w.memories[0].lowered([]byte{1}, w.Limits.MemoryPages, Unlimited.MemoryPages)
}

func (w *weaver) globalSection() []byte {
	added := [][]byte{{0x7e, 1, i64Const, 0, opEnd}}
	if w.Refuel {
		added = append(added, added[0])
	}
	return appended(w.sections[secGlobal], added...)
}

func (w *weaver) exportSection() []byte {
	export := func(name string, k Kind, i uint32) []byte {
		return put(append(putName(nil, name), byte(k)), uint64(i))
	}
	added := [][]byte{export(FuelGlobal, Global, w.fuel)}
	if w.Refuel {
		added = append(added, export(StackGlobal, Global, w.stack), export(RefuelTable, Table, w.refuelTable))
	}
	if w.start != nil {
		added = append(added, export(StartFunction, Func, *w.start))
	}
	return appended(w.sections[secExport], added...)
}

// names returns the section of names with those of functions.
func (m *Module) names() []byte {
	for _, c := range m.custom {
		if names := functionNames(c.b, m.imported[Func]+len(m.functions)); c.name == "name" && names != nil {
			return putSection(nil, 0, append(putName(nil, c.name), names...))
		}
	}
	return nil
}

// Plain returns the module without its custom sections: what is to be validated.
func (m *Module) Plain() []byte {
	out := append([]byte(nil), magic...)
	for _, id := range order {
		if b := m.sections[id]; b != nil {
			out = putSection(out, id, b)
		}
	}
	return out
}

func putSection(out []byte, id byte, b []byte) []byte {
	return append(put(append(out, id), uint64(len(b))), b...)
}
