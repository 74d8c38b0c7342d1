package wasm_test

import (
	"errors"
	"testing"

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
