package wasm_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ananas-edge/ananas/internal/randomwasm"
	"github.com/ananas-edge/ananas/wasm"
)

// FuzzLoad: whatever is given as a module is refused, or runs within its fuel.
func FuzzLoad(f *testing.F) {
	for _, p := range []program{
		one(code(0x03, 0x40, 0x0c, 0, 0x0b)), one(code(0x10, 0)), calling(), hashing(),
		one(code(0x03, 0x40, constant(1), 0x40, 0, 0x1a, 0x0c, 0, 0x0b)),
		{types: []string{">"}, memory: []byte{0, 1}, table: []byte{0, 1}, functions: []function{{name: "f", code: code(0x03, 0x40, 0xd0, 0x70, constant(1), 0xfc, 15, 0, 0x1a, 0x0c, 0, 0x0b)}}},
	} {
		f.Add(p.module(), false)
		f.Add(p.module(), true)
	}
	functions := append(hashingSpec().Functions, wasm.Function{Module: "ananas", Name: "f", Results: []byte{wasm.I32}, Call: func(c *wasm.Call, stack []uint64) { stack[0] = 0 }})
	f.Fuzz(func(t *testing.T, b []byte, sliced bool) {
		e := open(t)
		s := wasm.Spec{Name: "m", Functions: functions, Exports: []wasm.Export{{Name: "f", Optional: true}, hashingSpec().Exports[0]}}
		s.Exports[1].Optional = true
		if sliced {
			s.Limits.Fuel = 2_000_000
		}
		m, err := e.Load(t.Context(), b, s)
		if err != nil {
			return
		}
		defer m.Close()
		p, err := wasm.NewPool(m, 1)
		if err != nil {
			return
		}
		defer p.Close()
		for export := range s.Exports {
			i, err := p.TakeOrMake(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if i.Has(export) {
				err := i.Call(t.Context(), export, []uint64{64})
				var fault *wasm.Fault
				if err != nil && !errors.As(err, &fault) {
					t.Error(err)
				}
				// One function's code, or one operation on all of a memory, can be begun with the last unit.
				if most := m.Limits().Fuel + 1<<20; i.Spent() > most && err == nil || i.Spent() < 0 {
					t.Errorf("%d was spent of %d (%v)", i.Spent(), m.Limits().Fuel, err)
				}
			}
			p.Put(0, i)
		}
	})
}

// FuzzValid: each valid module is loaded, runs within its fuel and is ended by a fault of its own if at all; and two instances of it do the same, also where what was compiled comes from the disk.
func FuzzValid(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 20 {
		b := make([]byte, 100*n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b, n%2 == 0)
	}
	f.Fuzz(func(t *testing.T, random []byte, sliced bool) {
		b, functions := randomwasm.Module(random)
		s := wasm.Spec{Name: "m"}
		for _, f := range functions {
			s.Exports = append(s.Exports, wasm.Export{Name: f.Name, Params: f.Params, Results: f.Results})
		}
		if sliced {
			s.Limits.Fuel = 2_000_000
		}
		e := open(t)
		type outcome struct {
			cause wasm.Cause
			spent int64
			stack []uint64
		}
		var first []outcome
		for round := range 2 {
			m, err := e.Load(t.Context(), b, s)
			if err != nil {
				t.Fatal(err)
			}
			p, err := wasm.NewPool(m, 1)
			if err != nil {
				t.Fatal(err)
			}
			for export, f := range functions {
				i, err := p.Fresh(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				stack := make([]uint64, max(len(f.Params), len(f.Results)))
				for k := range stack {
					stack[k] = uint64(k+len(random)) % 9
				}
				now := outcome{}
				var fault *wasm.Fault
				switch err := i.Call(t.Context(), export, stack); {
				case err == nil:
					now.stack = stack[:len(f.Results)]
				case !errors.As(err, &fault) || fault.Cause == wasm.Host || fault.Cause == wasm.HostCalls || fault.Cause == wasm.Canceled:
					t.Errorf("%s: %v", f.Name, err)
				default:
					now.cause = fault.Cause
				}
				now.spent = i.Spent()
				if most := m.Limits().Fuel + 1<<20; now.spent < 0 || now.cause == "" && now.spent > most {
					t.Errorf("%s: %d was spent of %d", f.Name, now.spent, m.Limits().Fuel)
				}
				p.Discard(i)
				if round == 0 {
					first = append(first, now)
				} else if was := first[export]; was.cause != now.cause || was.spent != now.spent || !slices.Equal(was.stack, now.stack) {
					t.Errorf("%s: %+v, and then %+v", f.Name, was, now)
				}
			}
			p.Close()
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
