package wasm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ananas-edge/ananas/wasm"
)

// What modules that mean harm come to: each is ended by a limit, the next call finds a fresh instance, and what was spent is within the fuel that there was.
func TestHostile(t *testing.T) {
	endless := code(0x03, 0x40, 0x0c, 0, 0x0b)
	cases := []struct {
		name  string
		guest program
		want  wasm.Cause
	}{
		{"an endless loop", one(endless), wasm.Fuel},
		{"recursion", one(code(0x10, 0)), wasm.Fuel},
		{"memory that grows", one(code(0x03, 0x40, constant(1), 0x40, 0, 0x1a, 0x0c, 0, 0x0b)), wasm.Fuel},
		{"memory asked for at once", one(code(0x03, 0x40, constant(65535), 0x40, 0, 0x1a, 0x0c, 0, 0x0b)), wasm.Fuel},
		{"a table that grows", program{types: []string{">"}, memory: []byte{0, 1}, table: []byte{0, 1},
			functions: []function{{name: "f", code: code(0x03, 0x40, 0xd0, 0x70, constant(1), 0xfc, 15, 0, 0x1a, 0x0c, 0, 0x0b)}}}, wasm.Fuel},
		{"memory filled again and again", one(code(0x03, 0x40, constant(0), constant(1), constant(65536), 0xfc, 11, 0, 0x0c, 0, 0x0b)), wasm.Fuel},
		{"a pointer out of bounds", one(code(constant(65536), 0x28, 0, 0, 0x1a)), wasm.Memory},
		{"a pointer far out of bounds", one(code(constant(-1), constant(1), 0x36, 0, "\xff\xff\xff\xff\x0f")), wasm.Memory},
		{"unreachable", one(code(0x00)), wasm.Trap},
		{"a division by zero", one(code(constant(1), constant(0), 0x6d, 0x1a)), wasm.Trap},
		{"a call of nothing", program{types: []string{">"}, memory: []byte{0, 1}, table: []byte{0, 1},
			functions: []function{{name: "f", code: code(constant(0), 0x11, 0, 0)}}}, wasm.Trap},
	}
	for _, limits := range []wasm.Limits{{Fuel: 20_000}, {Fuel: 3_000_000, Stack: 100_000}} {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := load(t, c.guest, wasm.Spec{Limits: limits, Exports: exportF})
				want := c.want
				if c.name == "recursion" && limits.Stack != 0 {
					want = wasm.Stack // with much fuel, there is a limit of its own
				}
				for range 3 {
					i, err := p.TakeOrMake(t.Context(), 0)
					if err != nil {
						t.Fatal(err)
					}
					if i.Memory().Size() != 65536 {
						t.Fatal("an instance that was used before")
					}
					err = i.Call(t.Context(), 0, nil)
					var f *wasm.Fault
					if !errors.As(err, &f) || f.Cause != want {
						t.Errorf("%v, want %s", err, want)
					}
					// The longest that can overdraw what is left is one operation or one function; a page that is asked for is charged before it is given.
					if i.Spent() < 1 || i.Spent() > limits.Fuel+70_000 {
						t.Errorf("%d was spent of %d", i.Spent(), limits.Fuel)
					}
					if err := i.Call(t.Context(), 0, nil); err == nil {
						t.Error("it was called again after a fault")
					}
					p.Put(0, i)
				}
			})
		}
	}
}

