// Package randomwasm makes WebAssembly modules at random: valid ones, which a fuzzer can steer, for the tests of what weaves, loads and runs modules.
package randomwasm

// Types of values.
const i32, i64, f32, f64 byte = 0x7f, 0x7e, 0x7d, 0x7c

var numbers = []byte{i32, i64, f32, f64}

// Function is an exported function of a module that was made.
type Function struct {
	Name            string
	Params, Results []byte // types of values, as the binary format has them
}

// maker makes a module. What chooses is a string of octets, so that a fuzzer can steer; where it ends all choices are 0, and the first of several is what
// ends soonest.
type maker struct {
	dice      []byte
	functions []Function

	// Of the function that is being made.
	index  int
	locals []byte
	labels [][]byte // types of what a branch takes there; nil: a loop
	inLoop int
	spent  int
	out    []byte
}

func (m *maker) roll(n int) int {
	if len(m.dice) == 0 || n <= 1 {
		return 0
	}
	d := int(m.dice[0])
	m.dice = m.dice[1:]
	return d % n
}

func (m *maker) types(most int) []byte {
	out := make([]byte, m.roll(most+1))
	for i := range out {
		out[i] = numbers[m.roll(4)]
	}
	return out
}

// firstLeaf is the first function that calls none, and that the table has.
const countFunctions, firstLeaf = 5, 3

// Module makes a valid module of what is random, and tells its functions. They end by themselves: one calls later ones only, and not in loops; and each loop counts down.
func Module(random []byte) ([]byte, []Function) {
	m := &maker{dice: random}
	for i := range countFunctions {
		m.functions = append(m.functions, Function{string(rune('a' + i)), m.types(3), m.types(2)})
	}
	var types, indices, exports, bodies [][]byte
	for i, f := range m.functions {
		types = append(types, cat([]byte{0x60}, str(string(f.Params)), str(string(f.Results))))
		indices = append(indices, leb(uint64(i)))
		exports = append(exports, cat(str(f.Name), []byte{0, byte(i)}))
	}
	types = append(types, []byte{0x60, 1, i32, 2, i32, i32}, []byte{0x60, 1, i32, 1, i32}) // of blocks
	for i, name := range []string{"gi", "gl", "gf"} {
		exports = append(exports, cat(str(name), []byte{3, byte(i)}))
	}
	for i := range m.functions {
		bodies = append(bodies, m.function(i))
	}
	leaves := cat([]byte{3}, leb(firstLeaf), leb(firstLeaf+1), leb(firstLeaf))
	return module(
		section(1, vec(types...)),
		section(3, vec(indices...)),
		section(4, vec([]byte{0x70, 1, 6, 9})),
		section(5, vec([]byte{1, 1, 3})),
		section(6, vec([]byte{i32, 1, 0x41, 5, 0x0b}, []byte{i64, 1, 0x42, 6, 0x0b}, cat([]byte{f64, 1, 0x44}, make([]byte, 8), []byte{0x0b}))),
		section(7, vec(exports...)),
		section(9, vec(cat([]byte{0, 0x41, 1, 0x0b}, leaves), cat([]byte{1, 0}, leaves))),
		section(12, leb(2)),
		section(10, vec(bodies...)),
		section(11, vec(cat([]byte{0, 0x41, 8, 0x0b}, str("active data")), cat([]byte{1}, str("passive data")))),
	), m.functions
}

// Locals that statements use stand behind the parameters; the last ones count loops.
const freeLocals, loopCounters = 4, 2

func (m *maker) function(i int) []byte {
	f := m.functions[i]
	m.index, m.out, m.spent, m.inLoop = i, nil, 0, 0
	m.locals = append(append([]byte(nil), f.Params...), numbers...)
	m.labels = [][]byte{f.Results}
	for range 1 + m.roll(5) {
		m.statement(4)
	}
	m.values(f.Results, 3)
	body := cat([]byte{freeLocals + 1, 1, i32, 1, i64, 1, f32, 1, f64, loopCounters, i32}, m.out, []byte{0x0b})
	return append(leb(uint64(len(body))), body...)
}

func (m *maker) put(b ...byte) { m.out = append(m.out, b...) }

func (m *maker) op(op byte, n int) { m.put(append([]byte{op}, leb(uint64(n))...)...) }

func (m *maker) values(types []byte, depth int) {
	for _, t := range types {
		m.value(t, depth)
	}
}

func (m *maker) local(t byte) (found []int) {
	for i, has := range m.locals {
		if has == t {
			found = append(found, i)
		}
	}
	return found
}

// address puts an address that mostly is one.
func (m *maker) address() {
	m.value(i32, 1)
	if m.roll(16) != 15 {
		m.put(0x41, 0xff, 0xff, 3, 0x71) // & 65535
	}
}

