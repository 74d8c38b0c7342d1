package wasm_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/ananas-edge/ananas/internal/testchild"
	"github.com/ananas-edge/ananas/wasm"
)

func TestMain(m *testing.M) {
	testchild.Be("compiler", wasm.RunCompiler)
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func open(t testing.TB) *wasm.Engine {
	t.Helper()
	e, err := wasm.Open(wasm.Config{Folder: t.TempDir(), Command: testchild.Command("compiler")})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// code is a function's code in the binary format: octets, and numbers that are written as constants.
func code(parts ...any) (out []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int: // an octet
			out = append(out, byte(p))
		case constant:
			out = append(append(out, 0x41), signed(int64(p))...)
		case []byte:
			out = append(out, p...)
		case string:
			out = append(out, p...)
		}
	}
	return out
}

// constant is i32.const.
type constant int64

func signed(v int64) (b []byte) {
	for {
		o := byte(v & 0x7f)
		v >>= 7
		if v == 0 && o < 0x40 || v == -1 && o >= 0x40 {
			return append(b, o)
		}
		b = append(b, o|0x80)
	}
}

func leb(v int) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func str(s string) []byte { return append(leb(len(s)), s...) }

func vec(entries ...[]byte) []byte {
	return append(leb(len(entries)), slices.Concat(entries...)...)
}

// program is a module to be written.
type program struct {
	types     []string // parameters ">" results, i for i32, l for i64
	imports   [][3]any // module, name, type
	functions []function
	memory    []byte // limits; nil: none
	table     []byte
	start     int // function and 1
	custom    map[string][]byte
}

// function is one of a program; it is exported if it has a name.
type function struct {
	name   string
	kind   int // type
	locals int // of type i32
	code   []byte
}

func (p program) module() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, b []byte) { out = append(append(append(out, id), leb(len(b))...), b...) }
	var types, imports, kinds, exports, bodies [][]byte
	for _, t := range p.types {
		sides := [2][]byte{}
		side := 0
		for _, c := range t {
			if c == '>' {
				side++
				continue
			}
			sides[side] = append(sides[side], map[rune]byte{'i': 0x7f, 'l': 0x7e}[c])
		}
		types = append(types, slices.Concat([]byte{0x60}, str(string(sides[0])), str(string(sides[1]))))
	}
	for _, i := range p.imports {
		imports = append(imports, slices.Concat(str(i[0].(string)), str(i[1].(string)), []byte{0}, leb(i[2].(int))))
	}
	for k, f := range p.functions {
		kinds = append(kinds, leb(f.kind))
		if f.name != "" {
			exports = append(exports, slices.Concat(str(f.name), []byte{0}, leb(len(p.imports)+k)))
		}
		locals := []byte{0}
		if f.locals > 0 {
			locals = slices.Concat([]byte{1}, leb(f.locals), []byte{0x7f})
		}
		bodies = append(bodies, str(string(slices.Concat(locals, f.code, []byte{0x0b}))))
	}
	section(1, vec(types...))
	if imports != nil {
		section(2, vec(imports...))
	}
	section(3, vec(kinds...))
	if p.table != nil {
		section(4, vec(append([]byte{0x70}, p.table...)))
	}
	if p.memory != nil {
		section(5, vec(p.memory))
		exports = append(exports, slices.Concat(str("memory"), []byte{2, 0}))
	}
	section(7, vec(exports...))
	if p.start > 0 {
		section(8, leb(p.start-1))
	}
	section(10, vec(bodies...))
	for name, b := range p.custom {
		section(0, append(str(name), b...))
	}
	return out
}

// one is a program of one function "f" without parameters, with a page of memory.
func one(c []byte) program {
	return program{types: []string{">"}, functions: []function{{name: "f", code: c}}, memory: []byte{0, 1}}
}

var exportF = []wasm.Export{{Name: "f"}}

// load loads a program, with a pool of two.
func load(t testing.TB, p program, s wasm.Spec) *wasm.Pool {
	t.Helper()
	return loadModule(t, open(t), p.module(), s)
}

func loadModule(t testing.TB, e *wasm.Engine, b []byte, s wasm.Spec) *wasm.Pool {
	t.Helper()
	if s.Name == "" {
		s.Name = "guest"
	}
	m, err := e.Load(t.Context(), b, s)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := wasm.NewPool(m, 2)
	if err != nil {
		m.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}