// A start function that never ends is ended by its own limit, and loading says so.
func TestHostileStart(t *testing.T) {
	p := one(code(0x03, 0x40, 0x0c, 0, 0x0b))
	p.start = 1
	initialize := one(code(0x03, 0x40, 0x0c, 0, 0x0b))
	initialize.functions[0].name = "_initialize"
	for _, guest := range []program{p, initialize} {
		for _, fuel := range []int64{0, 100_000} {
			m, err := open(t).Load(t.Context(), guest.module(), wasm.Spec{Name: "slow", Limits: wasm.Limits{Fuel: fuel, StartFuel: 2_000_000}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = wasm.NewPool(m, 1)
			var f *wasm.Fault
			if !errors.As(err, &f) || f.Cause != wasm.Fuel || f.Module != "slow" {
				t.Error(err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A flood of calls of the host is ended at the limit of calls, and each that was made was one of them.
func TestHostileHostCalls(t *testing.T) {
	called := 0
	host := []wasm.Function{{Module: "ananas", Name: "ping", Call: func(*wasm.Call, []uint64) { called++ }}}
	guest := program{types: []string{">"}, imports: [][3]any{{"ananas", "ping", 0}}, memory: []byte{0, 1},
		functions: []function{{name: "f", code: code(0x03, 0x40, 0x10, 0, 0x0c, 0, 0x0b)}}}
	p := load(t, guest, wasm.Spec{Functions: host, Exports: exportF, Limits: wasm.Limits{HostCalls: 10}})
	i := p.Take(0)
	var f *wasm.Fault
	if err := i.Call(t.Context(), 0, nil); !errors.As(err, &f) || f.Cause != wasm.HostCalls || called != 10 {
		t.Errorf("%v, after %d calls", err, called)
	}
	p.Put(0, i)
}

// A flood of calls that are not counted, because a guest's runtime makes them, is ended by fuel.
func TestHostileFreeCalls(t *testing.T) {
	guest := program{types: []string{">", ">i"}, imports: [][3]any{{wasm.WASI, "sched_yield", 1}}, memory: []byte{0, 1},
		functions: []function{{name: "f", code: code(0x03, 0x40, 0x10, 0, 0x1a, 0x0c, 0, 0x0b)}}}
	called := 0
	functions := wasm.WASIFunctions(nil)
	for k := range functions {
		if functions[k].Name == "sched_yield" {
			functions[k].Call = func(_ *wasm.Call, stack []uint64) { called++; stack[0] = 0 }
		}
	}
	for _, fuel := range []int64{wasm.FastFuel, 1_000_000} {
		called = 0
		p := load(t, guest, wasm.Spec{Functions: functions, Exports: exportF, Limits: wasm.Limits{Fuel: fuel}})
		i := p.Take(0)
		var f *wasm.Fault
		if err := i.Call(t.Context(), 0, nil); !errors.As(err, &f) || f.Cause != wasm.Fuel || called < int(fuel)/150 || called > int(fuel)/100 {
			t.Errorf("%v, after %d calls", err, called)
		}
		p.Put(0, i)
	}
}

// What is too large, or begins too large, is not loaded; and the error says what and how much is allowed.
func TestHostileSize(t *testing.T) {
	deep := one(append([]byte(strings.Repeat("\x02\x40", 3000)), strings.Repeat("\x0b", 3000)...))
	wide := one(nil)
	wide.functions[0].locals = 1 << 30
	large := one(nil)
	large.custom = map[string][]byte{"ballast": make([]byte, 60<<20)}
	table := one(nil)
	table.table = []byte{0, 0x80, 0x80, 0x80, 0x40} // 1 GiB
	memory := one(nil)
	memory.memory = []byte{0, 0x80, 0x80, 4} // 4 GiB
	for want, guest := range map[string]program{
		"the module has 62914":                               large,
		"blocks in one another: 2001, at most 2000":          deep,
		"locals: 1073741824, at most 1000":                   wide,
		"entries at the start: 134217728, at most 16384":     table,
		"pages of 64 KiB at the start: 65536, at most 32":    memory,
		"octets of code: 131075, at most 131072":             one([]byte(strings.Repeat("\x01", 131072+1))),
		"validating the module: invalid function[0]":         one(code(0x1a)),
		`memory: it is a memory, and the host has functions`: {},
	} {
		b := guest.module()
		if strings.Contains(want, "it is a memory") {
			b = append([]byte("\x00asm\x01\x00\x00\x00\x02\x10\x01"), "\x03env\x06memory\x02\x00\x01"...)
			b[9] = byte(len(b) - 10)
		}
		_, err := open(t).Load(t.Context(), b, wasm.Spec{Name: "big", Exports: exportF})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `loading module "big": `) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A module that is dear to compile costs a process that ends, and this one nothing.
func TestHostileCompilation(t *testing.T) {
	// Many values that are alive at once: what is calculated is dropped at the end only, and each is used again in every block.
	var c []byte
	for k := range 900 {
		c = append(c, code(0x20, k%200, constant(k), 0x6a, 0x22, (k*7)%200, 0x1a, 0x20, k%200, 0x04, 0x40, 0x20, (k*13)%200, 0x21, (k*11)%200, 0x0b)...)
	}
	guest := one(nil)
	guest.functions[0] = function{name: "f", locals: 1000}
	fixLocals(c)
	for range 100 {
		guest.functions = append(guest.functions, function{locals: 1000, code: c})
	}
	s := wasm.Spec{Name: "dear", Exports: exportF, Limits: wasm.Limits{CompileCPU: time.Second}}
	for want, change := range map[string]func(*wasm.Limits){
		"it takes more than 1s of a processor": func(l *wasm.Limits) { l.CompileCPU = time.Second },
		"it takes more than 83886080 octets":   func(l *wasm.Limits) { l.CompileMemory = 80 << 20 },
		"it was not done after 1ms":            func(l *wasm.Limits) { l.CompileTime = time.Millisecond },
	} {
		s.Limits = wasm.Limits{}
		change(&s.Limits)
		_, err := open(t).Load(t.Context(), guest.module(), s)
		var hint interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &hint) {
			t.Errorf("%s: %v", want, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := open(t).Load(ctx, guest.module(), s); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// fixLocals keeps the indices of locals below 128 in one octet.
func fixLocals(c []byte) {
	for k := 0; k+1 < len(c); k++ {
		if (c[k] == 0x20 || c[k] == 0x21 || c[k] == 0x22) && c[k+1] >= 0x80 {
			c[k+1] &= 0x7f
		}
	}
}
