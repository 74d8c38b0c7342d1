package weave_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ananas-edge/ananas/internal/randomwasm"
	"github.com/ananas-edge/ananas/internal/weave"
)

// small is what modules of these tests may have.
var small = weave.Limits{MemoryPages: 4, TableEntries: 10, Tables: 1, Functions: 4, Entries: 4, BodyOctets: 100, Locals: 8, Nesting: 4}

// one returns a module with a function () -> () called "f", and other sections in front of the exports.
func one(code string, others ...[]byte) []byte {
	types := section(1, vec([]byte{0x60, 0, 0}))
	before := cat(types, section(3, vec([]byte{0})), cat(others...))
	return module(before, section(7, vec(cat(str("f"), []byte{0, 0}))), section(10, vec(function([]byte{0}, []byte(code)...))))
}

func memory(b ...byte) []byte { return section(5, vec(b)) }

// weaveOne weaves, and makes an instance.
func weaveOne(t *testing.T, b []byte, o weave.Options) *guest {
	t.Helper()
	m, err := weave.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	woven, err := m.Weave(o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newWorld(t).instantiate(woven, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const endless = "\x03\x40\x0c\x00\x0b" // loop br 0 end

// What never ends by itself is ended by fuel, however it goes on.
func TestFuelEnds(t *testing.T) {
	for name, b := range map[string][]byte{
		"an empty loop":        one(endless),
		"recursion":            one("\x10\x00"),
		"a loop of br_if":      one("\x03\x40\x41\x01\x0d\x00\x0b"),
		"a loop of br_table":   one("\x03\x40\x41\x01\x0e\x01\x00\x00\x0b"),
		"a loop in a block":    one("\x02\x40\x03\x40\x0c\x00\x0b\x0b"),
		"calls by a table":     one("\x41\x00\x11\x00\x00", section(4, vec([]byte{0x70, 0, 1})), nil),
		"memory filled":        one("\x03\x40\x41\x00\x41\x01\x41\x80\x80\x04\xfc\x0b\x00\x0c\x00\x0b", memory(0, 1)),
		"memory grown by none": one("\x03\x40\x41\x00\x40\x00\x1a\x0c\x00\x0b", memory(0, 1)),
	} {
		g := weaveOne(t, b, weave.Options{Limits: small})
		g.fuel.Set(10_000)
		_, err := g.ExportedFunction("f").Call(t.Context())
		left := int64(g.fuel.Get())
		if name == "calls by a table" {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			continue // of an empty entry
		}
		if err == nil || trap(err) != "wasm error: unreachable" || left >= 0 || left < -10_000 {
			t.Errorf("%s: %v, %d left", name, err, left)
		}
	}
}

// A call of nothing costs little, and one with fuel for exactly that succeeds; with less it does not.
func TestFuelIsExact(t *testing.T) {
	g := weaveOne(t, one(""), weave.Options{Limits: small})
	g.fuel.Set(1000)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err != nil {
		t.Fatal(err)
	}
	cost := 1000 - g.fuel.Get()
	if cost < 1 || cost > 40 {
		t.Errorf("an empty call cost %d", cost)
	}
	g.fuel.Set(cost)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err != nil || g.fuel.Get() != 0 {
		t.Errorf("%v, %d left", err, g.fuel.Get())
	}
	g.fuel.Set(cost - 1)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err == nil {
		t.Error("a call was done with less fuel than it costs")
	}
}

// A frame is paid by its size, so that fuel bounds the stack: a unit buys 8 octets at most, where a local and an operand may take 16.
func TestFramesArePaid(t *testing.T) {
	cost := func(locals byte, code string) int64 {
		b := module(section(1, vec([]byte{0x60, 0, 0})), section(3, vec([]byte{0})), section(7, vec(cat(str("f"), []byte{0, 0}))),
			section(10, vec(function([]byte{1, locals, i32}, []byte(code)...))))
		g := weaveOne(t, b, weave.Options{Limits: small})
		g.fill()
		if _, err := g.ExportedFunction("f").Call(t.Context()); err != nil {
			t.Fatal(err)
		}
		return manyFuel - int64(g.fuel.Get())
	}
	nothing := cost(0, "")
	if nothing < 128/8 {
		t.Errorf("an empty frame costs %d", nothing)
	}
	if more := cost(8, "") - nothing; more != 8*16/8 {
		t.Errorf("8 locals cost %d", more)
	}
	if more := cost(0, strings.Repeat("\x41\x00", 10)+strings.Repeat("\x1a", 10)) - nothing; more != 10*16/8 {
		t.Errorf("10 operands cost %d", more)
	}
}

// Memory operations are paid before they are done.
func TestLengthIsPaidFirst(t *testing.T) {
	fill := one("\x41\x00\x41\x01\x41\x80\x80\x04\xfc\x0b\x00", memory(0, 1))
	g := weaveOne(t, fill, weave.Options{Limits: small})
	g.fuel.Set(65536/8 - 1)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err == nil {
		t.Error("64 KiB were filled without fuel")
	}
	if bytes.IndexByte(g.memory(), 1) >= 0 {
		t.Error("memory was filled")
	}
	grow := one("\x41\x01\x40\x00\x1a", memory(0, 1))
	g = weaveOne(t, grow, weave.Options{Limits: small})
	g.fuel.Set(8000)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err == nil || len(g.memory()) != 65536 {
		t.Errorf("memory has %d octets (%v)", len(g.memory()), err)
	}
	// More than there can ever be is refused, and not paid.
	grow = one("\x41\x05\x40\x00\x41\x01\x6a\x04\x40\x00\x0b", memory(0, 1))
	g = weaveOne(t, grow, weave.Options{Limits: small})
	g.fuel.Set(1000)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err != nil {
		t.Error(err)
	}
}

// The stack is bounded where fuel is added without end, and what returns gives its part back.
func TestStackIsBounded(t *testing.T) {
	o := weave.Options{Limits: small, Refuel: true}
	g := weaveOne(t, one("\x10\x00"), o)
	g.stack.Set(100_000)
	if _, err := g.ExportedFunction("f").Call(t.Context()); err == nil || trap(err) != "wasm error: unreachable" {
		t.Error(err)
	}
	if left := int64(g.stack.Get()); left >= 0 || left < -1000 || g.world.yields == 0 {
		t.Errorf("%d of the stack is left, after %d yields", left, g.world.yields)
	}

	for name, code := range map[string]string{
		"at the end":   "",
		"by a return":  "\x0f",
		"out of depth": "\x02\x40\x03\x40\x0f\x0b\x0b\x00",
		"by a branch":  "\x02\x40\x0c\x01\x0b\x00",
	} {
		g = weaveOne(t, one(code), o)
		g.stack.Set(100_000)
		if _, err := g.ExportedFunction("f").Call(t.Context()); err != nil || g.stack.Get() != 100_000 {
			t.Errorf("%s: %v, %d is left", name, err, g.stack.Get())
		}
	}
}

// A start function is called with fuel, as what it is exported as.
func TestStart(t *testing.T) {
	b := module(section(1, vec([]byte{0x60, 0, 0})), section(3, vec([]byte{0})), section(8, []byte{0}),
		section(10, vec(function([]byte{0}, []byte(endless)...))))
	m, err := weave.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	woven, err := m.Weave(weave.Options{Limits: small})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	i, err := w.InstantiateWithConfig(t.Context(), woven, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	i.ExportedGlobal(weave.FuelGlobal).(api.MutableGlobal).Set(1000)
	if _, err := i.ExportedFunction(weave.StartFunction).Call(t.Context()); err == nil {
		t.Error("it ended")
	}
}

// What a module may not have is refused with an error that names it.
func TestRefused(t *testing.T) {
	i32s := func(n byte) []byte { return []byte{1, n, 0x7f} }
	custom := func(sections ...[]byte) []byte { return module(sections...) }
	body := func(locals []byte, code string) []byte {
		return custom(section(1, vec([]byte{0x60, 0, 0})), section(3, vec([]byte{0})), section(10, vec(function(locals, []byte(code)...))))
	}
	for want, b := range map[string][]byte{
		"function 0: locals: 9, at most 8":                                               body(i32s(9), ""),
		"function 0: locals: 4294967295, at most 8":                                      body([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f}, ""),
		"function 0: octets of code: 101, at most 100":                                   one(strings.Repeat("\x01", 99)),
		"function 0: blocks in one another: 5, at most 4":                                one("\x02\x40\x02\x40\x02\x40\x02\x40\x0b\x0b\x0b\x0b"),
		"memory: pages of 64 KiB at the start: 5, at most 4":                             one("", memory(0, 5)),
		"table 0: entries at the start: 11, at most 10":                                  one("", section(4, vec([]byte{0x70, 0, 11}))),
		"table 0: entries at the start: 134217728, at most 10":                           module(section(4, []byte{1, 0x70, 0, 0x80, 0x80, 0x80, 0x40})), // 17 octets, 1 GiB
		"tables: 2, at most 1":                                                           one("", section(4, vec([]byte{0x70, 0, 1}, []byte{0x70, 0, 1}))),
		"functions: 5, at most 4":                                                        module(section(1, vec([]byte{0x60, 0, 0})), section(3, vec([]byte{0}, []byte{0}, []byte{0}, []byte{0}, []byte{0})), section(10, vec(function([]byte{0}), function([]byte{0}), function([]byte{0}), function([]byte{0}), function([]byte{0})))),
		"types, imports, exports, globals, elements and data: 5, at most 4":              one("", section(6, vec([]byte{0x7f, 0, 0x41, 0, 0x0b}, []byte{0x7f, 0, 0x41, 0, 0x0b}, []byte{0x7f, 0, 0x41, 0, 0x0b}))),
		`export "ananas:fuel": names that begin with "ananas:"`:                          module(section(6, vec([]byte{0x7f, 1, 0x41, 0, 0x0b})), section(7, vec(cat(str(weave.FuelGlobal), []byte{3, 0})))),
		`export "ananas:x": names that begin with "ananas:" are`:                         module(section(6, vec([]byte{0x7f, 1, 0x41, 0, 0x0b})), section(7, vec(cat(str("ananas:x"), []byte{3, 0})))),
		"instruction 0x12 is not of WebAssembly 2.0":                                     one("\x12\x00"),     // return_call
		"instruction 0x14 is not of WebAssembly 2.0":                                     one("\x14\x00"),     // call_ref
		"instruction 0x6 is not of WebAssembly 2.0":                                      one("\x06\x40\x0b"), // try
		"instruction 0xfe is not of WebAssembly 2.0":                                     one("\xfe\x00\x02\x00"),
		"instruction 0xfd 256 is not of WebAssembly 2.0":                                 one("\xfd\x80\x02"), // relaxed
		"instruction 0xfc 18 is not of WebAssembly 2.0":                                  one("\xfc\x12"),
		"instruction 0xfb is not of WebAssembly 2.0":                                     one("\xfb\x00"),
		"limits with flags 0x3: shared and 64-bit memories":                              one("", memory(3, 1, 1)),
		"limits with flags 0x4: shared and 64-bit memories":                              one("", memory(4, 1)),
		"2 memories; WebAssembly 2.0 allows one":                                         one("", section(5, vec([]byte{0, 1}, []byte{0, 1}))),
		"WebAssembly 2.0 has none of that number":                                        one("", section(13, []byte{0})),
		"type 0 is of the form 0x5f":                                                     module(section(1, vec([]byte{0x5f, 0, 0}))),
		"it does not begin as WebAssembly of version 1 does":                             []byte("\x00asm\x0d\x00\x01\x00"), // a component
		"the module ends in the middle of it":                                            module([]byte{1, 5, 1}),
		"1 functions have 0 bodies":                                                      module(section(1, vec([]byte{0x60, 0, 0})), section(3, vec([]byte{0}))),
		"it stands twice, or behind one that must follow it":                             module(section(1, []byte{0}), section(1, []byte{0})),
		"it goes on after its end":                                                       body([]byte{0}, "\x0b\x01"),
		"a branch out of 7 blocks, which stands in 1":                                    one("\x0c\x07"),
		"a call of function 9, of 1":                                                     one("\x10\x09"),
		"a constant has the instruction 0x6a, which":                                     module(section(6, vec([]byte{0x7f, 0, 0x6a, 0x0b}))),
		"elements with flags 0x8":                                                        module(section(9, vec([]byte{8}))),
		"data with flags 0x3":                                                            module(section(11, vec([]byte{3}))),
		"reading section 11 at octet 8 of a module: the module ends in the middle of it": module(section(11, []byte{0xde, 0x80, 0x80, 0x80, 4, 0})), // 1 billion
		"else without if":                                                                one("\x05"),
	} {
		m, err := weave.Parse(b)
		if err == nil {
			_, err = m.Weave(weave.Options{Limits: small})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		var large *weave.TooLarge
		if errors.As(err, &large) != strings.Contains(want, "at most") {
			t.Errorf("%q is a %T", want, err)
		}
	}
}

// Maxima are lowered, and a maximum is given where there was none.
func TestMaximaAreLowered(t *testing.T) {
	for _, c := range [][2]byte{{0, 0}, {1, 200}, {1, 4}, {1, 2}} {
		limits := []byte{c[0], 1}
		want := uint32(4)
		if c[0] == 1 {
			limits = append(limits, leb(uint64(c[1]))...)
			want = min(want, uint32(c[1]))
		}
		m, err := weave.Parse(one("", section(4, vec(append([]byte{0x70}, limits...))), section(5, vec(limits)), nil))
		if err != nil {
			t.Fatal(err)
		}
		woven, err := m.Weave(weave.Options{Limits: small})
		if err != nil {
			t.Fatal(err)
		}
		i, err := newWorld(t).InstantiateWithConfig(t.Context(), woven, wazero.NewModuleConfig())
		if err != nil {
			t.Fatal(err)
		}
		if most, ok := i.Memory().Definition().Max(); !ok || most != want {
			t.Errorf("%v: a memory may have %d pages (%v), want %d", c, most, ok, want)
		}
		tableMost := max(want, 0)
		if c[0] == 0 || c[1] > 10 {
			tableMost = 10
		}
		if !bytes.Contains(woven, section(4, vec([]byte{0x70, 1, 1, byte(tableMost)}))) {
			t.Errorf("%v: a table may have more than %d entries", c, tableMost)
		}
	}
}

// What is read of a module.
func TestParse(t *testing.T) {
	b := module(
		section(1, vec([]byte{0x60, 2, 0x7f, 0x7e, 1, 0x7d})),
		section(2, vec(cat(str("env"), str("log"), []byte{0, 0}), cat(str("env"), str("m"), []byte{2, 0, 1}))),
		section(0, cat(str("x"), []byte("first"))), section(0, cat(str("x"), []byte("second"))),
	)
	m, err := weave.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	i := m.Imports
	if len(i) != 2 || i[0].Name != "log" || i[0].Kind != weave.Func || !bytes.Equal(i[0].Type.Params, []byte{0x7f, 0x7e}) || i[1].Kind != weave.Memory || i[1].Kind.String() != "memory" {
		t.Errorf("%+v", i)
	}
	if c := m.Custom("x"); len(c) != 2 || string(c[1]) != "second" {
		t.Errorf("%q", c)
	}
}

// Names of functions are kept where they are what they say.
func TestNames(t *testing.T) {
	names := cat([]byte{1}, str(string(vec(cat([]byte{0}, str("deep"))))))
	for _, c := range []struct {
		section []byte
		want    bool
	}{
		{cat(str("name"), []byte{0, 2, 1, 'm'}, names, []byte{2, 1, 0}), true},
		{cat(str("name"), []byte{1, 6, 0xff, 0xff, 0xff, 0xff, 7, 0}), false}, // 2 billion of them
		{cat(str("name"), names[:len(names)-1]), false},
		{bytes.Replace(cat(str("name"), names), []byte("ee"), []byte("\xff\xff"), 1), false},
	} {
		g := weaveOne(t, append(one("\x00"), section(0, c.section)...), weave.Options{Limits: small})
		g.fill()
		_, err := g.ExportedFunction("f").Call(t.Context())
		if err == nil || strings.Contains(err.Error(), "deep") != c.want {
			t.Errorf("%x: %v", c.section, err)
		}
	}
}

// FuzzWeave: the weaver does not panic on anything, and what is valid stays valid.
func FuzzWeave(f *testing.F) {
	f.Add(one(endless, memory(1, 1, 2)))
	f.Add(one("\x02\x40\x03\x40\x0f\x0b\x0b\x00"))
	for n := range 8 {
		b, _ := randomwasm.Module(bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog"), 8*n))
		f.Add(b)
	}
	root := filepath.Join(wazeroFolder(f), "internal", "integration_test", "spectest", "v2", "testdata")
	for _, name := range []string{"br_table.0", "bulk.0", "func.0", "if.0", "loop.0", "memory_grow.0", "select.0", "simd_lane.0", "start.3", "switch.0", "table_grow.0"} {
		b, err := os.ReadFile(filepath.Join(root, name+".wasm"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := weave.Parse(b)
		if err != nil {
			return
		}
		limits := weave.Unlimited
		limits.MemoryPages, limits.TableEntries, limits.Nesting, limits.BodyOctets = 100, 1000, 1000, 1<<16
		for _, refuel := range []bool{false, true} {
			woven, err := m.Weave(weave.Options{Limits: limits, Refuel: refuel})
			if err != nil {
				continue
			}
			if err := valid(t, m.Plain()); err == nil {
				if err := valid(t, woven); err != nil {
					t.Errorf("a valid module was woven to one that is not: %v", err)
				}
			}
		}
	})
}

// valid compiles a module for an interpreter, which validates it.
func valid(t *testing.T, b []byte) error {
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(context.Background())
	_, err := r.CompileModule(t.Context(), b)
	return err
}
