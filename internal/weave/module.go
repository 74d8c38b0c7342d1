package weave

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Kind is what an import or an export is.
type Kind byte

// The kinds, as a module has them (core specification, 5.5.5).
const (
	Func Kind = iota
	Table
	Memory
	Global
)

func (k Kind) String() string {
	if k > Global {
		return fmt.Sprintf("kind %d", byte(k))
	}
	return [...]string{"function", "table", "memory", "global"}[k]
}

// Import is what a module wants from its host.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         Type // of a function
}

// Type is a function's: value types as the binary format has them (0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64, 0x7b v128, 0x70 and 0x6f references).
type Type struct{ Params, Results []byte }

// Export is what a module shows.
type Export struct {
	Name string
	Kind Kind
}

// span is how large a memory (in pages of 64 KiB) or table (in entries) begins, and may become.
type span struct {
	ref      byte // type of a table's entries
	min, max uint32
	bounded  bool // max was given
}

// Module is a module that was read.
type Module struct {
	Imports []Import
	Exports []Export

	sections [13][]byte // by id, without the custom ones
	custom   []custom
	imported [4]int // how many of each kind

	types     []Type
	functions []uint32 // types of the module's own functions
	tables    []span
	memories  []span
	globals   int
	entries   int // of all sections but those of functions, tables and memories
	start     *uint32
	bodies    [][]byte
}

type custom struct {
	name string
	b    []byte
}

// Ids of sections, in the order that a module must have them in. The id of custom sections is 0, and they may be anywhere.
const (
	secType, secImport, secFunction, secTable, secMemory, secGlobal = 1, 2, 3, 4, 5, 6
	secExport, secStart, secElement, secCode, secData, secDataCount = 7, 8, 9, 10, 11, 12
)

var order = []byte{secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport, secStart, secElement, secDataCount, secCode, secData}

var magic = []byte("\x00asm\x01\x00\x00\x00")

// Parse reads a module's sections. It keeps b. What is not of WebAssembly 2.0 is an error that names it.
func Parse(b []byte) (*Module, error) {
	if !bytes.HasPrefix(b, magic) {
		return nil, errors.New("reading a module: it does not begin as WebAssembly of version 1 does (\\0asm 1)")
	}
	m := new(Module)
	r := &reader{b: b, at: len(magic)}
	for next := 0; r.more() && r.err == nil; {
		at := r.at
		id := r.octet()
		s := &reader{b: r.take(r.u32())}
		if r.err != nil {
			return nil, fmt.Errorf("reading section %d at octet %d of a module: %w", id, at, r.err)
		}
		if id == 0 {
			if name := s.name(); s.err == nil {
				m.custom = append(m.custom, custom{name, s.b[s.at:]})
			}
		} else {
			place := bytes.IndexByte(order, id)
			if place < 0 {
				return nil, fmt.Errorf("reading section %d at octet %d of a module: WebAssembly 2.0 has none of that number", id, at)
			}
			if place < next {
				return nil, fmt.Errorf("reading section %d at octet %d of a module: it stands twice, or behind one that must follow it", id, at)
			}
			next = place + 1
			m.sections[id] = s.b
			m.section(id, s)
		}
		if s.err != nil {
			return nil, fmt.Errorf("reading section %d at octet %d of a module: %w", id, at, s.err)
		}
	}
	if len(m.bodies) != len(m.functions) {
		return nil, fmt.Errorf("reading a module: %d functions have %d bodies", len(m.functions), len(m.bodies))
	}
	return m, nil
}

// Custom returns the contents of the custom sections of a name, in order.
func (m *Module) Custom(name string) (out [][]byte) {
	for _, c := range m.custom {
		if c.name == name {
			out = append(out, c.b)
		}
	}
	return out
}

// Memory returns how many pages a module's own memory begins with; false if it has none.
func (m *Module) Memory() (pages uint32, ok bool) {
	if len(m.memories) == 0 {
		return 0, false
	}
	return m.memories[0].min, true
}