// value puts code that leaves one value.
func (m *maker) value(t byte, depth int) {
	m.spent++
	if depth <= 0 || m.spent > 400 {
		m.constant(t)
		return
	}
	switch m.roll(8) {
	case 0:
		m.constant(t)
	case 1:
		l := m.local(t)
		m.op(0x20, l[m.roll(len(l))])
	case 2:
		m.value(t, depth-1)
		m.value(t, depth-1)
		ops := map[byte]string{i32: "\x6a\x6b\x6c\x6d\x6e\x6f\x70\x71\x72\x73\x74\x75\x76\x77\x78", i64: "\x7c\x7d\x7e\x7f\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a",
			f32: "\x92\x93\x94\x95\x96\x97", f64: "\xa0\xa1\xa2\xa3\xa4\xa5"}[t]
		m.put(ops[m.roll(len(ops))])
	case 3:
		m.convert(t, depth)
	case 4: // if with a result
		m.value(i32, depth-1)
		m.put(0x04, t)
		m.labels = append(m.labels, []byte{t})
		m.value(t, depth-1)
		m.put(0x05)
		m.statement(depth - 1)
		m.value(t, depth-1)
		m.labels = m.labels[:len(m.labels)-1]
		m.put(0x0b)
	case 5: // block with a result, which may leave early
		m.put(0x02, t)
		m.labels = append(m.labels, []byte{t})
		m.statement(depth - 1)
		m.value(t, depth-1)
		m.value(i32, depth-1)
		m.op(0x0d, 0)
		m.labels = m.labels[:len(m.labels)-1]
		m.put(0x0b)
	case 6:
		m.value(t, depth-1)
		m.value(t, depth-1)
		m.value(i32, depth-1)
		m.put(0x1b)
	case 7:
		m.load(t, depth)
	}
}

func (m *maker) constant(t byte) {
	switch t {
	case i32:
		m.put(0x41, byte(m.roll(128)))
	case i64:
		m.put(0x42, byte(m.roll(128)))
	case f32:
		m.put(0x43, 0, 0, byte(m.roll(256)), byte(m.roll(256)))
	case f64:
		m.put(0x44, 0, 0, 0, 0, 0, 0, byte(m.roll(256)), byte(m.roll(256)))
	}
}

// convert puts a value of another type and makes it one of t.
func (m *maker) convert(t byte, depth int) {
	from := numbers[m.roll(4)]
	m.value(from, depth-1)
	switch {
	case from == t && t == i32:
		m.put([]byte{0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1}[m.roll(6)])
	case from == t && t == i64:
		m.put([]byte{0x79, 0x7a, 0x7b, 0xc2, 0xc3, 0xc4}[m.roll(6)])
	case from == t && t == f32:
		m.put([]byte{0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91}[m.roll(7)])
	case from == t:
		m.put([]byte{0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f}[m.roll(7)])
	case t == i32 && from == i64:
		m.put(0xa7)
	case t == i32 && from == f32:
		m.put([][]byte{{0xfc, 0}, {0xfc, 1}, {0xa8}}[m.roll(3)]...)
	case t == i32:
		m.put([][]byte{{0xfc, 2}, {0xfc, 3}, {0xab}}[m.roll(3)]...)
	case t == i64 && from == i32:
		m.put(0xac + byte(m.roll(2)))
	case t == i64 && from == f32:
		m.put([][]byte{{0xfc, 4}, {0xfc, 5}, {0xae}}[m.roll(3)]...)
	case t == i64:
		m.put([][]byte{{0xfc, 6}, {0xfc, 7}, {0xb1}}[m.roll(3)]...)
	case t == f32:
		m.put(map[byte]byte{i32: 0xb2, i64: 0xb4, f64: 0xb6}[from])
	default:
		m.put(map[byte]byte{i32: 0xb7, i64: 0xb9, f32: 0xbb}[from])
	}
}

// load puts what memory, globals and tables have. Floating-point numbers are never stored: the bits of a NaN are not promised.
func (m *maker) load(t byte, depth int) {
	switch t {
	case i32:
		switch m.roll(5) {
		case 0:
			m.op(0x23, 0)
		case 1:
			m.put(0x3f, 0)
		case 2:
			m.put(0xfc, 16, 0) // table.size
		case 3:
			m.value(i32, depth-1)
			m.put(0x41, 3, 0x71, 0x40, 0) // memory.grow by 0 to 3
		case 4:
			m.address()
			m.put(0x2c+byte(m.roll(4)), 0, byte(m.roll(128)))
		}
	case i64:
		if m.roll(2) == 0 {
			m.op(0x23, 1)
			return
		}
		m.address()
		m.put(0x30+byte(m.roll(6)), 0, byte(m.roll(128)))
	case f32:
		m.constant(t)
	case f64:
		m.op(0x23, 2)
	}
}
