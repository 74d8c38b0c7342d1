package wasm_test

import (
	"testing"

	"github.com/ananas-edge/ananas/wasm"
)

// BenchmarkFuel tells how long a unit of fuel takes of what is dear for its price: ns/unit. A call of FastFuel units must stay below 50 us, so all that is not a miss of the caches
// has to be below 1.
func BenchmarkFuel(b *testing.B) {
	again := func(parts ...any) []byte { return code(0x03, 0x40, code(parts...), 0x0c, 0, 0x0b) }
	times := func(n int, parts ...any) (c []byte) {
		for range n {
			c = append(c, code(parts...)...)
		}
		return c
	}
	types := []string{">"}
	page := []byte{0, 1}
	withLocals := func(c []byte) program {
		return program{types: types, memory: page, functions: []function{{name: "f", locals: 2, code: c}}}
	}
	near := withLocals(again(times(8, // each from where the one before says
		0x20, 0, 0x28, 0, 0, 0x20, 0, constant(5), 0x6c, 0x6a, constant(1234577), 0x6a, constant(0xffc0), 0x71, 0x21, 0)))
	switches := program{types: types, memory: page, functions: []function{{name: "f", locals: 1, code: again(
		0x20, 0, constant(1103515245), 0x6c, constant(12345), 0x6a, 0x22, 0, constant(16), 0x76, constant(3), 0x71, 0x21, 0,
		0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 3, 0, 1, 2, 3, 0x0b, 0x01, 0x0b, 0x01, 0x0b, 0x01, 0x0b)}}}
	calls := program{types: types, memory: page, functions: []function{{name: "f", code: again(0x10, 1)}, {code: nil}}}
	for _, c := range []struct {
		name string
		p    program
	}{
		{"loop", withLocals(again())},
		{"add", withLocals(again(times(20, 0x20, 0, 0x20, 1, 0x6a, 0x21, 0)))},
		{"multiply", withLocals(again(times(20, 0x20, 0, constant(77), 0x6c, 0x21, 0)))},
		{"divide", withLocals(again(times(20, 0x20, 0, constant(-1), 0x72, 0x20, 1, constant(3), 0x72, 0x6d, 0x21, 0)))},
		{"divide64", withLocals(again(times(20, 0x42, 0x7f, 0x20, 0, 0xad, 0x42, 3, 0x84, 0x80, 0xa7, 0x21, 0)))},
		{"load", near},
		{"switch", switches},
		{"call", calls},
		{"recursion", program{types: types, memory: page, functions: []function{{name: "f", code: code(0x10, 0)}}}},
		{"fill", withLocals(again(constant(0), constant(1), constant(65536), 0xfc, 11, 0))},
		{"fill_nothing", withLocals(again(constant(0), constant(1), constant(0), 0xfc, 11, 0))},
		{"copy_nothing", withLocals(again(constant(0), constant(1), constant(0), 0xfc, 10, 0, 0))},
		{"grow_nothing", withLocals(again(constant(0), 0x40, 0, 0x1a))},
		{"grow", withLocals(again(constant(1), 0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x00, 0x0b, 0x3f, 0, constant(1), 0x6b, constant(16), 0x74, constant(0), constant(65536), 0xfc, 11, 0))},
		{"sqrt", withLocals(again(times(20, 0x20, 0, 0xb8, 0x9f, 0xab, 0x21, 0)))},
		{"popcount", withLocals(again(times(20, 0x20, 0, 0x69, 0x21, 0)))},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := load(b, c.p, wasm.Spec{Exports: exportF})
			units := int64(0)
			for b.Loop() {
				b.StopTimer()
				i, err := p.TakeOrMake(b.Context(), 0)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := i.Call(b.Context(), 0, nil); err == nil {
					b.Fatal("it ended by itself")
				}
				units += i.Spent()
				b.StopTimer()
				p.Put(0, i)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(units), "ns/unit")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "us/call")
		})
	}
}