// section reads what of a section is needed, and holds each count of it against what is there: wazero makes room for as many elements, data and names as a module says it
// has, and a module of 31 octets that says 1.5 billion ends the process.
func (m *Module) section(id byte, r *reader) {
	switch id {
	case secType:
		m.readTypes(r)
	case secImport:
		m.readImports(r)
	case secFunction:
		for range r.count() {
			m.functions = append(m.functions, m.typeIndex(r))
		}
	case secTable:
		for range r.count() {
			m.tables = append(m.tables, readTable(r))
		}
	case secMemory:
		for range r.count() {
			m.memories = append(m.memories, readSpan(r))
		}
		if len(m.memories)+m.imported[Memory] > 1 {
			r.failf("%d memories; WebAssembly 2.0 allows one", len(m.memories)+m.imported[Memory])
		}
	case secGlobal:
		m.globals = r.count()
		m.entries += m.globals
		for range m.globals {
			readValueType(r)
			r.octet() // mutable or not
			readConstant(r)
		}
	case secExport:
		m.readExports(r)
	case secStart:
		f := r.u32()
		m.start = &f
	case secElement:
		for range r.count() {
			m.entries += 1 + readElement(r)
		}
	case secData:
		for range r.count() {
			readData(r)
			m.entries++
		}
	case secCode:
		for range r.count() {
			m.bodies = append(m.bodies, r.take(r.u32()))
		}
	}
}

func (m *Module) readTypes(r *reader) {
	for i := range r.count() {
		if form := r.octet(); form != 0x60 && r.err == nil {
			r.failf("type %d is of the form %#x; WebAssembly 2.0 has functions (0x60) only", i, form)
		}
		m.entries++
		m.types = append(m.types, Type{readValueTypes(r), readValueTypes(r)})
	}
}

func readValueTypes(r *reader) []byte {
	types := r.take(uint32(r.count()))
	for _, t := range types {
		if !isValueType(t) {
			r.failf("%#x is no type of a value in WebAssembly 2.0", t)
		}
	}
	return types
}

func isValueType(t byte) bool { return t >= 0x7b && t <= 0x7f || isReference(t) }

func isReference(t byte) bool { return t == 0x70 || t == 0x6f }

func (m *Module) typeIndex(r *reader) uint32 {
	i := r.u32()
	if i >= uint32(len(m.types)) && r.err == nil {
		r.failf("type %d is used, of %d", i, len(m.types))
		return 0
	}
	return i
}

func (m *Module) readImports(r *reader) {
	for range r.count() {
		i := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.octet())}
		switch i.Kind {
		case Func:
			if t := m.typeIndex(r); r.err == nil {
				i.Type = m.types[t]
			}
		case Table:
			readTable(r)
		case Memory:
			readSpan(r)
		case Global:
			readValueType(r)
			r.octet() // mutable or not
		default:
			r.failf("import %q of %q is of kind %d, which WebAssembly 2.0 does not have", i.Name, i.Module, i.Kind)
		}
		if r.err != nil {
			return
		}
		m.Imports = append(m.Imports, i)
		m.entries++
		m.imported[i.Kind]++
	}
}

func readValueType(r *reader) byte {
	t := r.octet()
	if !isValueType(t) && r.err == nil {
		r.failf("%#x is no type of a value in WebAssembly 2.0", t)
	}
	return t
}

func readTable(r *reader) span {
	ref := r.octet()
	if !isReference(ref) && r.err == nil {
		r.failf("%#x is no type of a table's entries in WebAssembly 2.0", ref)
	}
	s := readSpan(r)
	s.ref = ref
	return s
}

func readSpan(r *reader) (s span) {
	switch flags := r.octet(); flags {
	case 0:
		s.min = r.u32()
	case 1:
		s.min, s.max, s.bounded = r.u32(), r.u32(), true
	default:
		r.failf("limits with flags %#x: shared and 64-bit memories are not of WebAssembly 2.0", flags)
	}
	return s
}

func (m *Module) readExports(r *reader) {
	for range r.count() {
		e := Export{Name: r.name(), Kind: Kind(r.octet())}
		r.u32()
		if e.Kind > Global && r.err == nil {
			r.failf("export %q is of kind %d, which WebAssembly 2.0 does not have", e.Name, e.Kind)
		}
		if strings.HasPrefix(e.Name, Prefix) {
			r.failf("export %q: names that begin with %q are the host's", e.Name, Prefix)
		}
		if r.err != nil {
			return
		}
		m.Exports = append(m.Exports, e)
		m.entries++
	}
}

// SetCustom returns a module with one custom section of a name: at its end, in the place of those that it had.
func SetCustom(module []byte, name string, content []byte) ([]byte, error) {
	if _, err := Parse(module); err != nil {
		return nil, err
	}
	out := append([]byte(nil), magic...)
	r := &reader{b: module, at: len(magic)}
	for r.more() {
		from := r.at
		id := r.octet()
		s := &reader{b: r.take(r.u32())}
		if id != 0 || s.name() != name {
			out = append(out, module[from:r.at]...)
		}
	}
	return putSection(out, 0, append(putName(nil, name), content...)), nil
}
